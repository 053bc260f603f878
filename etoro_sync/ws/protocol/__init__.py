"""eToro's requests and answers. Pure: no socket, no thread, no clock of its own."""

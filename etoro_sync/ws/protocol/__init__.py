"""eToro's requests and replies. Pure: no socket, no thread, no clock of its own."""

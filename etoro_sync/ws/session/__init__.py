"""The life of a client: its threads, connecting, restoring, ending."""

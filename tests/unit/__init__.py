"""The pure modules: no sockets, no threads of the library, no sleeps."""

"""The modules between a URL and its messages: sockets, TLS, proxies, handshake, connection."""

"""Sockets, TLS, proxies, frames. Nothing in here knows eToro's protocol."""

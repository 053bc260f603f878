"""Bytes: sockets, TLS, proxies, frames. Nothing in here knows eToro."""

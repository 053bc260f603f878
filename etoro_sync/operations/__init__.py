"""What watches a stream from outside: metrics, health, the service manager.

Nothing here is loaded by ``import etoro_sync``, and nothing touches the path of a message: it reads
``state`` and ``stats()``. Users import :mod:`etoro_sync.metrics` and :mod:`etoro_sync.systemd`.
"""

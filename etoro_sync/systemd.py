"""For programs that systemd runs: ``notify(client)`` reports that they work. Needs no extra.

::

    from etoro_sync import WsClient
    from etoro_sync.systemd import notify

    with WsClient() as client, notify(client):
        ...

``etoro-sync unit program.py`` writes the unit file.
"""

from .operations.notifier import Notifier, notify
from .operations.unit import make_unit

__all__ = ["Notifier", "make_unit", "notify"]

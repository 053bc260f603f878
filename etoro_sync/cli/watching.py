"""What a command that streams does for those who watch it as a service."""

import contextlib
import os
from collections.abc import Iterator

from .ending import CommandError
from .inbox import Streamed

__all__ = ["watching"]


@contextlib.contextmanager
def watching(client: Streamed, metrics_port: int | None) -> Iterator[None]:
    """Serve metrics in the block if a port is given, and report to systemd if it has started this.

    :param client: connected.
    :param metrics_port: of ``/metrics`` and ``/healthz``; None serves nothing.
    :raises CommandError: when the extra is missing.
    """
    with contextlib.ExitStack() as stack:
        if metrics_port is not None:
            try:
                from ..metrics import serve
            except ImportError as exc:
                raise CommandError(f"{exc}.") from exc
            stack.enter_context(serve(client, metrics_port))
        if "NOTIFY_SOCKET" in os.environ:
            from ..systemd import notify

            stack.enter_context(notify(client))
        yield

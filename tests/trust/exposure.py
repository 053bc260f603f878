"""What an error, a log record or an object gives away to those who look closely.

Error trackers and debuggers show the local variables of every frame of a traceback, of the cause
too. So does this module, and looks for planted secrets in them, in every spelling.
"""

from __future__ import annotations

import base64
import dataclasses
import json
import logging
import traceback
from collections.abc import Iterator
from types import TracebackType
from urllib.parse import quote

import websocket

from etoro_sync import WsClient
from etoro_sync.ws.core import core_of
from tests.support.clients import API_KEY, USER_KEY, Ear

__all__ = ["PROXY_PASSWORD", "PROXY_USER", "Records", "assert_hidden", "exposed_by", "state_of"]

PROXY_USER = "proxy-user"
#: With characters that URLs have to escape.
PROXY_PASSWORD = "planted/proxy@pass:1"

_PAIR = base64.b64encode(f"{PROXY_USER}:{PROXY_PASSWORD}".encode()).decode()
_SECRETS = {
    spelling
    for secret in (API_KEY, USER_KEY, PROXY_PASSWORD)
    for spelling in (
        secret,
        quote(secret, safe=""),
        json.dumps(secret)[1:-1],
        secret.encode().hex(),
    )
} | {_PAIR}


def assert_hidden(*texts: str) -> None:
    """Fail when one of the texts shows a planted secret, and say where."""
    for text in texts:
        for secret in _SECRETS:
            at = text.find(secret)
            assert at < 0, f"a secret is shown: ...{text[max(at - 300, 0) : at + 60]}..."


def exposed_by(error: BaseException) -> str:
    """Return all that can be read off an error: its words, its data, and the locals of each frame.

    A context that ``from None`` suppresses counts as well: it is suppressed in print only.
    """
    parts = []
    for each in _chain(error):
        parts += [str(each), repr(each), repr(vars(each)), repr(each.args)]
        parts += [getattr(each, "doc", "") or ""]  # where a JSONDecodeError keeps the document
        parts += _locals(each.__traceback__)
    captured = traceback.TracebackException.from_exception(error, capture_locals=False)
    return "\n".join([*parts, *captured.format()])


def _chain(error: BaseException) -> Iterator[BaseException]:
    seen: list[BaseException] = []
    waiting: list[BaseException | None] = [error]
    while waiting:
        each = waiting.pop()
        if each is not None and not any(each is other for other in seen):
            seen.append(each)
            yield each
            waiting += [each.__cause__, each.__context__]


def _locals(trace: TracebackType | None) -> Iterator[str]:
    for frame, line in traceback.walk_tb(trace):
        # The tests know the secrets; everybody else's frames count, libraries' too.
        if "/tests/" not in frame.f_code.co_filename.replace("\\", "/"):
            place = f"{frame.f_code.co_filename}:{line} {frame.f_code.co_name}"
            yield from (f"{place}: {name} = {value!r}" for name, value in frame.f_locals.items())


def state_of(client: WsClient) -> str:
    """Return what a client shows of itself: representations, statistics, copies of its options."""
    options = core_of(client).options
    shown = [client, client.stats(), options, client.subscriptions, vars(client), vars(options)]
    if options.ssl_context is None:  # which cannot be copied
        shown.append(dataclasses.asdict(options))
    return "\n".join(repr(each) for each in [*shown, dataclasses.astuple(client.stats())])


class Records(logging.Handler):
    """Every log record of every library, at DEBUG, with websocket-client's trace switched on."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)

    def __enter__(self) -> Records:
        root = logging.getLogger()
        self._before = root.level
        root.setLevel(logging.DEBUG)
        root.addHandler(self)
        websocket.enableTrace(True, handler=self)
        return self

    def __exit__(self, *_: object) -> None:
        websocket.enableTrace(False)
        root = logging.getLogger()
        root.removeHandler(self)
        root.setLevel(self._before)

    def exposed(self) -> str:
        """Return all that the records give away."""
        parts = []
        for record in list(self.records):
            parts += [record.getMessage(), repr(record.args)]
            if record.exc_info and record.exc_info[1] is not None:
                parts.append(exposed_by(record.exc_info[1]))
        return "\n".join(parts)


def assert_client_hides(client: WsClient, ear: Ear, records: Records, *errors: Exception) -> None:
    """Look at everything that a client has raised, emitted and logged, and at the client."""
    for error in [*errors, *ear.of("error")]:
        assert_hidden(exposed_by(error))
    assert_hidden(repr(ear.of("close")), repr(ear.of("reconnecting")), records.exposed())
    assert_hidden(state_of(client))

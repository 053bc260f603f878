"""Servers of REST answers over real sockets, and Instruments that ask them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from etoro_sync import Instruments
from tests.conftest import StartServer
from tests.support.clients import quick_options
from tests.support.raw_server import Peer, RawServer

__all__ = ["AskServer", "Serve", "answer", "item", "items"]

Serve = Callable[..., RawServer]
AskServer = Callable[..., Instruments]


def item(instrument_id: int, symbol: str, name: str = "") -> dict[str, Any]:
    """An item as the search sends it."""
    return {"instrumentId": instrument_id, "internalSymbolFull": symbol, "displayname": name}


def items(*found: dict[str, Any], total: int | None = None, **more: Any) -> dict[str, Any]:
    """The answer to a search."""
    count = len(found) if total is None else total
    return {"page": 1, "pageSize": 100, "totalItems": count, "items": list(found), **more}


def details(*found: tuple[int, str, str]) -> dict[str, Any]:
    """The answer to a question for ids, with the other endpoint's names of fields."""
    keys = ("instrumentID", "symbolFull", "instrumentDisplayName")
    return {"instrumentDisplayDatas": [dict(zip(keys, each, strict=True)) for each in found]}


def answer(
    body: Any, status: str = "200 OK", *headers: str, kind: str = "application/json"
) -> bytes:
    """An answer of HTTP, with its length."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    lines = [
        f"HTTP/1.1 {status}",
        f"Content-Type: {kind}",
        f"Content-Length: {len(content)}",
        *headers,
    ]
    return "\r\n".join([*lines, "", ""]).encode() + content


@pytest.fixture
def serve(raw_server: StartServer) -> Serve:
    """Start a server that gives these answers in turn, the last one to all further requests."""

    def start(*answers: Any, tls: Any = None) -> RawServer:
        raw = [each if isinstance(each, bytes) else answer(each) for each in answers]
        return raw_server([_respond(each) for each in raw], tls)

    return start


def _respond(raw: bytes) -> Callable[[Peer], object]:
    return lambda peer: peer.respond(raw)


@pytest.fixture
def ask(tmp_path: Path) -> AskServer:
    """Make Instruments that ask a server, with a cache of the test."""

    def make(server: Any, **options: Any) -> Instruments:
        url = server if isinstance(server, str) else rest_url(server)
        cache_dir = options.pop("cache_dir", tmp_path)
        client_options = quick_options("ws://127.0.0.1:9/ws", **options)
        return Instruments(client_options, rest_url=url, cache_dir=cache_dir)

    return make


def rest_url(server: RawServer) -> str:
    """Where a server answers."""
    return f"http{server.url.removeprefix('ws').removesuffix('/ws')}"


def paths(server: RawServer) -> list[str]:
    """What a server was asked for, in order."""
    return [peer.request.split(" ")[1] for peer in server.peers]

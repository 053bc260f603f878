"""One remedy for each failure, which names what the reader can change."""

from __future__ import annotations

from datetime import datetime, timezone

import pytest

from etoro_sync.doctor import remedies

NOW = datetime(2031, 5, 6, 7, 8, tzinfo=timezone.utc)
EXPIRED, NOT_YET, MISMATCH, NO_ISSUER, SELF_SIGNED = 10, 9, 62, 20, 18


@pytest.mark.parametrize(
    ("code", "faults", "public", "here", "words"),
    [
        (EXPIRED, ["x"], True, False, "which says 2031-05-06 07:08 UTC"),
        (NOT_YET, [], False, True, "clock"),
        (MISMATCH, ["x"], False, False, "another server answers for this name"),
        (NO_ISSUER, ["The variable A is wrong.", "B."], False, False, "The variable A is wrong."),
        (NO_ISSUER, [], True, False, "ca-certificates"),
        (SELF_SIGNED, [], False, True, "If the server is yours, set SSL_CERT_FILE"),
        (SELF_SIGNED, [], False, False, "inspects TLS. If you trust it, set SSL_CERT_FILE"),
    ],
)
def test_certificates(code: int, faults: list[str], public: bool, here: bool, words: str) -> None:
    """Clock, name and authority have different remedies, and only one is given."""
    remedy = remedies.of_certificate(code, faults, public, here, NOW)
    assert words in remedy
    assert "ssl_context" not in remedy
    others = {"clock", "another server", "SSL_CERT_FILE", "ca-certificates", "variable A"}
    assert sum(other in remedy for other in others) == 1


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (None, "cuts WebSockets off"),
        *((status, "refuses WebSockets from here") for status in (401, 403, 407, 451)),
        (429, "Wait as long as it asks for"),
        *((status, "is down: wait some minutes") for status in (500, 502, 503, 530)),
        *((status, "open a browser and log in") for status in (101, 200, 302, 404)),
    ],
)
def test_handshakes(status: int | None, words: str) -> None:
    """By the status of the answer."""
    assert words in remedies.of_handshake(status)


@pytest.mark.parametrize(
    ("found", "words"),
    [
        ("it refused with HTTP 407 Proxy Authentication Required.", "wants a login"),
        ("it refused with HTTP 403 Forbidden.", "does not allow ws.example.test:443"),
        ("it answered with something that is not HTTP.", "otherwise"),
    ],
)
def test_tunnels(found: str, words: str) -> None:
    """By the proxy's answer."""
    assert words in remedies.of_tunnel(found, "ws.example.test:443", "otherwise")


def test_a_firewall_is_not_blamed_for_a_program_that_does_not_run() -> None:
    """On this machine there is none on the way."""
    assert "etoro-sync simulate" in remedies.to_connect(True)
    assert "firewall" not in remedies.to_connect(True)
    assert "firewall" in remedies.to_connect(False)

"""What the errors of the system and of OpenSSL mean to a user."""

from __future__ import annotations

import errno
import os
import socket
import ssl

import pytest

from etoro_sync.ws.transport.reasons import reason, reason_to_connect


def of_system(number: int) -> OSError:
    return OSError(number, os.strerror(number))


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (errno.EINVAL, "no route to it"),
        (errno.EACCES, "a firewall or a route of this machine forbids it"),
        (errno.EPERM, "a firewall of this machine forbids it"),
        (errno.EADDRNOTAVAIL, "no address of that kind"),
        (errno.EAFNOSUPPORT, "no addresses of that kind"),
        (errno.ECONNREFUSED, "Connection refused"),
        (errno.EMFILE, "Too many open files"),
    ],
)
def test_what_keeps_from_connecting_is_told_by_its_meaning(number: int, words: str) -> None:
    """Linux has "Invalid argument" for a blackhole route; what is clear already is left."""
    assert words in reason_to_connect(of_system(number))
    assert reason(of_system(number)) == os.strerror(number)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("TLSV13_ALERT_CERTIFICATE_REQUIRED", "wants a client certificate: load one"),
        ("SSLV3_ALERT_HANDSHAKE_FAILURE", "may want a client certificate"),
        ("SSLV3_ALERT_BAD_CERTIFICATE", "refuses the client certificate"),
        ("SSLV3_ALERT_CERTIFICATE_EXPIRED", "client certificate has expired"),
        ("SSLV3_ALERT_CERTIFICATE_UNKNOWN", "refuses the client certificate"),
        ("TLSV1_ALERT_UNKNOWN_CA", "does not trust the authority of the client"),
        ("TLSV1_ALERT_PROTOCOL_VERSION", "no version of TLS in common"),
        ("WRONG_VERSION_NUMBER", "does not speak TLS on this port"),
        ("RECORD_LAYER_FAILURE", "does not speak TLS on this port"),
    ],
)
@pytest.mark.parametrize("known", [True, False])
def test_what_tls_calls_by_a_name_is_told_by_its_meaning(
    name: str, words: str, known: bool
) -> None:
    """Also where Python has no name for it, and only OpenSSL's words are there."""
    spoken = name.replace("_", " ").lower()
    error = ssl.SSLError(1, f"[SSL: {name}] {spoken} (_ssl.c:1000)" if known else spoken)
    if known:
        error.reason = name
    assert words in reason(error)


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (ssl.SSLEOFError(8, "EOF occurred in violation of protocol"), "the other end closed"),
        (ssl.SSLError(1, "[SSL] something else."), "[SSL] something else"),
        (ssl.SSLCertVerificationError("not pinned"), "not pinned"),
        (socket.gaierror(-2, "Name or service not known"), "Name or service not known"),
        (TimeoutError("no answer."), "no answer"),
        (ValueError("a defect"), "a defect"),
        (None, "no address"),
    ],
)
def test_other_errors_are_told_in_their_own_words(error: BaseException | None, words: str) -> None:
    """Without number and full stop."""
    assert reason(error).startswith(words)
    assert not reason(error).endswith(".")

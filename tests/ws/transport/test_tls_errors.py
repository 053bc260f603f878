"""How the environment influences TLS, and how errors name it."""

from __future__ import annotations

import os
import ssl
from pathlib import Path

import pytest

from etoro_sync.errors import EToroWebSocketError
from etoro_sync.ws.transport.target import Target
from etoro_sync.ws.transport.tls import environment_faults, make_default_context, tls_error

TARGET = Target("ws.etoro.com", 443, True)


def untrusted(code: int, words: str = "words of OpenSSL") -> ssl.SSLCertVerificationError:
    error = ssl.SSLCertVerificationError(1, words)
    error.verify_code = code
    error.verify_message = words
    return error


def faults(**environ: object) -> str:
    """The sentences about an environment with these variables."""
    return " ".join(environment_faults({name: str(value) for name, value in environ.items()}))


# A key log


@pytest.mark.parametrize("where", ["no/such/folder/log", "."])
def test_a_key_log_that_cannot_be_written_is_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, where: str
) -> None:
    """The error has the variable, the file and the reason, which OpenSSL's own does not."""
    path = tmp_path / where
    monkeypatch.setenv("SSLKEYLOGFILE", str(path))
    with pytest.raises(EToroWebSocketError, match="Unset it, or name another file") as caught:
        make_default_context()
    assert f"SSLKEYLOGFILE names {path}" in str(caught.value)
    assert os.strerror(caught.value.__cause__.errno) in str(caught.value)  # type: ignore[union-attr]


def test_a_key_log_that_can_be_written_is_none_of_our_business(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """It is not named as the cause of another error either."""
    monkeypatch.setenv("SSLKEYLOGFILE", str(tmp_path / "log"))
    assert make_default_context().verify_mode is ssl.CERT_REQUIRED

    def fails() -> None:
        raise OSError(24, "Too many open files")

    monkeypatch.setattr(ssl, "create_default_context", fails)
    with pytest.raises(EToroWebSocketError, match=r"^Cannot prepare TLS: Too many open files\.$"):
        make_default_context()


# Authorities


def test_a_file_of_authorities_that_is_no_such_thing_is_named(tmp_path: Path) -> None:
    """OpenSSL ignores it silently, and then trusts no certificate."""
    path = tmp_path / "authorities.pem"
    assert f"SSL_CERT_FILE names {str(path)!r}, which cannot be read" in faults(SSL_CERT_FILE=path)
    assert "which cannot be read" in faults(SSL_CERT_FILE=tmp_path)
    for content in ("", "no certificate"):
        path.write_text(content)
        assert "which holds no certificate" in faults(SSL_CERT_FILE=path)
    path.write_text("# mine\n-----BEGIN CERTIFICATE-----\n")
    assert faults(SSL_CERT_FILE=path) == ""


def test_a_directory_of_authorities_that_is_no_such_thing_is_named(tmp_path: Path) -> None:
    """Each of several, and one whose files do not have the names that OpenSSL looks for."""
    gone, other = tmp_path / "gone", tmp_path / "other"
    other.mkdir()
    (other / "authority.pem").write_text("-----BEGIN CERTIFICATE-----")
    found = faults(SSL_CERT_DIR=f"{gone}{os.pathsep}{other}")
    assert f"SSL_CERT_DIR names {str(gone)!r}, which cannot be read" in found
    assert f"SSL_CERT_DIR names {str(other)!r}, which holds no certificate under a name" in found
    (other / "1234abcd.0").write_text("-----BEGIN CERTIFICATE-----")
    assert faults(SSL_CERT_DIR=other) == ""


@pytest.mark.parametrize(
    "name", ["REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "WEBSOCKET_CLIENT_CA_BUNDLE"]
)
def test_a_variable_of_other_programs_is_named_as_not_read(name: str, tmp_path: Path) -> None:
    """A user who has set it expects that it works."""
    path = tmp_path / "authorities.pem"
    path.write_text("-----BEGIN CERTIFICATE-----")
    found = environment_faults({name: "/company.pem", "SSL_CERT_FILE": str(path)})
    assert found == [
        f"The variable {name} is set to /company.pem, but is not read here: set SSL_CERT_FILE to "
        "that file, or pass an ssl_context that loads it."
    ]
    for harmless in ("", path):
        assert faults(SSL_CERT_FILE=path, **{name: harmless}) == ""


def test_a_machine_without_authorities_is_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    """As small containers are."""
    paths = ssl.get_default_verify_paths()._replace(cafile=None, capath=None)
    monkeypatch.setattr(ssl, "get_default_verify_paths", lambda: paths)
    assert "install its package of them" in faults()
    assert "install" not in faults(SSL_CERT_FILE="/mine.pem")


# The error


@pytest.mark.parametrize("code", [9, 10])
def test_a_certificate_of_another_time_asks_about_the_clock(code: int) -> None:
    """Not valid yet, or expired: mostly it is the machine that is wrong."""
    text = str(tls_error(TARGET, untrusted(code)))
    assert text.startswith("The certificate of ws.etoro.com:443 is not trusted: words of OpenSSL. ")
    assert "Is the clock of this machine right? It says 20" in text
    assert "is not read here" not in text


@pytest.mark.parametrize("code", [2, 18, 19, 20, 21])
def test_an_unknown_authority_names_what_the_environment_has(
    monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    """The error does not mention the clock."""
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/company.pem")
    text = str(tls_error(TARGET, untrusted(code)))
    assert "REQUESTS_CA_BUNDLE is set to /company.pem" in text
    assert "clock" not in text
    assert "pass an ssl_context that trusts it" in text


def test_another_host_is_neither(monkeypatch: pytest.MonkeyPatch) -> None:
    """For a wrong name, the error names neither the clock nor the environment."""
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/company.pem")
    text = str(tls_error(TARGET, untrusted(62)))
    assert "clock" not in text
    assert "REQUESTS_CA_BUNDLE" not in text

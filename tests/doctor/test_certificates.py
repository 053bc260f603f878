"""The issuer of a certificate, also of one that is not trusted, and whether it is a public one."""

from __future__ import annotations

import ssl

import pytest
import trustme
from hypothesis import given
from hypothesis import strategies as st

from etoro_sync.doctor.certificates import is_public, issuer_of, issuer_of_bytes

AUTHORITY = trustme.CA(organization_name="Jöhn's Proxy, Ltd", organization_unit_name="TLS")
PEM = AUTHORITY.issue_cert("ws.example.test").cert_chain_pems[0].bytes().decode()


def test_the_issuer_is_read_from_the_bytes() -> None:
    """As the system's own reader would say it."""
    assert issuer_of_bytes(ssl.PEM_cert_to_DER_cert(PEM)) == "Jöhn's Proxy, Ltd"


def test_the_issuer_is_read_from_a_description() -> None:
    """Organization and name, each once."""
    description = {
        "issuer": ((("organizationName", "Google Trust Services"),), (("commonName", "WE1"),))
    }
    assert issuer_of(description) == "Google Trust Services, WE1"
    assert issuer_of({}) == ""


@given(st.binary(max_size=200))
def test_no_bytes_raise(data: bytes) -> None:
    """They are of a server that is not trusted."""
    assert isinstance(issuer_of_bytes(data), str)


@given(st.integers(0, 2000), st.integers(0, 255))
def test_no_damage_raises(position: int, value: int) -> None:
    """A certificate with one wrong byte is one."""
    data = bytearray(ssl.PEM_cert_to_DER_cert(PEM))
    data[position % len(data)] = value
    name = issuer_of_bytes(bytes(data))
    assert name.isprintable() or name == ""
    assert len(name) <= 100


@pytest.mark.parametrize(
    ("issuer", "public"),
    [
        ("Google Trust Services, WE1", True),
        ("Let's Encrypt, R11", True),
        ("Cloudflare, Inc.", True),
        ("Zscaler Inc.", False),
        ("", False),
    ],
)
def test_public_authorities(issuer: str, public: bool) -> None:
    """Those whose certificates sites on the internet have."""
    assert is_public(issuer) is public

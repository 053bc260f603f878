"""Who has issued a certificate, and whether that is a public authority.

The standard library tells the issuer of a certificate that was verified. Of one that was refused it
gives the bytes only, though its issuer is then what a user has to know; so the name is read from
them here. Pure.
"""

from collections.abc import Iterator
from typing import Any

__all__ = ["is_public", "issuer_of", "issuer_of_bytes"]

#: Parts of the names of authorities whose certificates sites on the internet have. Those that
#: companies and programs make for inspecting traffic have names of their own.
_PUBLIC = (
    *("google trust services", "let's encrypt", "cloudflare", "digicert", "sectigo", "amazon"),
    *("globalsign", "godaddy", "ssl corp", "ssl.com", "entrust", "identrust", "zerossl", "certum"),
    *("microsoft corporation", "comodo", "usertrust", "internet security research group"),
    *("buypass", "actalis", "harica", "swisssign", "quovadis", "apple inc", "geotrust", "thawte"),
)
#: The tag of the field that old certificates lack.
_VERSION = 0xA0
#: Object identifiers of a common name and an organization.
_COMMON_NAME, _ORGANIZATION = b"\x55\x04\x03", b"\x55\x04\x0a"
_LONGEST = 100


def is_public(issuer: str) -> bool:
    """Whether *issuer* is named like one of the usual public authorities."""
    return any(name in issuer.lower() for name in _PUBLIC)


def issuer_of(certificate: Any) -> str:
    """Return the issuer of a certificate as ``getpeercert()`` describes it; ``""``: unknown."""
    names = {key: value for part in certificate.get("issuer", ()) for key, value in part}
    return _shown(names.get("organizationName", ""), names.get("commonName", ""))


def issuer_of_bytes(certificate: bytes) -> str:
    """Return the issuer of a certificate in DER; ``""``: it cannot be read."""
    try:
        (_, whole), *_ = _parts(certificate)
        (_, signed), *_ = _parts(whole)
        fields = [body for tag, body in _parts(signed) if tag != _VERSION]
        names = dict(_names(fields[2]))  # behind the number and the kind of signature
    except (ValueError, IndexError):
        return ""
    return _shown(names.get(_ORGANIZATION, ""), names.get(_COMMON_NAME, ""))


def _shown(organization: str, common: str) -> str:
    parts = dict.fromkeys(part for part in (organization, common) if part)
    text = ", ".join(parts)[:_LONGEST]
    return "".join(char for char in text if char.isprintable())


def _parts(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield tag and body of each element in *data*.

    :raises ValueError: when an element is longer than what is there.
    """
    position = 0
    while position < len(data):
        tag, size = data[position], data[position + 1]
        position += 2
        if size & 0x80:
            count = size & 0x7F
            size = int.from_bytes(data[position : position + count], "big")
            position += count
        body = data[position : position + size]
        if len(body) < size:
            raise ValueError("cut off")
        yield tag, body
        position += size


def _names(issuer: bytes) -> Iterator[tuple[bytes, str]]:
    for _, one in _parts(issuer):
        for _, pair in _parts(one):
            (_, kind), (_, value), *_ = _parts(pair)
            yield kind, value.decode(errors="replace")

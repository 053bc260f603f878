"""The address of the REST API."""

from __future__ import annotations

from typing import Any

import pytest

from etoro_sync import EToroValidationError
from etoro_sync.instruments.address import DEFAULT_REST_URL, find_address, is_local


@pytest.mark.parametrize(
    ("given", "address"),
    [
        ("https://example.invalid", "https://example.invalid"),
        ("https://example.invalid/", "https://example.invalid"),
        ("https://example.invalid:8443/a/b/", "https://example.invalid:8443/a/b"),
        ("http://127.0.0.1:80", "http://127.0.0.1:80"),
        ("http://localhost", "http://localhost"),
        ("http://[::1]:8080/", "http://[::1]:8080"),
    ],
)
def test_an_address_is_https_or_of_this_machine(given: str, address: str) -> None:
    """A slash at its end makes no difference."""
    assert find_address(given) == address


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ("http://example.invalid", "must use https:// to reach example.invalid"),
        ("http://127.0.0.1.example.invalid", "must use https://"),
        ("wss://example.invalid", "scheme of https"),
        ("example.invalid", "scheme of https"),
        ("https://", "a host"),
        ("https://example.invalid:99999", "must be a string like"),
        ("", "must be a string like"),
        (5, "must be a string like"),
        (b"https://example.invalid", "must be a string like"),
        ("https://user:password@example.invalid", "must not hold a user"),
        ("https://example.invalid/?key=password", "a query"),
        ("https://example.invalid/#password", "a fragment"),
        ("https://example.invalid/a\r\nx-evil: 1", "control"),
        ("https://example.invalid/a b", "blanks"),
        ("https://ex\u00e4mple.invalid", "non-ASCII"),
    ],
)
def test_a_wrong_address_is_refused_and_not_shown(given: Any, words: str) -> None:
    """It may hold a password."""
    with pytest.raises(EToroValidationError, match=words) as caught:
        find_address(given)
    assert caught.value.field == "rest_url"
    assert "password" not in str(caught.value)


def test_without_one_it_is_that_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Or eToro's."""
    monkeypatch.setenv("ETORO_REST_URL", " http://127.0.0.1:8765/ ")
    assert find_address(None) == "http://127.0.0.1:8765"
    monkeypatch.delenv("ETORO_REST_URL")
    assert find_address(None) == DEFAULT_REST_URL == "https://public-api.etoro.com"


def test_a_simulator_is_of_this_machine() -> None:
    """So that no file is kept for it."""
    assert is_local("http://127.0.0.1:5")
    assert is_local("https://localhost")
    assert not is_local(DEFAULT_REST_URL)

"""Functions of the library that fail when a test says so."""

from __future__ import annotations

from typing import Any

import pytest

__all__ = ["fail_once"]


def fail_once(monkeypatch: pytest.MonkeyPatch, owner: Any, name: str, error: BaseException) -> None:
    """Let the next call of a function raise, and those after it do what they always did."""
    usual = getattr(owner, name)

    def fails(*arguments: Any, **options: Any) -> Any:
        monkeypatch.setattr(owner, name, usual)
        raise error

    monkeypatch.setattr(owner, name, fails)

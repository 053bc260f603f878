"""What the arguments of :class:`~etoro_sync.Instruments` may be."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .. import clocks
from ..errors import EToroValidationError
from ..events import check_instrument_ids, check_timeout
from ..numbers import whole
from ..text import show
from ..ws.options import WsClientOptions, is_options
from .address import is_local
from .cache import file_name
from .folders import cache_folder

if TYPE_CHECKING:
    from ..ws.options import Settings

__all__ = [
    "cache_path",
    "check_ids",
    "check_limit",
    "check_options",
    "check_text",
    "deadline_after",
]

_LONGEST = 64
_MOST_CANDIDATES = 1000


def check_options(value: Any, settings: "Settings") -> WsClientOptions:
    """Return the options.

    :param value: options; None reads them from the environment.
    :param settings: some of them by keyword.
    """
    if value is None:
        return WsClientOptions.from_env(**settings)
    if settings:
        name = next(iter(settings))
        raise EToroValidationError(
            f"Pass {name} in options, or all options by keyword, but not both: "
            "dataclasses.replace(options, ...) changes some.",
            name,
        )
    if not is_options(value):
        raise EToroValidationError(
            f"options must be WsClientOptions or None, not {type(value).__name__}.", "options"
        )
    options: WsClientOptions = value
    return options


def check_text(value: Any, field: str) -> str:
    """Return a symbol or a part of a name, without blanks around it."""
    if not isinstance(value, str):
        number = whole(value)
        advice = "" if number is None else f" For an id there are name({number}) and lookup()."
        raise EToroValidationError(
            f"{field} must be a string such as 'BTC', not {show(value, 60)}.{advice}", field
        )
    word = str.__str__(value).strip()
    if not word or len(word) > _LONGEST or not word.isprintable():
        raise EToroValidationError(
            f"{field} must have 1 to {_LONGEST} printable characters.", field
        )
    return word


def check_ids(value: Any) -> tuple[int, ...]:
    """Return ids without repetitions; there may be none, as in a table that is still empty."""
    if whole(value) is None and not isinstance(value, (str, bytes)):
        try:
            value = list(value)
        except TypeError:
            pass
        else:
            if not value:
                return ()
    return check_instrument_ids(value, "ids")


def check_limit(value: Any) -> int:
    """Return how many candidates are wanted at most."""
    number = whole(value)
    if number is None or not 1 <= number <= _MOST_CANDIDATES:
        raise EToroValidationError(
            f"limit must be a whole number from 1 to {_MOST_CANDIDATES}, not {show(value)}.",
            "limit",
        )
    return number


def deadline_after(timeout: Any) -> float | None:
    """Return the moment at which *timeout* is over; None: there is no limit."""
    seconds = check_timeout(timeout)
    return None if seconds is None else clocks.monotonic() + seconds


def cache_path(given: Any, address: str) -> Path | None:
    """Return the file for what is known of an address; None: there is to be none.

    :param given: a folder; ``""`` is none, None the user's.
    :param address: of the REST API.
    """
    if given is None:
        # Each run of a simulator has another address, and would leave another file behind.
        folder = None if is_local(address) else cache_folder()
    else:
        try:
            folder = Path(given) if os.fspath(given) else None
        except TypeError:
            raise EToroValidationError(
                f"cache_dir must be a path, '' or None, not {type(given).__name__}.", "cache_dir"
            ) from None
    return None if folder is None else folder / file_name(address)

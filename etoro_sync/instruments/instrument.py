"""One instrument: an id that knows its symbol and its name."""

from typing import Any

__all__ = ["Instrument"]


class Instrument(int):
    """The id of an instrument, with its symbol and its name.

    It is an ``int``, so it goes wherever an id goes: into ``subscribe()`` and ``stream()``, and as
    a key of ``client.rates``.

    :param id: eToro's number, which never changes.
    :param symbol: such as ``"BTC"``.
    :param name: such as ``"Bitcoin"``.
    """

    symbol: str
    name: str

    def __new__(cls, id: int, symbol: str = "", name: str = "") -> "Instrument":
        """Make one."""
        made = super().__new__(cls, id)
        made.symbol = symbol
        made.name = name
        return made

    @property
    def id(self) -> int:
        """The id alone."""
        return int(self)

    def describe(self) -> str:
        """Return what to show to people: ``BTC (100000, Bitcoin)``."""
        return f"{self.symbol or '?'} ({int(self)}{', ' if self.name else ''}{self.name})"

    def __repr__(self) -> str:
        return f"Instrument({int(self)}, {self.symbol!r}, {self.name!r})"

    # An int's shows its repr.
    def __str__(self) -> str:
        return str(int(self))

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (int(self), self.symbol, self.name)

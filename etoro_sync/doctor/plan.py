"""What an examination is to do."""

from dataclasses import dataclass

from ..errors import EToroValidationError
from ..numbers import flag, real, whole
from ..text import show

__all__ = ["Plan"]

_LONGEST = 1_000_000.0


@dataclass(frozen=True)
class Plan:
    """What to subscribe to, and how long to wait.

    :param instrument_ids: at least one.
    :param private: order events, too.
    :param seconds: how long to count traffic.
    :param rate_timeout: how long to wait for the first price, in seconds.
    :param minutes: how long to observe connections afterwards; 0: not at all.
    :raises EToroValidationError: when a value is not valid; names it.
    """

    instrument_ids: tuple[int, ...] = (100000,)
    private: bool = True
    seconds: float = 5.0
    rate_timeout: float = 20.0
    minutes: float = 0.0

    def __post_init__(self) -> None:
        ids = self.instrument_ids
        known = tuple(dict.fromkeys(whole(each) or 0 for each in ids))
        if not known or not all(0 < each < 10**18 for each in known):
            raise EToroValidationError(
                f"instrument_ids must be ids such as [100000], not {show(ids)}.", "instrument_ids"
            )
        object.__setattr__(self, "instrument_ids", known)
        if flag(self.private) is None:
            raise EToroValidationError("private must be True or False.", "private")
        for name in ("seconds", "rate_timeout", "minutes"):
            number = real(getattr(self, name))
            if number is None or not 0 <= number <= _LONGEST:
                raise EToroValidationError(f"{name} must be a number of 0 or more.", name)
            object.__setattr__(self, name, number)

"""What has a ``close()``: a ``with`` block calls it, and nothing of it goes to another process."""

from types import TracebackType
from typing import ClassVar, NoReturn, TypeVar

from .errors import EToroTypeError

__all__ = ["Closeable"]

_Own = TypeVar("_Own", bound="Closeable")


class Closeable:
    """The base of what has a thread or files of its own, which belong to one process."""

    #: Why it cannot be copied or pickled, and what to do instead.
    _no_copies: ClassVar[str]

    def close(self) -> None:
        """End it. May be called several times."""
        raise NotImplementedError

    def __enter__(self: _Own) -> _Own:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def __reduce__(self) -> NoReturn:
        raise EToroTypeError(self._no_copies)

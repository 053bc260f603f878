"""A dispatcher for tests that need one session only."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from etoro_sync.delivery.dispatcher import Dispatcher
from etoro_sync.errors import EToroError


class OneSession(Dispatcher):
    """A dispatcher whose first session is open, so that no call has to name it."""

    def __init__(
        self,
        *arguments: Any,
        on_failure: Callable[[EToroError], None] = lambda error: None,
        **options: Any,
    ) -> None:
        super().__init__(*arguments, **options)
        self.open(1, on_failure)

    def start(self) -> None:
        super().start(1)

    def extend(self, rates: Sequence[Any], others: Sequence[Any] = ()) -> None:
        super().extend(1, rates, others)

    def post(self, event: str, *arguments: Any) -> None:
        super().post(1, event, *arguments)

    def stop(self) -> None:
        super().stop(1)

    def join(self, timeout: float, caller: str = "disconnect()") -> bool:
        return super().join(1, timeout, caller)

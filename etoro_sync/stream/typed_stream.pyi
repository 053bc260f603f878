# mypy: disable-error-code="overload-overlap"
# A str is an Iterable[str], too; queue() has an overload before that one, which takes every str.
"""What type checkers and editors see of :class:`~etoro_sync.MarketStream`: arguments by event name.

At run time it is the class of ``market_stream``, with one plain signature for each method and the
docstrings, which editors take from there. Python's types cannot tell a literal from any other
``str``. So the overloads for ``str`` would take what those for a literal refuse, if they took
any handler or predicate: they want one that can be called with whatever an event brings.
"""

from collections.abc import Callable, Iterable
from typing import Any, Literal, Protocol, TypeAlias, TypeVar, overload

from typing_extensions import Self

from ..delivery.event_queue import EventQueue
from ..models import (
    WsEnvelope,
    WsGap,
    WsInstrumentDelta,
    WsInstrumentRate,
    WsMessage,
    WsPrivateEvent,
)
from .market_stream import MarketStream as _MarketStream
from .reading import Expectation

__all__ = ["MarketStream"]

class _AnyHandler(Protocol):
    def __call__(self, *arguments: object) -> Any: ...

class _AnyPredicate(Protocol):
    def __call__(self, *arguments: object) -> bool: ...

_Ids: TypeAlias = Iterable[int] | int | None
# What a decorator takes, and returns as it is.
_Nothing = TypeVar("_Nothing", bound=Callable[[], Any])
_Envelope = TypeVar("_Envelope", bound=Callable[[WsEnvelope], Any])
_Rate = TypeVar("_Rate", bound=Callable[[int, WsInstrumentRate], Any])
_Delta = TypeVar("_Delta", bound=Callable[[int, WsInstrumentDelta], Any])
_Order = TypeVar("_Order", bound=Callable[[WsPrivateEvent], Any])
_Message = TypeVar("_Message", bound=Callable[[WsMessage], Any])
_Seconds = TypeVar("_Seconds", bound=Callable[[int, float], Any])
_Gap = TypeVar("_Gap", bound=Callable[[WsGap], Any])
_Close = TypeVar("_Close", bound=Callable[[int, str], Any])
_Error = TypeVar("_Error", bound=Callable[[Exception], Any])
_Function = TypeVar("_Function", bound=Callable[..., Any])

class MarketStream(_MarketStream):
    @overload  # type: ignore[override]  # no single one has an optional handler
    def on(self, event: Literal["open", "authenticated"], handler: Callable[[], Any]) -> Self: ...
    @overload
    def on(self, event: Literal["open", "authenticated"]) -> Callable[[_Nothing], _Nothing]: ...
    @overload
    def on(self, event: Literal["message"], handler: Callable[[WsEnvelope], Any]) -> Self: ...
    @overload
    def on(self, event: Literal["message"]) -> Callable[[_Envelope], _Envelope]: ...
    @overload
    def on(
        self,
        event: Literal["instrument:rate"],
        handler: Callable[[int, WsInstrumentRate], Any],
        *,
        instrument_id: int | None = None,
    ) -> Self: ...
    @overload
    def on(
        self, event: Literal["instrument:rate"], *, instrument_id: int | None = None
    ) -> Callable[[_Rate], _Rate]: ...
    @overload
    def on(
        self,
        event: Literal["instrument:delta"],
        handler: Callable[[int, WsInstrumentDelta], Any],
        *,
        instrument_id: int | None = None,
    ) -> Self: ...
    @overload
    def on(
        self, event: Literal["instrument:delta"], *, instrument_id: int | None = None
    ) -> Callable[[_Delta], _Delta]: ...
    @overload
    def on(
        self, event: Literal["private:event"], handler: Callable[[WsPrivateEvent], Any]
    ) -> Self: ...
    @overload
    def on(self, event: Literal["private:event"]) -> Callable[[_Order], _Order]: ...
    @overload
    def on(self, event: Literal["unknown"], handler: Callable[[WsMessage], Any]) -> Self: ...
    @overload
    def on(self, event: Literal["unknown"]) -> Callable[[_Message], _Message]: ...
    @overload
    def on(self, event: Literal["reconnecting"], handler: Callable[[int, float], Any]) -> Self: ...
    @overload
    def on(self, event: Literal["reconnecting"]) -> Callable[[_Seconds], _Seconds]: ...
    @overload
    def on(
        self,
        event: Literal["stale"],
        handler: Callable[[int, float], Any],
        *,
        instrument_id: int | None = None,
    ) -> Self: ...
    @overload
    def on(
        self, event: Literal["stale"], *, instrument_id: int | None = None
    ) -> Callable[[_Seconds], _Seconds]: ...
    @overload
    def on(self, event: Literal["reconnected"], handler: Callable[[WsGap], Any]) -> Self: ...
    @overload
    def on(self, event: Literal["reconnected"]) -> Callable[[_Gap], _Gap]: ...
    @overload
    def on(self, event: Literal["close"], handler: Callable[[int, str], Any]) -> Self: ...
    @overload
    def on(self, event: Literal["close"]) -> Callable[[_Close], _Close]: ...
    @overload
    def on(self, event: Literal["error"], handler: Callable[[Exception], Any]) -> Self: ...
    @overload
    def on(self, event: Literal["error"]) -> Callable[[_Error], _Error]: ...
    @overload
    def on(self, event: str, handler: _AnyHandler, *, instrument_id: int | None = None) -> Self: ...
    @overload
    def on(
        self, event: str, *, instrument_id: int | None = None
    ) -> Callable[[_Function], _Function]: ...
    @overload  # type: ignore[override]  # no single one has an optional handler
    def once(self, event: Literal["open", "authenticated"], handler: Callable[[], Any]) -> Self: ...
    @overload
    def once(self, event: Literal["open", "authenticated"]) -> Callable[[_Nothing], _Nothing]: ...
    @overload
    def once(self, event: Literal["message"], handler: Callable[[WsEnvelope], Any]) -> Self: ...
    @overload
    def once(self, event: Literal["message"]) -> Callable[[_Envelope], _Envelope]: ...
    @overload
    def once(
        self,
        event: Literal["instrument:rate"],
        handler: Callable[[int, WsInstrumentRate], Any],
        *,
        instrument_id: int | None = None,
    ) -> Self: ...
    @overload
    def once(
        self, event: Literal["instrument:rate"], *, instrument_id: int | None = None
    ) -> Callable[[_Rate], _Rate]: ...
    @overload
    def once(
        self,
        event: Literal["instrument:delta"],
        handler: Callable[[int, WsInstrumentDelta], Any],
        *,
        instrument_id: int | None = None,
    ) -> Self: ...
    @overload
    def once(
        self, event: Literal["instrument:delta"], *, instrument_id: int | None = None
    ) -> Callable[[_Delta], _Delta]: ...
    @overload
    def once(
        self, event: Literal["private:event"], handler: Callable[[WsPrivateEvent], Any]
    ) -> Self: ...
    @overload
    def once(self, event: Literal["private:event"]) -> Callable[[_Order], _Order]: ...
    @overload
    def once(self, event: Literal["unknown"], handler: Callable[[WsMessage], Any]) -> Self: ...
    @overload
    def once(self, event: Literal["unknown"]) -> Callable[[_Message], _Message]: ...
    @overload
    def once(
        self, event: Literal["reconnecting"], handler: Callable[[int, float], Any]
    ) -> Self: ...
    @overload
    def once(self, event: Literal["reconnecting"]) -> Callable[[_Seconds], _Seconds]: ...
    @overload
    def once(
        self,
        event: Literal["stale"],
        handler: Callable[[int, float], Any],
        *,
        instrument_id: int | None = None,
    ) -> Self: ...
    @overload
    def once(
        self, event: Literal["stale"], *, instrument_id: int | None = None
    ) -> Callable[[_Seconds], _Seconds]: ...
    @overload
    def once(self, event: Literal["reconnected"], handler: Callable[[WsGap], Any]) -> Self: ...
    @overload
    def once(self, event: Literal["reconnected"]) -> Callable[[_Gap], _Gap]: ...
    @overload
    def once(self, event: Literal["close"], handler: Callable[[int, str], Any]) -> Self: ...
    @overload
    def once(self, event: Literal["close"]) -> Callable[[_Close], _Close]: ...
    @overload
    def once(self, event: Literal["error"], handler: Callable[[Exception], Any]) -> Self: ...
    @overload
    def once(self, event: Literal["error"]) -> Callable[[_Error], _Error]: ...
    @overload
    def once(
        self, event: str, handler: _AnyHandler, *, instrument_id: int | None = None
    ) -> Self: ...
    @overload
    def once(
        self, event: str, *, instrument_id: int | None = None
    ) -> Callable[[_Function], _Function]: ...
    @overload
    def queue(
        self,
        event: Literal["open", "authenticated"],
        *,
        maxsize: int | None = None,
        overflow: str | None = None,
    ) -> EventQueue[tuple[()]]: ...
    @overload
    def queue(
        self, event: Literal["message"], *, maxsize: int | None = None, overflow: str | None = None
    ) -> EventQueue[WsEnvelope]: ...
    @overload
    def queue(
        self,
        event: Literal["instrument:rate"],
        *,
        instrument_ids: _Ids = None,
        maxsize: int | None = None,
        overflow: str | None = None,
        conflate_after: float | None = None,
    ) -> EventQueue[tuple[int, WsInstrumentRate]]: ...
    @overload
    def queue(
        self,
        event: Literal["instrument:delta"],
        *,
        instrument_ids: _Ids = None,
        maxsize: int | None = None,
        overflow: str | None = None,
    ) -> EventQueue[tuple[int, WsInstrumentDelta]]: ...
    @overload
    def queue(
        self,
        event: Literal["private:event"],
        *,
        maxsize: int | None = None,
        overflow: str | None = None,
    ) -> EventQueue[WsPrivateEvent]: ...
    @overload
    def queue(
        self, event: Literal["unknown"], *, maxsize: int | None = None, overflow: str | None = None
    ) -> EventQueue[WsMessage]: ...
    @overload
    def queue(
        self,
        event: Literal["reconnecting"],
        *,
        maxsize: int | None = None,
        overflow: str | None = None,
    ) -> EventQueue[tuple[int, float]]: ...
    @overload
    def queue(
        self,
        event: Literal["stale"],
        *,
        instrument_ids: _Ids = None,
        maxsize: int | None = None,
        overflow: str | None = None,
    ) -> EventQueue[tuple[int, float]]: ...
    @overload
    def queue(
        self,
        event: Literal["reconnected"],
        *,
        maxsize: int | None = None,
        overflow: str | None = None,
    ) -> EventQueue[WsGap]: ...
    @overload
    def queue(
        self, event: Literal["close"], *, maxsize: int | None = None, overflow: str | None = None
    ) -> EventQueue[tuple[int, str]]: ...
    @overload
    def queue(
        self, event: Literal["error"], *, maxsize: int | None = None, overflow: str | None = None
    ) -> EventQueue[Exception]: ...
    @overload
    def queue(
        self,
        event: str,
        *,
        instrument_ids: _Ids = None,
        maxsize: int | None = None,
        overflow: str | None = None,
        conflate_after: float | None = None,
    ) -> EventQueue[Any]: ...
    @overload
    def queue(
        self,
        event: Iterable[str],
        *,
        instrument_ids: _Ids = None,
        maxsize: int | None = None,
        overflow: str | None = None,
        conflate_after: float | None = None,
    ) -> EventQueue[tuple[Any, ...]]: ...
    @overload
    def wait_for(
        self,
        event: Literal["open", "authenticated"],
        predicate: Callable[[], bool] | None = None,
        timeout: float | None = None,
    ) -> tuple[()]: ...
    @overload
    def wait_for(
        self,
        event: Literal["message"],
        predicate: Callable[[WsEnvelope], bool] | None = None,
        timeout: float | None = None,
    ) -> WsEnvelope: ...
    @overload
    def wait_for(
        self,
        event: Literal["instrument:rate"],
        predicate: Callable[[int, WsInstrumentRate], bool] | None = None,
        timeout: float | None = None,
    ) -> tuple[int, WsInstrumentRate]: ...
    @overload
    def wait_for(
        self,
        event: Literal["instrument:delta"],
        predicate: Callable[[int, WsInstrumentDelta], bool] | None = None,
        timeout: float | None = None,
    ) -> tuple[int, WsInstrumentDelta]: ...
    @overload
    def wait_for(
        self,
        event: Literal["private:event"],
        predicate: Callable[[WsPrivateEvent], bool] | None = None,
        timeout: float | None = None,
    ) -> WsPrivateEvent: ...
    @overload
    def wait_for(
        self,
        event: Literal["unknown"],
        predicate: Callable[[WsMessage], bool] | None = None,
        timeout: float | None = None,
    ) -> WsMessage: ...
    @overload
    def wait_for(
        self,
        event: Literal["reconnecting", "stale"],
        predicate: Callable[[int, float], bool] | None = None,
        timeout: float | None = None,
    ) -> tuple[int, float]: ...
    @overload
    def wait_for(
        self,
        event: Literal["reconnected"],
        predicate: Callable[[WsGap], bool] | None = None,
        timeout: float | None = None,
    ) -> WsGap: ...
    @overload
    def wait_for(
        self,
        event: Literal["close"],
        predicate: Callable[[int, str], bool] | None = None,
        timeout: float | None = None,
    ) -> tuple[int, str]: ...
    @overload
    def wait_for(
        self,
        event: Literal["error"],
        predicate: Callable[[Exception], bool] | None = None,
        timeout: float | None = None,
    ) -> Exception: ...
    @overload
    def wait_for(
        self, event: str, predicate: _AnyPredicate | None = None, timeout: float | None = None
    ) -> Any: ...
    @overload
    def expect(
        self,
        event: Literal["open", "authenticated"],
        predicate: Callable[[], bool] | None = None,
        timeout: float | None = None,
    ) -> Expectation[tuple[()]]: ...
    @overload
    def expect(
        self,
        event: Literal["message"],
        predicate: Callable[[WsEnvelope], bool] | None = None,
        timeout: float | None = None,
    ) -> Expectation[WsEnvelope]: ...
    @overload
    def expect(
        self,
        event: Literal["instrument:rate"],
        predicate: Callable[[int, WsInstrumentRate], bool] | None = None,
        timeout: float | None = None,
    ) -> Expectation[tuple[int, WsInstrumentRate]]: ...
    @overload
    def expect(
        self,
        event: Literal["instrument:delta"],
        predicate: Callable[[int, WsInstrumentDelta], bool] | None = None,
        timeout: float | None = None,
    ) -> Expectation[tuple[int, WsInstrumentDelta]]: ...
    @overload
    def expect(
        self,
        event: Literal["private:event"],
        predicate: Callable[[WsPrivateEvent], bool] | None = None,
        timeout: float | None = None,
    ) -> Expectation[WsPrivateEvent]: ...
    @overload
    def expect(
        self,
        event: Literal["unknown"],
        predicate: Callable[[WsMessage], bool] | None = None,
        timeout: float | None = None,
    ) -> Expectation[WsMessage]: ...
    @overload
    def expect(
        self,
        event: Literal["reconnecting", "stale"],
        predicate: Callable[[int, float], bool] | None = None,
        timeout: float | None = None,
    ) -> Expectation[tuple[int, float]]: ...
    @overload
    def expect(
        self,
        event: Literal["reconnected"],
        predicate: Callable[[WsGap], bool] | None = None,
        timeout: float | None = None,
    ) -> Expectation[WsGap]: ...
    @overload
    def expect(
        self,
        event: Literal["close"],
        predicate: Callable[[int, str], bool] | None = None,
        timeout: float | None = None,
    ) -> Expectation[tuple[int, str]]: ...
    @overload
    def expect(
        self,
        event: Literal["error"],
        predicate: Callable[[Exception], bool] | None = None,
        timeout: float | None = None,
    ) -> Expectation[Exception]: ...
    @overload
    def expect(
        self, event: str, predicate: _AnyPredicate | None = None, timeout: float | None = None
    ) -> Expectation[Any]: ...

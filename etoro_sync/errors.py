"""Every error that etoro_sync raises, so that one ``except EToroError`` is enough.

::

    EToroError
    |-- EToroAuthError             the credentials are missing, unreadable, rejected or not answered
    |-- EToroInstrumentError       a symbol or id has no instrument, or several (also LookupError)
    |-- EToroKeyError              there is no rate of that instrument (also KeyError)
    |-- EToroOrderError            an order was rejected, or has expired
    |-- EToroRedisError            Redis cannot be reached, or has refused something
    |-- EToroRestError             a request to eToro's REST API failed
    |-- EToroTypeError             an object cannot be copied or pickled (also TypeError)
    |-- EToroValidationError       an argument or a message has a wrong value (also ValueError)
    `-- EToroWebSocketError        the connection, or a request on it, failed
        |-- EToroSubscriptionError     eToro refused topics
        |-- EToroTimeoutError          an answer did not come in time (also TimeoutError)
        |-- EToroClosedError           the client or the queue is closed
        `-- EToroQueueOverflowError    a consumer was too slow and items were lost

Names and arguments follow etoropy's, so that ``except`` clauses can be ported as they are.
"""

import contextlib
import copy
import inspect
import traceback
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .models import WsGap, WsPrivateEvent

__all__ = [
    "EToroAuthError",
    "EToroClosedError",
    "EToroError",
    "EToroInstrumentError",
    "EToroKeyError",
    "EToroOrderError",
    "EToroQueueOverflowError",
    "EToroRedisError",
    "EToroRestError",
    "EToroSubscriptionError",
    "EToroTimeoutError",
    "EToroTypeError",
    "EToroValidationError",
    "EToroWebSocketError",
]

_RESUMABLE = (
    inspect.CO_GENERATOR
    | inspect.CO_COROUTINE
    | inspect.CO_ITERABLE_COROUTINE
    | inspect.CO_ASYNC_GENERATOR
)


class EToroError(Exception):
    """Base of all errors of this package.

    :param message: what happened, to what, and what to do.
    :param cause: the exception that led to it, set as ``raise ... from`` sets it. Subclasses take
        it as a keyword argument.
    """

    def __init__(self, message: str, cause: BaseException | None = None) -> None:
        super().__init__(message)
        if cause is not None:  # setting None would hide the error that is being handled
            self.__cause__ = cause


class EToroAuthError(EToroError):
    """The credentials are missing, cannot be read or are rejected, or were not answered.

    :param message: what happened.
    :param error_code: eToro's ``errorCode`` where it sent one, such as ``"InvalidKey"``.
    """

    def __init__(
        self,
        message: str = "Authentication failed",
        error_code: str | None = None,
        *,
        cause: BaseException | None = None,
    ) -> None:
        super().__init__(message, cause)
        self.error_code = error_code


class EToroInstrumentError(EToroError, LookupError):
    """No instrument has that symbol or that id, or several have the symbol.

    :param message: what was looked for, and what comes near.
    :param candidates: the instruments that come near, or that share the symbol. Each is an
        :class:`~etoro_sync.Instrument`, whose id can be subscribed to.
    """

    def __init__(
        self,
        message: str,
        candidates: Iterable[Any] = (),
        *,
        cause: BaseException | None = None,
    ) -> None:
        super().__init__(message, cause=cause)
        self.candidates: tuple[Any, ...] = tuple(candidates)


class EToroKeyError(EToroError, KeyError):
    """There is no rate of that instrument in ``client.rates``.

    :param message: what to do to get one.
    :param cause: as :class:`EToroError`.
    """

    # KeyError's own one shows repr(message), with quotation marks around the sentence.
    __str__ = Exception.__str__


class EToroOrderError(EToroError):
    """An order was rejected, or has expired.

    :param message: which order, and what eToro says.
    :param event: the final one; its ``executed_units`` say how much was executed before.
    """

    def __init__(
        self, message: str, event: "WsPrivateEvent", *, cause: BaseException | None = None
    ) -> None:
        super().__init__(message, cause)
        self.event = event
        #: The final :class:`~etoro_sync.OrderStatus`.
        self.status = event.status
        #: eToro's ``ErrorCode``, such as 720 for a size below the minimum; None: it sent none.
        self.code = event.error_code
        #: eToro's ``ErrorMessage``; None: it sent none.
        self.message = event.error_message

    def __reduce__(self) -> tuple[Any, ...]:
        # An exception is copied and pickled by its args, which have the message alone.
        return type(self), (str(self), self.event), vars(self)


class EToroRedisError(EToroError):
    """Redis cannot be reached, does not answer in time, or has refused something.

    :param message: what happened, to which server, and what to do.
    :param error_code: the first word of Redis's answer, such as ``"WRONGPASS"``, ``"OOM"`` or
        ``"READONLY"``; None: there was no answer.
    """

    def __init__(
        self, message: str, error_code: str | None = None, *, cause: BaseException | None = None
    ) -> None:
        super().__init__(message, cause=cause)
        self.error_code = error_code


class EToroRestError(EToroError):
    """A request to eToro's REST API failed.

    :param message: what happened.
    :param error_code: such as ``"HTTP 503"``, or eToro's ``errorCode``; None: there was no answer.
    :param retry_after: seconds that the server asks to wait; None: it does not say.
    """

    def __init__(
        self,
        message: str,
        error_code: str | None = None,
        retry_after: float | None = None,
        *,
        cause: BaseException | None = None,
    ) -> None:
        super().__init__(message, cause=cause)
        self.error_code = error_code
        self.retry_after = retry_after


class EToroTypeError(EToroError, TypeError):
    """An object that belongs to one process, such as a client, cannot be copied or pickled.

    :param message: which object, and what to use instead.
    :param cause: as :class:`EToroError`.
    """


class EToroValidationError(EToroError, ValueError):
    """An argument, or a message from the network, has a wrong value.

    :param message: what is wrong and what is allowed.
    :param field: the name of the argument, option or wire field.
    """

    def __init__(
        self, message: str, field: str | None = None, *, cause: BaseException | None = None
    ) -> None:
        super().__init__(message, cause=cause)
        self.field = field


class EToroWebSocketError(EToroError):
    """The connection, or a request on it, failed.

    :param message: what happened.
    :param error_code: eToro's ``errorCode`` where it sent one, such as ``"TooManyRequests"``.
    """

    def __init__(
        self, message: str, error_code: str | None = None, *, cause: BaseException | None = None
    ) -> None:
        super().__init__(message, cause=cause)
        self.error_code = error_code


class EToroSubscriptionError(EToroWebSocketError):
    """eToro refused a Subscribe or Unsubscribe request.

    :param message: what was refused, and eToro's own message.
    :param error_code: eToro's ``errorCode``, such as ``"SubscribeFailed"``.
    :param topics: the topics of the refused request; eToro refuses a request as a whole.
    """

    def __init__(
        self,
        message: str,
        error_code: str | None = None,
        topics: Iterable[str] = (),
        *,
        cause: BaseException | None = None,
    ) -> None:
        super().__init__(message, error_code, cause=cause)
        self.topics: tuple[str, ...] = tuple(topics)


class EToroTimeoutError(EToroWebSocketError, TimeoutError):
    """An answer, or an awaited event, did not come in time.

    :param message: what was waited for.
    :param error_code: as :class:`EToroWebSocketError`.
    :param gaps: of a wait for an order: each :class:`~etoro_sync.WsGap` in which the awaited event
        may have been sent: in the wait, and before it since the order's last event; of an order of
        which nothing is known, those that ended at most a minute before. One that has not ended is
        the last, and lasts until now.
    """

    def __init__(
        self,
        message: str,
        error_code: str | None = None,
        *,
        gaps: "tuple[WsGap, ...]" = (),
        cause: BaseException | None = None,
    ) -> None:
        super().__init__(message, error_code, cause=cause)
        self.gaps = gaps


class EToroClosedError(EToroWebSocketError):
    """The client or the queue is closed: nothing more will come."""


class EToroQueueOverflowError(EToroWebSocketError):
    """A consumer was too slow; the items that would have stood here are lost.

    The queue goes on: the next ``get()`` returns what came after the loss.

    :param message: which queue, and how to avoid it.
    :param lost: how many items are missing at this place.
    """

    def __init__(self, message: str, lost: int = 0, *, cause: BaseException | None = None) -> None:
        super().__init__(message, cause=cause)
        self.lost = lost


def fresh(error: EToroError) -> EToroError:
    """Return a copy of *error* to raise, with the same cause.

    One failure may end blocked calls in several threads, and raising one object in all of them
    would mix their tracebacks. The copy is not chained to *error*: both have the same message.
    """
    duplicate = copy.copy(error)
    duplicate.__cause__ = error.__cause__
    return duplicate


def forget_locals(*errors: BaseException | None, but: BaseException | None = None) -> None:
    """Clear the local variables in the tracebacks of *errors* and of their causes.

    Error trackers show local variables, and these may hold keys, for instance in a request or in a
    server's reply. File names and line numbers stay. Frames that still run are left alone, and so
    are those of generators and coroutines, which may have caught the error and go on: up to
    CPython 3.12, clearing such a frame ends its generator.

    :param but: an error whose frames, and whose causes' frames, are left alone: it was being
        handled before the call began, and belongs to the caller.
    """
    kept = _with_causes(but)
    for number, error in _with_causes(*errors).items():
        if number not in kept:
            for frame, _ in traceback.walk_tb(error.__traceback__):
                if not frame.f_code.co_flags & _RESUMABLE:
                    with contextlib.suppress(RuntimeError):
                        frame.clear()


def _with_causes(*errors: BaseException | None) -> dict[int, BaseException]:
    """Return the errors, their causes, the causes of these and so on, by ``id()``."""
    waiting, found = list(errors), dict[int, BaseException]()
    while waiting:
        error = waiting.pop()
        if error is not None and id(error) not in found:
            found[id(error)] = error
            waiting += [error.__cause__, error.__context__]
    return found

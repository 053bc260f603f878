"""Reports messages that cannot be understood, or that look odd.

A server can send any number of them. So each kind is logged once a minute, ``"error"`` is emitted
for the first hundred of a read, and the others are only counted.
"""

import logging
from collections.abc import Callable

from ..delivery.publisher import Publisher
from ..errors import EToroValidationError
from ..logs import log
from ..stats import Counters
from ..text import fit, repeated
from ..throttle import LogThrottle

__all__ = ["BadMessages"]

#: Reports for one read. More would keep the reader thread from reading.
_MOST_REPORTED = 100


class BadMessages:
    """Counts and reports bad messages. Every method runs on the reader thread.

    :param out: emits ``"error"``.
    :param counters: the client's.
    :param redact: removes the keys from text that goes into logs and errors.
    :param check_over: called after logging. It raises if the session has ended meanwhile, because
        log handlers are user code and may block, so that nothing more of the message is handled.
    :param clock: seconds, for limiting the log.
    """

    def __init__(
        self,
        out: Publisher,
        counters: Counters,
        redact: Callable[[str], str],
        check_over: Callable[[], None],
        clock: Callable[[], float],
    ) -> None:
        self._out = out
        self._counters = counters
        self._redact = redact
        self._check_over = check_over
        self._throttle = LogThrottle(clock=clock)
        #: The number of bad messages in the present read.
        self.in_read = 0
        self._text = self._text_shown = ""
        self._odd_known: set[str] = set()

    def begin_read(self) -> None:
        """Count anew: the next messages belong to another read."""
        self.in_read = 0
        self._text = ""

    def report(self, kind: str, text: str, cause: Exception | None = None) -> None:
        """Report a message that is skipped.

        :param kind: the part of it that is bad; one kind is logged once a minute.
        :param text: the text of the frame.
        :param cause: raised when it was parsed.
        """
        if not self._count():
            return
        why = f" ({fit(str(cause), self._redact)})" if cause is not None else ""
        if text is not self._text:
            # Only once for each frame, which may be long and hold a million bad messages.
            self._text, self._text_shown = text, fit(text, self._redact)
        self._emit(
            kind,
            f"Received a message whose {kind} cannot be understood{why}: {self._text_shown}. "
            "It was skipped; the stream goes on.",
        )

    def report_field(self, instrument_id: int, wire: str, cause: Exception) -> None:
        """Report a bad field of a market message whose other fields are merged.

        :param wire: the field's name on the wire.
        :param cause: raised when it was decoded.
        """
        if self._count():
            self._emit(
                wire,
                f"Received a message of instrument {instrument_id} whose {wire} cannot be "
                f"understood: {fit(str(cause), self._redact)}. The field is unknown until it is "
                "sent again; without both sides there is no rate.",
            )

    def report_odd(self, how: str) -> None:
        """Count a message that is used although eToro was never seen to send its form.

        :param how: what is odd about it; each is logged once.
        """
        self._counters.odd_messages += 1
        if how not in self._odd_known:
            self._odd_known.add(how)
            log(logging.WARNING, "Received a message %s. It is used all the same.", how)
            self._check_over()

    def _count(self) -> bool:
        """Count one more; return whether it is reported, too."""
        self._counters.bad_messages += 1
        self.in_read += 1
        return self.in_read <= _MOST_REPORTED

    def _emit(self, kind: str, text: str) -> None:
        """Emit an error, and log it once a minute for each kind."""
        error = EToroValidationError(text, kind)
        omitted = self._throttle.passes(kind)
        if omitted is not None:
            log(logging.WARNING, "%s%s", error, repeated(omitted))
            self._check_over()
        self._out.put("error", None, (error,))

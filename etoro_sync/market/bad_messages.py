"""Reports of messages that cannot be understood, or that look odd; the stream goes on.

A server can send any number of them. So the log has each kind once a minute, ``"error"`` is emitted
for the first hundred of a read, and the rest is only counted.
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

#: Of one read; to report more would keep the reader from its work.
_MOST_REPORTED = 100


class BadMessages:
    """Counts and reports bad messages. Every method runs on the reader thread.

    :param out: hands over ``"error"``.
    :param counters: what is counted.
    :param redact: removes the keys from text that goes into logs and errors.
    :param check_over: called after logging, where the session may have ended: log handlers are user
        code, and may block. It then raises, so that the rest of the message is left alone.
    :param clock: seconds, for the log.
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
        #: How many of the present read were bad.
        self.in_read = 0
        self._text = self._text_shown = ""
        self._odd_known: set[str] = set()

    def begin_read(self) -> None:
        """Note that the next messages are those of another read."""
        self.in_read = 0
        self._text = ""

    def report(self, kind: str, text: str, cause: Exception | None = None) -> None:
        """Report what was skipped.

        :param kind: the part that is bad; one kind is logged once a minute.
        :param text: of the frame.
        """
        if not self._count():
            return
        why = f" ({fit(str(cause), self._redact)})" if cause is not None else ""
        if text is not self._text:
            # Once per frame: it may be long, and hold a million bad messages.
            self._text, self._text_shown = text, fit(text, self._redact)
        self._emit(
            kind,
            f"Received a message whose {kind} cannot be understood{why}: {self._text_shown}. "
            "It was skipped; the stream goes on.",
        )

    def report_field(self, instrument_id: int, wire: str, cause: Exception) -> None:
        """Report a bad field of a market message whose others were merged."""
        if self._count():
            self._emit(
                wire,
                f"Received a message of instrument {instrument_id} whose {wire} cannot be "
                f"understood: {fit(str(cause), self._redact)}. It is unknown until the next one "
                "comes; without both sides there is no rate.",
            )

    def report_odd(self, how: str) -> None:
        """Count a message that is understood although eToro has never been seen to send such.

        :param how: what it is like; it is logged once.
        """
        self._counters.odd_messages += 1
        if how not in self._odd_known:
            self._odd_known.add(how)
            log(logging.WARNING, "Received a message %s. It is understood all the same.", how)
            self._check_over()

    def _count(self) -> bool:
        """Count one more; return whether it is to be reported, too."""
        self._counters.bad_messages += 1
        self.in_read += 1
        return self.in_read <= _MOST_REPORTED

    def _emit(self, kind: str, words: str) -> None:
        """Log once a minute for each kind, and emit."""
        error = EToroValidationError(words, kind)
        quiet = self._throttle.passes(kind)
        if quiet is not None:
            log(logging.WARNING, "%s%s", error, repeated(quiet))
            self._check_over()
        self._out.put("error", None, (error,))

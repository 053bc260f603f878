"""Makes text and values fit for errors and logs: short, on one line, without secrets.

What a server sends may be megabytes long, nested too deeply for ``repr``, full of line breaks that
look like other log records, or it may repeat the credentials.
"""

from collections.abc import Callable, Sequence
from typing import Any

__all__ = ["count", "duration", "fit", "named", "no_thread", "repeated", "shorten", "show"]

#: Only this many characters of a text are searched for secrets, and no more are shown.
_SEARCHED = 4096


def show(value: Any, limit: int = 40) -> str:
    """Return ``repr(value)``, cut to *limit* characters; for values of any kind and size."""
    if isinstance(value, (str, bytes)):
        value = value[: limit + 1]  # the repr of a long text would be costly
    try:
        text = repr(value)
    except (RecursionError, ValueError):  # nested too deeply, or an int of too many digits
        text = f"<{type(value).__name__}>"
    return text if len(text) <= limit else f"{text[:limit]}..."


def fit(text: str, redact: Callable[[str], str], limit: int = 120) -> str:
    """Return a server's text as one short line without secrets, at a bounded cost.

    :param redact: masks the secrets.
    :param limit: the most characters of the line.
    """
    # Redacted before it is shortened, or half of a key could be left at the end.
    size = len(text) if len(text) > _SEARCHED else 0
    return shorten(redact(text[:_SEARCHED]), limit, size)


def shorten(value: Any, limit: int = 120, size: int = 0) -> str:
    """Return *value* as one line of about *limit* characters, for errors and logs.

    :param size: the length of the whole text, where *value* is only its beginning.
    """
    if not isinstance(value, str):
        return show(value, limit)
    size = max(size, len(value))
    cut = value if len(value) <= limit else value[:limit]
    if not cut.isprintable():
        cut = "".join(c if c.isprintable() else ascii(c)[1:-1] for c in cut)
    return cut if size <= limit else f"{cut}... ({size} characters)"


def no_thread(error: RuntimeError) -> str:
    """Return the reason why a thread could not be started, and what to do about it.

    :param error: raised by ``Thread.start()``.
    """
    reason = str(error).rstrip(".")
    if "shutdown" in reason:
        return f"{reason}. The program is ending; connect before."
    if "interpreter" in reason:
        return f"{reason}. Use the client in the main interpreter, or in one that has threads."
    return (
        f"{reason}. Raise the limit of processes and threads (ulimit -u, or that of the "
        "container), or end some."
    )


def count(number: int, noun: str) -> str:
    """Return a number with its noun, such as "1 topic" or "2 topics"."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


def duration(seconds: float) -> str:
    """Return a time with its unit: "2.5 s", "40 ms", "less than 1 ms"."""
    if seconds < 0.001:
        return "less than 1 ms"
    return f"{seconds:.1f} s" if seconds >= 0.1 else f"{seconds * 1000:.0f} ms"


def named(topics: Sequence[str]) -> str:
    """Return the name of a single topic; of several, their number and the first one's name."""
    return topics[0] if len(topics) == 1 else f"{count(len(topics), 'topic')} (first {topics[0]})"


def repeated(omitted: int) -> str:
    """Return the end of a log record before which *omitted* ones of its kind were left out."""
    return f" ({omitted} more since the last report)" if omitted else ""

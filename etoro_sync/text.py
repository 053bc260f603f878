"""Foreign text and values, made fit for messages to people: short, on one line, without secrets.

What a server sends ends up in errors and logs. It may be megabytes long, nested too deeply for
``repr``, full of line breaks that forge log records, or repeat the credentials.
"""

from collections.abc import Callable, Sequence
from typing import Any

__all__ = ["count", "duration", "fit", "named", "no_thread", "repeated", "shorten", "show"]

#: Of longer text only so many characters are searched for secrets, and none of the rest is shown.
_SEARCHED = 4096


def show(value: Any, limit: int = 40) -> str:
    """Return ``repr(value)``, cut to *limit* characters; for values of any kind and size."""
    if isinstance(value, (str, bytes)):
        value = value[: limit + 1]  # so that a long text is not copied to be cut
    try:
        text = repr(value)
    except (RecursionError, ValueError):  # nested too deeply, or an int of too many digits
        text = f"<{type(value).__name__}>"
    return text if len(text) <= limit else f"{text[:limit]}..."


def fit(text: str, redact: Callable[[str], str], limit: int = 120) -> str:
    """Return a server's text as one short line without secrets, at a cost that has a bound.

    :param redact: masks the secrets.
    """
    # Shortened last: a key that was cut off in the middle could not be found any more.
    size = len(text) if len(text) > _SEARCHED else 0
    return shorten(redact(text[:_SEARCHED]), limit, size)


def shorten(value: Any, limit: int = 120, size: int = 0) -> str:
    """Return *value* as one line of about *limit* characters, for messages to people.

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
    """Return why the system starts no thread, in its words, and what to do."""
    words = str(error).rstrip(".")
    if "shutdown" in words:
        return f"{words}. The program is ending; connect before."
    if "interpreter" in words:
        return f"{words}. Use the client in the main interpreter, or in one that has threads."
    return (
        f"{words}. Raise the limit of processes and threads (ulimit -u, or that of the container), "
        "or end some."
    )


def count(number: int, noun: str) -> str:
    """Return how many there are of something that takes an "s" in the plural."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


def duration(seconds: float) -> str:
    """Return how long something takes; a short time is not written as 0.0 s."""
    if seconds < 0.001:
        return "less than 1 ms"
    return f"{seconds:.1f} s" if seconds >= 0.1 else f"{seconds * 1000:.0f} ms"


def named(topics: Sequence[str]) -> str:
    """Return a topic's name, or how many there are, and the name of the first."""
    return topics[0] if len(topics) == 1 else f"{count(len(topics), 'topic')} (first {topics[0]})"


def repeated(quiet: int) -> str:
    """Return what follows a record of the log of which *quiet* more were not written."""
    return f" ({quiet} more since the last report)" if quiet else ""

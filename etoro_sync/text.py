"""Foreign text and values, made fit for messages to people: short, on one line, without secrets.

What a server sends ends up in errors and logs. It may be megabytes long, nested too deeply for
``repr``, full of line breaks that forge log records, or repeat the credentials.
"""

import json
import os
import re
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from typing import Any
from urllib.parse import quote, unquote_to_bytes

__all__ = [
    "MASK",
    "Redactor",
    "Secret",
    "bytes_of",
    "count",
    "duration",
    "fit",
    "named",
    "no_thread",
    "readings",
    "repeated",
    "shorten",
    "show",
]

MASK = "***"
#: A shorter secret is no secret, and masking it would make text unreadable.
_SHORTEST = 4
#: So many characters of a longer secret are masked too: text may have been cut inside it.
_HEAD = 8
#: So many secrets are remembered of those that come one after another, as keys that rotate do.
_MOST = 1000
#: What the beginning of a secret looks like, and each character behind it.
_Patterns = tuple[re.Pattern[str], list[re.Pattern[str]]]
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


def bytes_of(word: str) -> bytes:
    """Return what a user or a password in a URL stands for; it need not be UTF-8.

    :param word: as it stands there; one of the environment may hold any bytes, too.
    """
    return unquote_to_bytes(os.fsencode(word))


def readings(word: str) -> set[str]:
    """Return what a password in a URL may look like in text: as it stands there, and decoded."""
    raw = bytes_of(word)
    decoded = {raw.decode(errors=errors) for errors in ("surrogateescape", "replace")}
    return {word, raw.decode("latin-1"), *decoded}


class Secret(str):
    """A string whose ``repr`` is masked: in debuggers, error trackers and dumps of objects."""

    __slots__ = ()

    def __repr__(self) -> str:
        return repr(MASK if self else "")


class Redactor:
    """Masks secrets in text, also where JSON or URLs escape them, and where they were cut off.

    :param secrets: such as keys and passwords; empty and very short ones are ignored.
    """

    def __init__(self, secrets: Iterable[str]) -> None:
        self._secrets = [_patterns(s) for s in {s for s in secrets if len(s) >= _SHORTEST}]
        self._added: deque[tuple[str, _Patterns]] = deque(maxlen=_MOST)

    def add(self, secret: str) -> None:
        """Mask one more secret; after a thousand, the oldest that was added is forgotten.

        Any thread: both sides use the whole of the deque or one end of it at a time.
        """
        known = [old for old, _ in list(self._added)]
        if len(secret) >= _SHORTEST and secret not in known:
            self._added.append((secret, _patterns(secret)))

    def __call__(self, text: str) -> str:
        """Return *text* with each secret, or the beginning of one, masked."""
        # All places are found before any is masked: one secret may begin like another.
        spans = []
        for head, tail in [*self._secrets, *(patterns for _, patterns in list(self._added))]:
            spans += _find(head, tail, text)
        parts, position = [], 0
        for start, end in sorted(spans):
            if start >= position:
                parts += [text[position:start], MASK]
            position = max(position, end)
        return "".join(parts) + text[position:]


def _patterns(secret: str) -> _Patterns:
    spellings = [_spellings(char) for char in secret]
    # It looks ahead only: where a secret's beginning repeats itself, the next one overlaps it.
    head = re.compile(f"(?=({''.join(p.pattern for p in spellings[:_HEAD])}))")
    return head, spellings[_HEAD:]


# No generator: the local variables of its frame could not be forgotten.
def _find(head: re.Pattern[str], tail: list[re.Pattern[str]], text: str) -> list[tuple[int, int]]:
    """Return where a secret, or at least its head, stands in *text*."""
    spans = []
    for found in head.finditer(text):
        end = found.end(1)
        for spelling in tail:
            more = spelling.match(text, end)
            if more is None:
                break
            end = more.end()
        spans.append((found.start(), end))
    return spans


def _spellings(char: str) -> re.Pattern[str]:
    r"""Return what one character may look like: itself, ``\/``, ``\u002B``, ``%2B``."""
    # Such a half of a pair is a byte that is no UTF-8.
    errors = "surrogateescape" if "\udc80" <= char <= "\udcff" else "surrogatepass"
    forms = {
        char,
        "\\" + char,
        quote(char, safe="", errors=errors),
        json.dumps(char)[1:-1],
    }
    units = char.encode("utf-16-be", "surrogatepass").hex()
    forms.add("".join(rf"\u{units[i : i + 4]}" for i in range(0, len(units), 4)))
    # The longest first, since an escape begins with a character that may stand for itself.
    ordered = sorted(forms, key=len, reverse=True)
    # Only the hexadecimal digits of an escape may be written in either case.
    plain = [re.escape(f) for f in ordered if len(f) <= 2]
    escapes = [f"(?i:{re.escape(f)})" for f in ordered if len(f) > 2]
    return re.compile(f"(?:{'|'.join(escapes + plain)})")

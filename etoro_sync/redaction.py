"""Masks secrets: in their own ``repr``, and in text that is logged or raised."""

import json
import os
import re
from collections import deque
from collections.abc import Iterable
from urllib.parse import quote, unquote_to_bytes

__all__ = ["MASK", "Redactor", "Secret", "bytes_of", "readings"]

MASK = "***"

#: Shorter secrets are not masked: that would make text unreadable, and they protect nothing.
_SHORTEST = 4

#: The first 8 characters of a secret are masked even without the rest, since text may be cut there.
_HEAD = 8

#: How many added secrets, such as rotated keys, are remembered.
_MOST = 1000

#: A pattern for the beginning of a secret, one for each character after it, and the beginning.
_Patterns = tuple[re.Pattern[str], list[re.Pattern[str]], str]


def bytes_of(word: str) -> bytes:
    """Return the bytes of a user name or password in a URL; they need not be UTF-8.

    :param word: the text in the URL; a URL of the environment may have any bytes.
    """
    return unquote_to_bytes(os.fsencode(word))


def readings(word: str) -> set[str]:
    """Return the spellings in which a URL's password may appear in text: as it is, and decoded."""
    raw = bytes_of(word)
    decoded = {raw.decode(errors=errors) for errors in ("surrogateescape", "replace")}
    return {word, raw.decode("latin-1"), *decoded}


class Secret(str):
    """A string with a masked ``repr``, which debuggers, error trackers and dumps show."""

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

    def add(self, secret: object) -> None:
        """Mask one more secret. Of more than a thousand, the one added first is forgotten.

        Any thread: copying a deque and appending to it are single steps.

        :param secret: such as what a function has returned for a key; anything but a text of four
            characters or more is ignored.
        """
        if not isinstance(secret, str):
            return
        secret = secret.strip()
        known = [old for old, _ in list(self._added)]
        if len(secret) >= _SHORTEST and secret not in known:
            self._added.append((secret, _patterns(secret)))

    def __call__(self, text: str) -> str:
        """Return *text* with each secret, or the beginning of one, masked."""
        # Recordings call this for each frame. Most have no escapes but those of quotes, so that a
        # secret could only stand there as it is, and looking for that takes far less time.
        escaped = "%" in text or text.count("\\") != text.count('\\"')
        # All places are found before any is masked, because one secret may begin like another.
        spans = []
        for head, tail, plain in [*self._secrets, *(patterns for _, patterns in list(self._added))]:
            if escaped or plain in text or '"' in plain:
                spans += _find(head, tail, text)
        if not spans:
            return text
        parts, position = [], 0
        for start, end in sorted(spans):
            if start >= position:
                parts += [text[position:start], MASK]
            position = max(position, end)
        return "".join(parts) + text[position:]


def _patterns(secret: str) -> _Patterns:
    spellings = [_spellings(char) for char in secret]
    # A lookahead, so that matches may overlap, as where a secret's beginning repeats itself.
    head = re.compile(f"(?=({''.join(p.pattern for p in spellings[:_HEAD])}))")
    return head, spellings[_HEAD:], secret[:_HEAD]


# Not a generator: forget_locals() cannot clear the frame of one.
def _find(head: re.Pattern[str], tail: list[re.Pattern[str]], text: str) -> list[tuple[int, int]]:
    """Return the start and end of each place where *text* has a secret, or at least its head."""
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
    r"""Return a pattern for one character and its escapes, such as ``\/``, ``\u002B``, ``%2B``."""
    # These surrogates stand for bytes that are not UTF-8.
    errors = "surrogateescape" if "\udc80" <= char <= "\udcff" else "surrogatepass"
    forms = {
        char,
        "\\" + char,
        quote(char, safe="", errors=errors),
        json.dumps(char)[1:-1],
    }
    units = char.encode("utf-16-be", "surrogatepass").hex()
    forms.add("".join(rf"\u{units[i : i + 4]}" for i in range(0, len(units), 4)))
    # The longest first, because an escape may begin with the character itself.
    ordered = sorted(forms, key=len, reverse=True)
    # Escapes match in either case, because their hexadecimal digits may be written in both.
    plain = [_repeated(f) for f in ordered if len(f) <= 2]
    escapes = [f"(?i:{_repeated(f)})" for f in ordered if len(f) > 2]
    return re.compile(f"(?:{'|'.join(escapes + plain)})")


def _repeated(form: str) -> str:
    r"""Return a pattern of a spelling that may be escaped again, as JSON in JSON: ``\\u002B``."""
    pattern = re.escape(form)
    if form in ("\\", "\\\\", "%"):
        return pattern
    return pattern.replace(r"\\", r"\\{1,15}").replace("%", "%(?:25){0,4}")

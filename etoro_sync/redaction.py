"""Secrets that mask themselves, and text that is to be shown without them."""

import json
import os
import re
from collections import deque
from collections.abc import Iterable
from urllib.parse import quote, unquote_to_bytes

__all__ = ["MASK", "Redactor", "Secret", "bytes_of", "readings"]

MASK = "***"

#: A shorter secret is no secret, and masking it would make text unreadable.
_SHORTEST = 4

#: So many characters of a longer secret are masked too: text may have been cut inside it.
_HEAD = 8

#: So many secrets are remembered of those that come one after another, as keys that rotate do.
_MOST = 1000

#: What the beginning of a secret looks like, and each character behind it.
_Patterns = tuple[re.Pattern[str], list[re.Pattern[str]]]


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

    def add(self, secret: object) -> None:
        """Mask one more secret; after a thousand, the oldest that was added is forgotten.

        Any thread: both sides use the whole of the deque or one end of it at a time.

        :param secret: such as what a user's function has returned for a key; what is no text, or
            too short for a secret, is ignored.
        """
        if not isinstance(secret, str):
            return
        secret = secret.strip()
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

"""What a report must not show, because it is to be posted in public.

Keys and passwords, which a :class:`~etoro_sync.redaction.Redactor` masks. Names of this machine, of
its user and of a proxy. And whatever a server may have written about the account into a text: such
a text keeps its words, and loses its numbers, ids and addresses.
"""

import getpass
import os
import re
import socket
from pathlib import Path
from typing import Any

from ..redaction import Redactor
from ..text import fit

__all__ = ["Scrubber"]

#: Names that say nothing about a person, and are words of ordinary texts.
_NOBODY = frozenset(["root", "user", "admin", "app", "runner", "test", "localhost", "python"])
#: A shorter name would be found in ordinary words.
_SHORTEST = 3
#: Of a server's text: e-mail addresses, ids, and numbers longer than a code, or like an amount.
_ACCOUNT = (
    (re.compile(r"[^\s@<>\"']+@[^\s@<>\"']+"), "<address>"),
    (re.compile(r"\b[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}\b"), "<id>"),
    (re.compile(r"\d{1,3}(?:[.,]\d{3})+(?:[.,]\d+)?|\d+[.,]\d{2,}|\d{5,}"), "<number>"),
)


class Scrubber:
    """Removes secrets, and what identifies a person, from text.

    :param redactor: masks the keys.
    """

    def __init__(self, redactor: Redactor) -> None:
        #: Masks the keys, and nothing else.
        self.redactor = redactor
        self._names: list[tuple[re.Pattern[str], str]] = []
        home = _home()
        for path in {home, os.path.realpath(home)} - {"/", ""} if home else ():
            self._names.append((re.compile(re.escape(path)), "~"))
        host = socket.gethostname()
        for name, shown in ((_user(), "<user>"), (host, "<host>"), (host.split(".")[0], "<host>")):
            self.hide(name, shown)

    def hide(self, name: str, shown: str) -> None:
        """Replace a name wherever it stands as a word of its own.

        :param name: in any case; short ones and those of nobody in particular are left.
        :param shown: what to write instead.
        """
        if len(name) >= _SHORTEST and name.lower() not in _NOBODY:
            pattern = re.compile(rf"(?<!\w){re.escape(name)}(?!\w)", re.IGNORECASE)
            self._names.append((pattern, shown))

    def __call__(self, text: str) -> str:
        """Return a text of this program without secrets and names."""
        text = self.redactor(text)
        for pattern, shown in self._names:
            text = pattern.sub(lambda _, shown=shown: shown, text)  # type: ignore[misc]
        return text

    def foreign(self, text: str, limit: int = 200) -> str:
        """Return a server's text as one short line, without what may be of the account.

        :param limit: the most characters.
        """
        text = fit(text, self.redactor, limit)
        for pattern, shown in _ACCOUNT:
            text = pattern.sub(shown, text)
        return self(text)

    def deep(self, value: Any) -> Any:
        """Return *value* with each text in it scrubbed, also in lists and dictionaries."""
        if isinstance(value, str):
            return self(value)
        if isinstance(value, dict):
            return {self(str(key)): self.deep(each) for key, each in value.items()}
        if isinstance(value, (list, tuple)):
            return [self.deep(each) for each in value]
        return value


def _user() -> str:
    try:
        return getpass.getuser()
    except (ImportError, KeyError, OSError):  # an id without a name, as in a container
        return ""


def _home() -> str:
    try:
        return str(Path.home())
    except RuntimeError:  # likewise
        return ""

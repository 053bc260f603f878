"""An URL of Redis becomes a client of redis-py, whose errors become ours, without passwords."""

import contextlib
from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from ..errors import EToroRedisError, EToroValidationError
from ..redaction import MASK, Redactor, Secret, bytes_of, readings
from ..text import fit, show

__all__ = ["Address"]

#: What an URL may say behind the question mark: files in PEM format, and the database.
_QUERY = ("ssl_ca_certs", "ssl_certfile", "ssl_keyfile", "db")
_EXAMPLES = "redis://localhost:6379, rediss://user:password@host:6379/0 or unix:///run/redis.sock"
#: What Redis says -> what to do. The first word of its errors is their code.
_ADVICE = {
    "WRONGPASS": "Check the user and the password in the URL.",
    "NOAUTH": "This server wants a password: redis://user:password@host.",
    "NOPERM": "Give this user of Redis the rights that docs/redis.md lists.",
    "OOM": "Its memory is full: raise maxmemory, or free some; eviction must stay off.",
    "READONLY": "This is a replica: use the address of the primary.",
    "LOADING": "It is still reading its files; it will answer when it has.",
    "MISCONF": "It cannot write to its disk: see the log of the server.",
    "MASTERDOWN": "This is a replica that has lost its primary.",
    "WRONGTYPE": "Another program writes under this name: use another feed.",
    "BUSY": "A script of another program runs for long.",
}


class Address:
    """Where a Redis is, and as whom to log in. Its ``repr`` shows no password.

    :param url: ``redis://``, ``rediss://`` (TLS, which verifies) or ``unix://``, with a user and a
        password of an ACL, if needed.
    :raises EToroValidationError: for anything else; no error shows the URL, which has a password.
    """

    def __init__(self, url: Any) -> None:
        if not isinstance(url, str):
            raise _bad(f"not {type(url).__name__}")
        try:
            parts = urlsplit(url)
            port, host = parts.port, parts.hostname
        except ValueError as exc:
            raise _bad("and this one's host or port cannot be read") from exc
        if parts.scheme not in ("redis", "rediss", "unix"):
            raise _bad(f"and this one begins with {show(parts.scheme)}")
        query = dict(parse_qsl(parts.query))
        if unknown := [name for name in query if name not in _QUERY]:
            raise _bad(f"and behind the ? only {', '.join(_QUERY)}, not {show(unknown[0])}")
        self.scheme = parts.scheme
        self._user = None if not parts.username else _decoded(parts.username)
        self._password = None if parts.password is None else Secret(_decoded(parts.password))
        self.redact = Redactor(readings(parts.password or ""))
        path, db = parts.path, query.pop("db", "0")
        if self.scheme == "unix":
            self._where: dict[str, Any] = {"path": _decoded(path)}
            if not path:
                raise _bad("and this one names no file")
        else:
            self._where = {"host": host or "localhost", "port": port or 6379}
            db = path.strip("/") or db
        if not (db.isascii() and db.isdigit() and len(db) <= 6):
            raise _bad(f"with the number of a database, not {show(db)}")
        self._where["db"] = int(db)
        if query and self.scheme != "rediss":
            raise _bad("and certificates belong to rediss://")
        self._files = query

    def __str__(self) -> str:
        """Return the address without the password, for logs and errors."""
        login = f"{self._user or ''}{'' if self._password is None else f':{MASK}'}"
        login = f"{login}@" if login else ""
        where = self._where
        place = where["path"] if "path" in where else f"{where['host']}:{where['port']}"
        return f"{self.scheme}://{login}{place}"

    def __repr__(self) -> str:
        return f"<Address {self}>"

    @property
    def names(self) -> tuple[str, ...]:
        """What names the server and the user, to be left out of what is posted."""
        return tuple(filter(None, (self._user, self._where.get("host"), self._where.get("path"))))

    def client(self, timeout: float = 5.0) -> "redis.Redis":
        """Return a client, which connects with its first command. One thread may use it.

        It repeats nothing by itself: who calls knows whether that is harmless.

        :param timeout: seconds for connecting, and for each answer.
        """
        settings: dict[str, Any] = {
            **self._where,
            "socket_timeout": timeout,
            "retry": Retry(NoBackoff(), 0),
            "protocol": 2,  # RESP3 answers in other shapes
        }
        if self._password is not None or self._user is not None:
            # As it is, some versions of redis-py would show it in the repr of the client.
            settings["credential_provider"] = _Login(self._user, self._password or Secret())
        kind: Any = redis.UnixDomainSocketConnection
        if self.scheme != "unix":
            settings |= {"socket_connect_timeout": timeout, "socket_keepalive": True}
            kind = redis.Connection
        if self.scheme == "rediss":
            # Older versions of redis-py do not check the host's name by default.
            settings |= {"ssl_check_hostname": True, "ssl_cert_reqs": "required", **self._files}
            kind = redis.SSLConnection
        pool = redis.ConnectionPool(connection_class=kind, max_connections=2, **settings)
        # Whose close() closes the pool, too; that of Redis(connection_pool=pool) closes nothing.
        return redis.Redis.from_pool(pool)

    @contextlib.contextmanager
    def calling(self) -> Iterator[None]:
        """Raise errors of redis-py and of the system as ours.

        :raises EToroRedisError: with Redis's code as its ``error_code``, such as ``"OOM"``; None:
            there was no answer, so that what was sent may have been done or not.
        """
        try:
            yield
        except (redis.RedisError, OSError, ValueError) as exc:
            raise self.error(exc) from None

    def error(self, exc: Exception) -> EToroRedisError:
        """Return our error for one of redis-py's; its cause is left out, which has a password."""
        said = fit(str(exc), self.redact, 200).rstrip(".?")
        code = _code(exc, said)
        if code is None:
            kind = "does not answer in time" if _is_timeout(exc) else "cannot be reached"
            return EToroRedisError(
                f"Redis at {self} {kind}: {said}. Check that it runs, and the address."
            )
        advice = _ADVICE.get(code, "")
        return EToroRedisError(f"Redis at {self} refuses: {said}. {advice}".rstrip(), code)


class _Login(redis.CredentialProvider):
    """Hands user and password to redis-py when it logs in.

    :param user: None: the default user.
    """

    def __init__(self, user: str | None, password: Secret) -> None:
        self._login = (password,) if user is None else (user, password)

    def get_credentials(self) -> tuple[str] | tuple[str, str]:
        """Return what the command AUTH takes."""
        return self._login


def _bad(what: str) -> EToroValidationError:
    return EToroValidationError(f"url must be an URL such as {_EXAMPLES}, {what}.", "url")


def _decoded(word: str) -> str:
    return bytes_of(word).decode(errors="surrogateescape")


def _is_timeout(exc: Exception) -> bool:
    return isinstance(exc, (redis.TimeoutError, TimeoutError))


def _code(exc: Exception, said: str) -> str | None:
    """Return the code of an answer of Redis; None: there was no answer."""
    known = {
        redis.exceptions.NoPermissionError: "NOPERM",
        redis.exceptions.OutOfMemoryError: "OOM",
        redis.exceptions.ReadOnlyError: "READONLY",
        redis.exceptions.BusyLoadingError: "LOADING",
        redis.exceptions.NoScriptError: "NOSCRIPT",
        redis.exceptions.MasterDownError: "MASTERDOWN",
    }
    for kind, code in known.items():
        if isinstance(exc, kind):
            return code
    if "unauthenticated" in said:  # "Protocol error: ...", for a command that is long
        return "NOAUTH"
    first = said.split(" ", 1)[0].rstrip(":,")
    if isinstance(exc, redis.AuthenticationError):
        return "NOAUTH" if "required" in said else "WRONGPASS"
    if not isinstance(exc, redis.ResponseError):
        return None
    return first if first.isupper() else "ERR"

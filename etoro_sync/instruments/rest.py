"""Requests to eToro's REST API: the keys, the way there, the rate limit, and what an answer means.

Keys, proxies and TLS are those of a client: :class:`~etoro_sync.ws.session.connector.Connector`
and :class:`~etoro_sync.ws.session.credentials.Credentials` do for a request what they do for a
connection. Everything runs on the thread of the caller.
"""

import json
import logging
import uuid
from collections.abc import Mapping
from dataclasses import replace
from http import HTTPStatus
from typing import Any
from urllib.parse import urlencode, urlsplit

from .. import clocks
from .._version import __version__
from ..errors import EToroAuthError, EToroError, EToroRestError, EToroValidationError
from ..logs import log
from ..redaction import Redactor
from ..text import fit
from ..ws.failures import ConnectionFailed
from ..ws.options import WsClientOptions
from ..ws.protocol.replies import auth_advice, error_code, key_faults, refusal_text
from ..ws.session.connector import Connector
from ..ws.session.credentials import Credentials, Keys
from ..ws.transport.addresses import Addresses
from ..ws.transport.retry_after import status_text
from ..ws.transport.target import Target
from .address import is_local
from .calls import PATIENCE, Call
from .http import Answer, Exchange
from .pace import Pace, pace_of

__all__ = ["Rest"]

#: Attempts at one request that the server puts off.
_ATTEMPTS = 3
#: Seconds for which no request is sent at most, whatever the server asks for.
_LONGEST_HOLD = 3600.0
#: What the transport says of streams -> what it is here.
_WORDS = {"ws_url": "rest_url", "wss://": "https://", "ws://": "http://"}
#: Seconds to wait where a 429 does not say how long.
_USUAL_WAIT = 10.0


class Rest:
    """Asks one address. Any thread; each request has a connection of its own.

    :param options: for keys, proxy, TLS and times.
    :param url: the address, checked before.
    :param redactor: masks the keys, and learns those that functions return.
    :param pace: keeps to the rate limit; None: the one of all objects that ask this address.
    """

    def __init__(
        self, options: WsClientOptions, url: str, redactor: Redactor, pace: Pace | None = None
    ) -> None:
        self._path = urlsplit(url).path.rstrip("/")
        # The transport knows the addresses of streams alone; TLS and proxies are the same.
        self._options = replace(options, ws_url=f"ws{url.removeprefix('http')}")
        target = Target.of(self._options.ws_url)
        usual = target.port == (443 if target.secure else 80)
        self._where = str(target).rpartition(":")[0] if usual else str(target)
        self._redactor = redactor
        self._pace = pace or (Pace() if is_local(url) else pace_of(url))

    def get(self, path: str, query: Mapping[str, str], call: Call) -> Any:
        """Return the JSON that a GET is answered with.

        :param path: below the address.
        :param query: its parameters.
        :param call: says how long it may take.
        :raises EToroAuthError: when keys are missing, cannot be read, or are rejected.
        :raises EToroRestError: when there is no such answer.
        :raises Interrupted: when the call is to end.
        """
        self._check_keys()
        target = f"{self._path}/{path}" + (f"?{urlencode(query, safe=',')}" if query else "")
        for attempt in range(1, _ATTEMPTS + 1):
            call.take_turn(self._pace)
            answer = self._ask(target, call)
            log(
                logging.DEBUG,
                "GET %s %s: HTTP %d, %d B",
                path,
                self._redactor(str(dict(query))),
                answer.status,
                len(answer.body),
            )
            asked = answer.retry_after
            if answer.status == HTTPStatus.TOO_MANY_REQUESTS:
                asked = _USUAL_WAIT if asked is None else asked
            if asked is None:
                break
            self._pace.hold(min(asked, _LONGEST_HOLD))
            if asked > PATIENCE or not call.patient or attempt == _ATTEMPTS:
                break
            if call.deadline is not None and clocks.monotonic() + asked > call.deadline:
                break
        return self._content(answer)

    def _check_keys(self) -> None:
        for name in ("api_key", "user_key"):
            key = getattr(self._options, name)
            if key == "":
                raise EToroAuthError(
                    f"The {name} is missing, which eToro's REST API wants, too. Set "
                    f"ETORO_{name.upper()} in the environment, or pass WsClientOptions({name}=...)."
                )

    def _ask(self, path: str, call: Call) -> Answer:
        try:
            return self._exchange(path, call)
        except ConnectionFailed as exc:
            failure: EToroError = exc.error
        except (EToroAuthError, EToroRestError, EToroValidationError):
            raise
        except EToroError as exc:
            failure = exc
        except OSError as exc:
            failure = EToroError(f"{exc.strerror or exc}.", exc)
        if isinstance(failure, (EToroAuthError, EToroValidationError)):
            raise failure
        code = getattr(failure, "error_code", None)
        words = str(failure)
        for of_streams, here in _WORDS.items():
            words = words.replace(of_streams, here)
        raise EToroRestError(
            f"A request to eToro's REST API failed. {self._redactor(words)}", code, cause=failure
        )

    def _exchange(self, path: str, call: Call) -> Answer:
        options = self._options
        waker, due = call.waker, call.sooner(options.connect_timeout)
        keys, due = Credentials(options, self._redactor, waker).get(due)
        headers = self._headers(keys)
        connector = Connector(options, self._redactor, waker, Addresses())
        stream, _ = connector.reach(due)
        try:
            due = call.sooner(options.request_timeout)
            exchange = Exchange(stream, waker, due, self._where)
            return exchange.get(path, headers, options.max_message_bytes)
        finally:
            stream.close()

    def _headers(self, keys: Keys) -> dict[str, str]:
        for name, key in (("api_key", keys.api_key), ("user_key", keys.user_key)):
            if not key.isascii():
                raise EToroAuthError(
                    f"The {name} has letters that no HTTP header can hold; copy it again."
                )
        return {
            "Host": self._where,
            "User-Agent": f"etoro-sync/{__version__}",
            "Accept": "application/json",
            "Accept-Encoding": "identity",
            "Connection": "close",
            "x-api-key": keys.api_key,
            "x-user-key": keys.user_key,
            "x-request-id": str(uuid.uuid4()),
        }

    # What an answer means -------------------------------------------------------------------

    def _content(self, answer: Answer) -> Any:
        body = _parsed(answer.body)
        if answer.status == HTTPStatus.OK and body is not None:
            return body
        status, code = answer.status, f"HTTP {answer.status}"
        words = f"{self._where} answered with {status_text(status, answer.retry_after)}"
        told = body if isinstance(body, dict) else {}
        # A firewall forbids, too, but without a code of eToro's.
        forbidden = status == HTTPStatus.FORBIDDEN and told.get("errorCode")
        if status == HTTPStatus.UNAUTHORIZED or forbidden:
            raise self._rejected(words, told, code)
        if 300 <= status < 400:
            text = (
                f"{words}, which would lead elsewhere. Redirects are not followed, since the keys "
                "would travel along. Check rest_url."
            )
        elif body is not None:
            text = refusal_text(words, told, self._redactor)
            text = f"{text} Try again later, or check rest_url."
            code = error_code(told, self._redactor) if told.get("errorCode") else code
        else:
            text = f"{words}{self._foreign(answer)}"
        raise EToroRestError(text, code, answer.retry_after)

    def _rejected(self, words: str, body: dict[str, Any], status: str) -> EToroAuthError:
        code = error_code(body, self._redactor) if body.get("errorCode") else status
        api_key, user_key = self._options.api_key, self._options.user_key
        known = isinstance(api_key, str) and isinstance(user_key, str)
        faults = key_faults(str(api_key), str(user_key)) if known else ""
        text = refusal_text(f"eToro's REST API rejected the keys: {words}", body, self._redactor)
        return EToroAuthError(f"{text} {auth_advice(body, faults)}", code)

    def _foreign(self, answer: Answer) -> str:
        """Return what to say of content that is no JSON: somebody on the way has answered."""
        kind = fit(answer.kind, self._redactor, 60) or "no Content-Type"
        return (
            f" and {len(answer.body)} B that are no JSON ({kind}). That is the answer of a proxy, "
            "firewall or gateway on the way, or rest_url is not eToro's."
        )


def _parsed(body: bytes) -> Any:
    """Return what JSON says; None: it is none."""
    try:
        return json.loads(body.decode("utf-8-sig"))  # servers of Microsoft's may send a mark
    except (ValueError, RecursionError):
        return None

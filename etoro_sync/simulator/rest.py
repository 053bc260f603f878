"""The two endpoints of eToro's REST API that tell the names of instruments. Pure.

They answer on the port of the stream, over real HTTP, and want the same keys in headers.
"""

import math
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from urllib.parse import parse_qs, urlsplit

from .catalogue import Catalogue, Listing
from .session import Policy
from .wire import compact

_SEARCH = "/api/v1/market-data/search"
_DETAILS = "/api/v1/market-data/instruments"
_PAGE_SIZE = 20
_MOST_ON_A_PAGE = 100
_MOST_REQUESTS = 10_000
#: What can be asked for with ``fields``.
_ITEM = ("instrumentId", "internalSymbolFull", "displayname", "internalExchangeId", "currentRate")


@dataclass(frozen=True)
class RestAnswer:
    """An answer.

    :param status: of HTTP.
    :param body: JSON.
    """

    status: HTTPStatus
    body: str


class RestEndpoints:
    """Answers requests for names.

    :param catalogue: the instruments.
    :param policy: which keys are accepted.
    """

    def __init__(self, catalogue: Catalogue, policy: Policy) -> None:
        self._catalogue = catalogue
        self._policy = policy
        #: Path and query of the last requests, without their headers, which hold the keys.
        self.requests: deque[str] = deque(maxlen=_MOST_REQUESTS)

    def answer(self, target: str, headers: Mapping[str, str]) -> RestAnswer | None:
        """Answer a GET; None: it is for none of the endpoints.

        :param target: path and query.
        :param headers: with names in small letters.
        """
        parts = urlsplit(target)
        if parts.path not in (_SEARCH, _DETAILS):
            return None
        self.requests.append(target)
        refusal = self._refusal(headers)
        if refusal is not None:
            return refusal
        query = {name: values[-1] for name, values in parse_qs(parts.query).items()}
        try:
            body = self._search(query) if parts.path == _SEARCH else self._details(query)
        except ValueError as exc:
            return _error(HTTPStatus.BAD_REQUEST, "InvalidRequest", str(exc))
        return RestAnswer(HTTPStatus.OK, compact(body))

    def _refusal(self, headers: Mapping[str, str]) -> RestAnswer | None:
        for name, code, wanted in (
            ("x-api-key", "ApiKeyRequired", self._policy.api_key),
            ("x-user-key", "UserKeyRequired", self._policy.user_key),
        ):
            given = headers.get(name, "")
            if not given:
                return _error(HTTPStatus.UNAUTHORIZED, code, f"the header {name} is missing")
            if wanted is not None and given != wanted:
                return _error(HTTPStatus.UNAUTHORIZED, "InvalidKey", f"{name} is not valid")
        if not headers.get("x-request-id", ""):
            return _error(HTTPStatus.BAD_REQUEST, "InvalidRequest", "x-request-id is missing")
        return None

    def _search(self, query: dict[str, str]) -> dict[str, object]:
        found = self._catalogue.listings
        if "internalSymbolFull" in query:
            found = self._catalogue.of_symbol(query["internalSymbolFull"])
        elif "searchText" in query:
            found = self._catalogue.of_text(query["searchText"])
        size = min(_number(query, "pageSize", _PAGE_SIZE), _MOST_ON_A_PAGE)
        page = _number(query, "pageNumber", 1)
        fields = [name for name in query.get("fields", ",".join(_ITEM)).split(",") if name in _ITEM]
        begin = (page - 1) * size
        return {
            "page": page,
            "pageSize": size,
            "totalItems": len(found),
            "totalPages": math.ceil(len(found) / size),
            "items": [_item(each, fields) for each in found[begin : begin + size]],
        }

    def _details(self, query: dict[str, str]) -> dict[str, object]:
        if "instrumentIds" not in query:
            found = self._catalogue.listings
        else:
            words = query["instrumentIds"].split(",")
            if not all(word.isascii() and word.isdigit() and len(word) <= 18 for word in words):
                raise ValueError("instrumentIds must be whole numbers")
            looked_up = [self._catalogue.of_id(int(word)) for word in words]
            found = [each for each in looked_up if each is not None]
        return {"instrumentDisplayDatas": [_detail(each) for each in found]}


def _number(query: dict[str, str], name: str, default: int) -> int:
    word = query.get(name, str(default))
    if not (word.isascii() and word.isdigit() and len(word) <= 9 and int(word) > 0):
        raise ValueError(f"{name} must be a whole number from 1 on")
    return int(word)


# The endpoints write the same things differently, as eToro's do.


def _item(each: Listing, fields: list[str]) -> dict[str, object]:
    values = (each.id, each.symbol, each.name, each.exchange, each.price)
    return {name: value for name, value in zip(_ITEM, values, strict=True) if name in fields}


def _detail(each: Listing) -> dict[str, object]:
    return {
        "instrumentID": each.id,
        "instrumentDisplayName": each.name,
        "instrumentTypeID": {1: 1, 2: 2, 3: 4, 8: 10}.get(each.exchange, 5),
        "exchangeID": each.exchange,
        "symbolFull": each.symbol,
    }


def _error(status: HTTPStatus, code: str, message: str) -> RestAnswer:
    return RestAnswer(status, compact({"errorCode": code, "errorMessage": message}))

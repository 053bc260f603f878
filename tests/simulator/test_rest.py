"""The REST endpoints of the simulator, asked by the standard library's own client."""

from __future__ import annotations

import json
import ssl
import urllib.error
import urllib.request
from typing import Any

import pytest

from etoro_sync.simulator import EToroSimulator
from etoro_sync.simulator.catalogue import Catalogue
from tests.simulator.client import Client
from tests.simulator.conftest import Simulate

HEADERS = {"x-api-key": "any", "x-user-key": "any", "x-request-id": "some-uuid"}
SEARCH = "/api/v1/market-data/search"
DETAILS = "/api/v1/market-data/instruments"


def get(
    sim: EToroSimulator,
    path: str,
    headers: dict[str, str] = HEADERS,
    tls: ssl.SSLContext | None = None,
) -> tuple[int, Any]:
    """Return status and JSON of an answer; without a proxy of the environment."""
    handlers: list[urllib.request.BaseHandler] = [urllib.request.ProxyHandler({})]
    if tls is not None:
        handlers.append(urllib.request.HTTPSHandler(context=tls))
    request = urllib.request.Request(sim.rest_url + path, headers=headers)
    try:
        with urllib.request.build_opener(*handlers).open(request, timeout=10) as answer:
            assert answer.headers["Content-Type"] == "application/json; charset=utf-8"
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.load(error)


def symbols(body: dict[str, Any]) -> list[str]:
    return [item["internalSymbolFull"] for item in body["items"]]


def test_a_symbol_is_the_last_of_its_twins(simulate: Simulate) -> None:
    """So that a client that takes the first result takes the wrong one."""
    status, body = get(simulate(rest=True), f"{SEARCH}?internalSymbolFull=MSFT")
    assert status == 200
    assert symbols(body) == ["MSFT.RTH", "MSFT.EUR", "MSFT"]
    assert (body["page"], body["pageSize"], body["totalItems"]) == (1, 20, 3)
    assert set(body["items"][0]) >= {"instrumentId", "displayname", "currentRate"}


def test_only_the_fields_that_are_wanted_are_sent(simulate: Simulate) -> None:
    """As eToro does."""
    _, body = get(simulate(rest=True), f"{SEARCH}?internalSymbolFull=BTC&fields=instrumentId,none")
    assert body["items"] == [{"instrumentId": 12008}, {"instrumentId": 100000}]


def test_a_text_is_searched_for_in_names(simulate: Simulate) -> None:
    """Page by page; a page behind the last one is empty."""
    sim = simulate(rest=True)
    found: list[str] = []
    for number in (1, 2, 3):
        _, body = get(sim, f"{SEARCH}?searchText=APPLE&pageSize=10&pageNumber={number}")
        assert body["totalItems"] == 15
        found += symbols(body)
    assert len(set(found)) == len(found) == 15
    assert found[0] == "AAPL"
    _, body = get(sim, f"{SEARCH}?searchText=e&pageSize=100000")
    assert len(body["items"]) == body["pageSize"] == 100


def test_ids_have_names_in_the_other_spelling(simulate: Simulate) -> None:
    """Unknown ids are left out; without ids all are sent."""
    sim = simulate({7: 1.0}, rest=True)
    _, body = get(sim, f"{DETAILS}?instrumentIds=100000,7,8")
    assert [each["symbolFull"] for each in body["instrumentDisplayDatas"]] == ["BTC", "SIM7"]
    assert body["instrumentDisplayDatas"][0]["instrumentID"] == 100000
    assert body["instrumentDisplayDatas"][0]["instrumentDisplayName"] == "Bitcoin"
    _, body = get(sim, DETAILS)
    assert len(body["instrumentDisplayDatas"]) > 300
    _, body = get(sim, f"{SEARCH}?internalSymbolFull=SIM7")
    assert symbols(body) == ["SIM7"]


@pytest.mark.parametrize(
    ("left_out", "status", "code"),
    [
        ("x-api-key", 401, "ApiKeyRequired"),
        ("x-user-key", 401, "UserKeyRequired"),
        ("x-request-id", 400, "InvalidRequest"),
    ],
)
def test_the_headers_are_needed(left_out: str, status: int, code: str, simulate: Simulate) -> None:
    """As by eToro."""
    headers = {name: text for name, text in HEADERS.items() if name != left_out}
    answered, body = get(simulate(rest=True), SEARCH, headers)
    assert (answered, body["errorCode"]) == (status, code)


def test_the_keys_are_those_of_the_stream(simulate: Simulate) -> None:
    """No answer and no list of requests repeats them."""
    sim = simulate(rest=True, api_key="the-right-one", user_key="its-user")
    right = {**HEADERS, "x-api-key": "the-right-one", "x-user-key": "its-user"}
    assert get(sim, SEARCH, right)[0] == 200
    for name in ("x-api-key", "x-user-key"):
        assert get(sim, SEARCH, {**right, name: "wrong-one"}) == (
            401,
            {"errorCode": "InvalidKey", "errorMessage": f"{name} is not valid"},
        )
    assert sim.rest_requests == [SEARCH] * 3


@pytest.mark.parametrize(
    "query", ["pageSize=0", "pageNumber=x", "pageNumber=-1", "pageSize=9999999999"]
)
def test_nonsense_is_refused(query: str, simulate: Simulate) -> None:
    """With what is wrong."""
    status, body = get(simulate(rest=True), f"{SEARCH}?{query}")
    assert status == 400
    assert query.partition("=")[0] in body["errorMessage"]
    assert get(simulate(rest=True), f"{DETAILS}?instrumentIds=1,BTC")[0] == 400


def test_instruments_with_names_have_usual_prices(simulate: Simulate) -> None:
    """Unless others are given."""
    assert float(simulate(rest=True).last(100000)["Bid"]) == pytest.approx(66500, rel=0.01)
    assert float(simulate([18], rest=True).last(18)["Bid"]) == pytest.approx(4807, rel=0.01)
    assert float(simulate({18: 5.0}, rest=True).last(18)["Bid"]) == pytest.approx(5, rel=0.01)
    assert float(simulate().last(100000)["Bid"]) < 6000


def test_it_speaks_tls_as_the_stream_does(simulate: Simulate) -> None:
    """With the same certificate."""
    sim = simulate(rest=True, tls=True)
    assert sim.rest_url == f"https://localhost:{sim.port}"
    assert get(sim, SEARCH, tls=sim.client_ssl_context())[0] == 200


def test_the_stream_is_where_it_was(simulate: Simulate) -> None:
    """Requests are no connections, and other paths are still refused."""
    sim = simulate(rest=True)
    get(sim, SEARCH)
    assert sim.connections == 0
    Client(sim).abandon()
    assert sim.connections == 1


def test_without_it_there_is_no_address(simulate: Simulate) -> None:
    """So that no client asks eToro by mistake."""
    sim = simulate()
    with pytest.raises(RuntimeError, match="rest=True"):
        _ = sim.rest_url
    assert sim.rest_requests == []
    with pytest.raises(urllib.error.HTTPError, match="404") as caught:
        urllib.request.build_opener(urllib.request.ProxyHandler({})).open(
            f"http://127.0.0.1:{sim.port}{SEARCH}", timeout=10
        )
    caught.value.close()
    with pytest.raises(TypeError, match="rest must be True or False"):
        EToroSimulator(rest="yes")  # type: ignore[arg-type]


def test_the_catalogue_has_some_hundred_instruments() -> None:
    """Each id and each symbol once, the same in each run, twins among them."""
    listings = Catalogue().listings
    assert 200 < len(listings) < 1000
    assert len({each.id for each in listings}) == len(listings)
    assert len({each.symbol for each in listings}) == len(listings)
    assert listings == Catalogue().listings
    assert {"MSFT", "MSFT.RTH", "MSFT.EUR", "BTC"} <= {each.symbol for each in listings}
    assert all(each.price > 0 and each.name for each in listings)
    assert Catalogue().of_id(5_000_000) is None

"""Symbols to ids, ids to names: by a simulator, and by servers that answer oddly."""

from __future__ import annotations

import contextlib
import copy
import logging
import os
import pickle
import re
import signal
import subprocess
import sys
import threading
from functools import partial
from pathlib import Path
from typing import Any

import pytest

import etoro_sync
from etoro_sync import (
    EToroAuthError,
    EToroClosedError,
    EToroInstrumentError,
    EToroRestError,
    EToroTypeError,
    EToroValidationError,
    Instrument,
    Instruments,
    WsClient,
    WsClientOptions,
)
from etoro_sync.clocks import monotonic
from etoro_sync.instruments import DEFAULT_REST_URL
from etoro_sync.simulator import EToroSimulator
from tests.conftest import MakeSimulator, StartServer
from tests.instruments.conftest import AskServer, Serve, answer, details, item, items, paths
from tests.support.clients import quick_options
from tests.support.raw_server import Peer, Refuser
from tests.support.threads import run_in_thread
from tests.support.timing import MS

DAY = 24 * 3600


@pytest.fixture
def rest(simulator: MakeSimulator) -> EToroSimulator:
    return simulator(rest=True)


@pytest.fixture
def instruments(rest: EToroSimulator, ask: AskServer) -> Instruments:
    return ask(rest.rest_url)


@pytest.fixture
def wall_clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The wall clock; a test sets its only element."""
    now = [1_800_000_000.0]
    monkeypatch.setattr("time.time", lambda: now[0])
    return now


# What an instrument is -----------------------------------------------------------------------


def test_an_instrument_is_its_id(instruments: Instruments, rest: EToroSimulator) -> None:
    """It goes wherever an id goes, and is found where its id is the key."""
    bitcoin = instruments.find("BTC")
    assert bitcoin == 100000
    assert (bitcoin.id, bitcoin.symbol, bitcoin.name) == (100000, "BTC", "Bitcoin")
    assert type(bitcoin.id) is int
    assert f"{bitcoin}" == str(bitcoin) == "100000"
    assert repr(bitcoin) == "Instrument(100000, 'BTC', 'Bitcoin')"
    with WsClient(quick_options(rest.url)) as client:
        rates = client.queue("instrument:rate", instrument_ids=[bitcoin])
        client.subscribe([bitcoin], snapshot=True)
        assert rates.get(timeout=5)[0] == bitcoin
        assert client.rates[bitcoin].bid > 0


@pytest.mark.parametrize(
    "duplicate", [copy.copy, copy.deepcopy, lambda one: pickle.loads(pickle.dumps(one))]
)
def test_an_instrument_can_be_copied(duplicate: Any) -> None:
    """With all that it knows."""
    one = duplicate(Instrument(1001, "AAPL", "Apple"))
    assert (one, one.symbol, one.name) == (1001, "AAPL", "Apple")


# Symbols --------------------------------------------------------------------------------------


def test_a_symbol_is_found_among_its_twins(instruments: Instruments) -> None:
    """The exact one, although the server sends its twins first."""
    assert instruments.find("MSFT") == 1004
    twin = instruments.find("MSFT.RTH")
    assert (twin.symbol, twin.name) == ("MSFT.RTH", "Microsoft (regular trading hours)")
    assert twin != 1004


def test_small_letters_find_a_symbol(instruments: Instruments) -> None:
    """Blanks around it do no harm either."""
    assert instruments.find(" btc ") == 100000
    assert instruments.find("msft.rth").symbol == "MSFT.RTH"


def test_capitals_are_asked_for_where_the_server_minds_them(serve: Serve, ask: AskServer) -> None:
    """It may know nothing of small letters."""
    server = serve(items(), items(item(1, "BTC", "Bitcoin")))
    assert ask(server).find("btc") == 1
    assert [re.search(r"Full=(\w+)&", path)[1] for path in paths(server)] == ["btc", "BTC"]  # type: ignore[index]


def test_the_very_same_letters_win(serve: Serve, ask: AskServer) -> None:
    """Where two symbols differ in their capitals only."""
    server = serve(items(item(1, "ABC"), item(2, "abc")))
    assert ask(server, cache_dir="").find("abc") == 2
    assert ask(server, cache_dir="").find("ABC") == 1
    with pytest.raises(EToroInstrumentError, match="2 instruments have the symbol 'Abc'"):
        ask(server, cache_dir="").find("Abc")


def test_an_unknown_symbol_is_never_guessed(instruments: Instruments) -> None:
    """What is similar is named, and not returned."""
    with pytest.raises(EToroInstrumentError) as caught:
        instruments.find("APPL")
    assert isinstance(caught.value, LookupError)
    assert "No instrument has the symbol 'APPL'" in str(caught.value)
    assert "AAPL (1001, Apple)" in str(caught.value)
    assert 1001 in caught.value.candidates
    assert caught.value.candidates[0].symbol == "AAPL"
    with pytest.raises(EToroInstrumentError, match="What comes near: BTC"):
        instruments.find("bitcoin")
    with pytest.raises(EToroInstrumentError, match="Nothing comes near"):
        instruments.find("QQQQQ")


def test_the_candidates_are_a_courtesy(serve: Serve, ask: AskServer) -> None:
    """When they cannot be asked for, the symbol is unknown all the same."""
    server = serve(items(), answer({}, "500 Internal Server Error"))
    with pytest.raises(EToroInstrumentError, match="Nothing comes near") as caught:
        ask(server).find("NONE")
    assert caught.value.candidates == ()


def test_nobody_waits_for_candidates(serve: Serve, ask: AskServer) -> None:
    """Although the server asks to wait."""
    server = serve(items(), answer({}, "429 Too Many Requests", "Retry-After: 50"))
    with pytest.raises(EToroInstrumentError, match="Nothing comes near"):
        ask(server).find("NONE")
    assert server.connections == 2


def test_an_ambiguous_symbol_raises_with_its_instruments(serve: Serve, ask: AskServer) -> None:
    """Also when they come on different pages."""
    first = [item(number, f"X.{number}") for number in range(100)]
    server = serve(
        items(*first[1:], item(200, "X", "One"), total=101),
        items(item(300, "X", "Other"), total=101),
    )
    with pytest.raises(EToroInstrumentError) as caught:
        ask(server).find("X")
    assert caught.value.candidates == (200, 300)
    assert "2 instruments have the symbol 'X': X (200, One), X (300, Other)." in str(caught.value)


def test_an_exact_symbol_is_found_on_a_later_page(serve: Serve, ask: AskServer) -> None:
    """A short symbol is the beginning of many."""
    pages = [items(*(item(n * 10 + i, f"A{n}{i}") for i in range(10)), total=30) for n in (1, 2)]
    last = items(*(item(900 + i, "A" if i == 9 else f"AX{i}") for i in range(10)), total=30)
    server = serve(*pages, last)
    assert ask(server).find("A") == 909
    assert [path.rpartition("pageNumber=")[2] for path in paths(server)] == ["1", "2", "3"]


def test_without_a_count_a_full_page_is_not_the_last(serve: Serve, ask: AskServer) -> None:
    """One that is not full is."""
    full = items(*(item(number, f"X.{number}") for number in range(1, 101)))
    server = serve({**full, "totalItems": None}, {**items(item(300, "X")), "totalItems": None})
    assert ask(server).find("X") == 300
    assert server.connections == 2


@pytest.mark.parametrize("total", [10**9, None, "many"])
def test_a_server_that_repeats_its_first_page_ends_nothing(
    serve: Serve, ask: AskServer, total: Any
) -> None:
    """It knows no pages, or counts wrong."""
    page = {**items(item(1, "ABC")), "totalItems": total}
    server = serve(page)
    assert ask(server).find("ABC") == 1
    assert server.connections <= 2


def test_an_answer_that_is_not_complete_says_nothing_of_a_symbol(
    raw_server: StartServer, ask: AskServer
) -> None:
    """A server that sends all that it has, page by page, is read to a bound, and not beyond."""

    def all_of_them(peer: Peer) -> None:
        request = peer.read_request()
        number = int(re.search(r"pageNumber=(\d+)", request)[1])  # type: ignore[index]
        found = (item(number * 1000 + n, f"S{number}N{n}") for n in range(100))
        peer.send(answer(items(*found, total=12_000)))

    server = raw_server(all_of_them)
    instruments = ask(server)
    assert instruments.find("S2N5") == 2005
    connections = server.connections
    with pytest.raises(EToroRestError, match="more results for the symbol 'NONE' than can be read"):
        instruments.find("NONE")
    assert server.connections == connections + 20


def test_what_is_not_similar_is_no_candidate(serve: Serve, ask: AskServer) -> None:
    """Where a server ignores the symbol, the search for its text counts."""
    server = serve(items(item(1, "ABC"), item(2, "DEF")), items(item(3, "XYZW")))
    with pytest.raises(EToroInstrumentError) as caught:
        ask(server).find("XYZ")
    assert caught.value.candidates == (3,)


def test_items_that_cannot_be_read_are_left_out(serve: Serve, ask: AskServer) -> None:
    """The others count; ids may be texts, and names of fields have any capitals."""
    odd = [None, 5, {}, {"instrumentId": True}, item(-1, "ABC"), item(10**30, "ABC"), [item(1, "")]]
    odd += [item(0, "ABC"), {**item(1, "ABC"), "instrumentId": 1.0}]
    good = {"InstrumentID": "77", "SymbolFull": "ABC", "instrumentDisplayName": " A\x1b[1m\nB "}
    server = serve(items(*odd, good))  # type: ignore[arg-type]
    found = ask(server).find("ABC")
    assert (found, found.name) == (77, "A [1m B")


def test_capitals_of_other_letters_are_not_guessed(serve: Serve, ask: AskServer) -> None:
    """Those of a sharp s are two letters."""
    with pytest.raises(EToroInstrumentError):
        ask(serve(items(item(1, "SS")))).find("\u00df")


# Names ----------------------------------------------------------------------------------------


def test_an_id_has_a_name(instruments: Instruments) -> None:
    """As eToro shows it."""
    assert instruments.name(100000) == "Bitcoin"
    assert instruments.name(Instrument(18)) == "Gold"


def test_many_ids_are_few_requests(instruments: Instruments, rest: EToroSimulator) -> None:
    """A hundred in each."""
    found = instruments.lookup(range(1, 251))
    assert list(found) == list(range(1, 251))
    assert found[18].symbol == "GOLD"
    assert len(rest.rest_requests) == 3
    assert instruments.lookup(range(1, 251)) == found
    assert len(rest.rest_requests) == 3


def test_all_instruments_are_one_request(instruments: Instruments, rest: EToroSimulator) -> None:
    """Some are known by name afterwards, without another request."""
    found = instruments.all()
    assert {100000, 1001} <= {each.id for each in found}
    assert len({each.id for each in found}) == len(found)
    assert instruments.name(100000) == "Bitcoin"
    assert rest.rest_requests == ["/api/v1/market-data/instruments"]


def test_no_ids_are_no_request(instruments: Instruments, rest: EToroSimulator) -> None:
    """For without ids eToro sends all that it has."""
    assert instruments.lookup([]) == {}
    assert instruments.lookup(iter(())) == {}
    assert rest.rest_requests == []


def test_an_unknown_id_has_no_name(simulator: MakeSimulator, ask: AskServer) -> None:
    """It is left out of many, and raises alone."""
    instruments = ask(simulator(instruments=[1], rest=True).rest_url)
    assert instruments.lookup([18, 77]) == {18: 18}
    with pytest.raises(EToroInstrumentError, match="no instrument with the id 77"):
        instruments.name(77)


def test_what_was_not_asked_for_is_left_out(serve: Serve, ask: AskServer, tmp_path: Path) -> None:
    """A server that ignores the ids sends all; the file does not fill up with that."""
    server = serve(details((1, "A", "Ay"), (2, "B", "Be")))
    assert ask(server).lookup([2, 3]) == {2: 2}
    (file,) = tmp_path.iterdir()
    assert "Be" in file.read_text()
    assert "Ay" not in file.read_text()


def test_a_name_that_is_missing_is_the_symbol(serve: Serve, ask: AskServer) -> None:
    """Something is to be shown."""
    assert ask(serve(details((1, "A", "")))).name(1) == "A"


# Candidates -----------------------------------------------------------------------------------


def test_a_search_returns_candidates(instruments: Instruments, rest: EToroSimulator) -> None:
    """As many as are wanted, by name or symbol; each can be subscribed to."""
    found = instruments.search("apple")
    assert found[0] == 1001
    assert len(found) > 10
    assert [each.symbol for each in instruments.search("apple", limit=2)] == ["AAPL", "AAPL.RTH"]
    assert instruments.search("nothing like this") == []
    assert len(instruments.search("e", limit=150)) == 150
    assert "pageNumber=2" in rest.rest_requests[-1]


# What is kept ---------------------------------------------------------------------------------


def test_answers_are_kept_for_a_day(
    serve: Serve, ask: AskServer, wall_clock: list[float], tmp_path: Path
) -> None:
    """In a file that the next process reads, too; then eToro is asked again."""
    server = serve(items(item(1, "ABC")), items(item(1, "ABC", "New")))
    assert ask(server).find("ABC") == 1
    wall_clock[0] += DAY - 2
    again = ask(server)
    assert again.find("ABC").name == ""
    assert server.connections == 1
    wall_clock[0] += 2
    assert again.find("ABC").name == "New"
    assert server.connections == 2
    assert len(list(tmp_path.iterdir())) == 1


def test_what_an_id_is_called_says_nothing_of_the_symbol(serve: Serve, ask: AskServer) -> None:
    """Another instrument may have the same; only a search for the symbol knows."""
    server = serve(details((1, "ABC", "One")), items(item(1, "ABC"), item(2, "ABC")))
    instruments = ask(server)
    assert instruments.name(1) == "One"
    with pytest.raises(EToroInstrumentError, match="2 instruments"):
        instruments.find("ABC")


@pytest.mark.parametrize(
    "failing",
    [
        answer(b"<html>busy</html>", "502 Bad Gateway", kind="text/html"),
        answer({}, "429 Too Many Requests", "Retry-After: 3000"),
        answer({}, "429 Too Many Requests", "Retry-After: 1"),
        answer({"errorCode": "InvalidKey"}, "401 Unauthorized"),
        b"",
    ],
    ids=["html", "429", "429 soon", "401", "end"],
)
def test_old_answers_are_used_when_nobody_can_be_asked(
    failing: bytes,
    serve: Serve,
    ask: AskServer,
    wall_clock: list[float],
    caplog: pytest.LogCaptureFixture,
) -> None:
    """With a warning, at once, and without another attempt for a while: ids never change."""
    server = serve(items(item(1, "ABC")), details((1, "ABC", "Name")), failing)
    instruments = ask(server)
    instruments.find("ABC")
    instruments.name(1)
    wall_clock[0] += 3 * DAY
    assert instruments.find("ABC") == 1
    (record,) = (each for each in caplog.records if each.levelno == logging.WARNING)
    assert "What eToro has said of the symbol ABC 3 days ago is used" in record.getMessage()
    before = server.connections
    assert instruments.find("ABC") == 1
    assert instruments.name(1) == "Name"
    assert server.connections == before
    assert len([each for each in caplog.records if each.levelno == logging.WARNING]) == 1


def test_what_was_never_answered_raises_when_nobody_can_be_asked(
    serve: Serve, ask: AskServer, wall_clock: list[float]
) -> None:
    """One old answer does not stand for the others."""
    server = serve(details((1, "ABC", "Name")), answer({}, "503 Service Unavailable"))
    instruments = ask(server)
    instruments.name(1)
    wall_clock[0] += 3 * DAY
    with pytest.raises(EToroRestError, match="HTTP 503"):
        instruments.lookup([1, 2])
    assert instruments.name(1) == "Name"


def test_a_symbol_that_is_gone_is_unknown_although_it_was_kept(
    serve: Serve, ask: AskServer, wall_clock: list[float]
) -> None:
    """eToro has answered, so the old entry counts no more."""
    server = serve(items(item(1, "ABC")), items())
    instruments = ask(server)
    instruments.find("ABC")
    wall_clock[0] += 2 * DAY
    with pytest.raises(EToroInstrumentError):
        instruments.find("ABC")


def test_offline_what_is_known_is_answered(
    serve: Serve, ask: AskServer, wall_clock: list[float]
) -> None:
    """Without the network, and without keys; the rest says which address was not reached."""
    server = serve(items(item(1, "ABC")))
    ask(server).find("ABC")
    server.stop_listening()
    assert ask(server, api_key="", user_key="").find("ABC") == 1
    wall_clock[0] += 2 * DAY
    offline = ask(server)
    assert offline.find("ABC") == 1
    with pytest.raises(EToroRestError, match=rf"127\.0\.0\.1:{server.port}") as caught:
        offline.find("DEF")
    assert caught.value.error_code is None
    assert "rest_url" in str(caught.value)
    assert "ws_url" not in str(caught.value)


def test_a_name_with_a_key_in_it_is_not_kept(serve: Serve, ask: AskServer, tmp_path: Path) -> None:
    """Whatever a server writes, no file gets to know a key."""
    server = serve(details((1, "ABC", "planted-user-key-0815"), (2, "DEF", "Two")))
    assert ask(server).lookup([1, 2]) == {1: 1, 2: 2}
    (file,) = tmp_path.iterdir()
    assert "planted" not in file.read_text()
    assert "Two" in file.read_text()


# Threads and ends -----------------------------------------------------------------------------


def test_any_thread_may_ask(instruments: Instruments) -> None:
    """Many at once, of the same and of others."""
    symbols = ["BTC", "AAPL", "MSFT", "MSFT.RTH", "GOLD", "ETH"] * 4
    found: dict[int, str] = {}

    def find(number: int) -> None:
        found[number] = instruments.find(symbols[number]).symbol

    running = [run_in_thread(partial(find, number)) for number in range(len(symbols))]
    for each in running:
        each.wait()
    assert [found[number] for number in range(len(symbols))] == symbols


def test_close_ends_requests_of_other_threads(raw_server: Any, ask: AskServer) -> None:
    """They raise, and so do later ones; what is known is answered all the same."""
    asked = threading.Event()

    def silent(peer: Peer) -> None:
        peer.read_request()
        asked.set()
        peer.wait_closed()

    instruments = ask(raw_server(silent))

    def find() -> None:
        with pytest.raises(EToroClosedError, match="closed while eToro was asked"):
            instruments.find("ABC")

    with instruments:
        running = run_in_thread(find)
        assert asked.wait(5)
    running.wait()
    with pytest.raises(EToroClosedError, match="are closed"):
        instruments.name(1)
    instruments.close()


def test_after_close_no_old_answer_is_used(
    serve: Serve, ask: AskServer, wall_clock: list[float]
) -> None:
    """For it would be one that nobody has asked about."""
    instruments = ask(serve(items(item(1, "ABC")), details((1, "ABC", "One"))))
    instruments.find("ABC")
    instruments.name(1)
    instruments.close()
    assert (instruments.find("ABC"), instruments.name(1)) == (1, "One")
    wall_clock[0] += 2 * DAY
    for question in (lambda: instruments.find("ABC"), lambda: instruments.name(1)):
        with pytest.raises(EToroClosedError):
            question()


def test_no_thread_and_no_descriptor_is_left(instruments: Instruments) -> None:
    """Each request opens and closes what it needs; nothing has to be closed at the end."""
    folder = Path("/proc/self/fd")
    instruments.search("apple")  # loads what is loaded late
    before = len(list(folder.iterdir())) if folder.exists() else 0
    for _ in range(5):
        instruments.search("apple")
    assert not [each for each in threading.enumerate() if each.name.startswith("etoro-sync")]
    deadline = monotonic() + 5
    # The simulator closes its ends a little later.
    while before and len(list(folder.iterdir())) > before and monotonic() < deadline:
        threading.Event().wait(10 * MS)
    assert not before or len(list(folder.iterdir())) <= before


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork()")
@pytest.mark.filterwarnings("ignore:.*multi-threaded:DeprecationWarning")
def test_a_forked_child_may_ask(instruments: Instruments, tmp_path: Path) -> None:
    """Whatever lock another thread of its parent holds at that moment, as a service's does."""
    parts: list[Any] = [
        *(instruments._calls, instruments._cache, instruments._throttle),
        instruments._queries._rest._pace,
    ]
    with contextlib.ExitStack() as held:
        for part in parts:
            held.enter_context(part._lock)
        child = os.fork()
        if child == 0:
            status = 1
            try:
                signal.signal(signal.SIGALRM, signal.SIG_DFL)
                signal.alarm(10)
                assert instruments.find("BTC") == 100000
                assert instruments._throttle.passes("old") == 0
                status = 0
            finally:
                os._exit(status)
        _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 0
    assert "BTC" in next(tmp_path.iterdir()).read_text()
    assert instruments.find("AAPL") == 1001


# Arguments ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda one: one.find(100000), r"not 100000\. For an id there are name\(100000\)"),
        (lambda one: one.find(""), "1 to 64 printable characters"),
        (lambda one: one.find("A\nB"), "printable"),
        (lambda one: one.find("A" * 65), "1 to 64"),
        (lambda one: one.find(None), "not None"),
        (lambda one: one.search(b"apple"), "text must be a string"),
        (lambda one: one.search("apple", limit=0), "limit must be"),
        (lambda one: one.search("apple", limit=True), "limit must be"),
        (lambda one: one.name("BTC"), "positive whole number"),
        (lambda one: one.name(0), "positive whole number"),
        (lambda one: one.lookup("BTC"), "list of instrument ids"),
        (lambda one: one.lookup(1.5), "list of instrument ids"),
        (lambda one: one.lookup([1, "BTC"]), "positive whole number"),
        (lambda one: one.find("BTC", timeout=-1), "timeout must be"),
    ],
)
def test_wrong_arguments_are_refused(call: Any, words: str, instruments: Instruments) -> None:
    """Before anybody is asked."""
    with pytest.raises(EToroValidationError, match=words):
        call(instruments)


def test_settings_may_be_given_by_keyword(rest: EToroSimulator) -> None:
    """As to a client; or in options, but not both."""
    instruments = Instruments(api_key="any", user_key="any", proxy="", rest_url=rest.rest_url)
    assert instruments.find("BTC") == 100000
    with pytest.raises(EToroValidationError, match="not both") as caught:
        Instruments(WsClientOptions(), api_key="any")
    assert caught.value.field == "api_key"


@pytest.mark.parametrize("duplicate", [copy.copy, copy.deepcopy, pickle.dumps])
def test_they_belong_to_their_process(duplicate: Any, instruments: Instruments) -> None:
    """What to do instead is said."""
    with pytest.raises(EToroTypeError, match="Make others from the same options"):
        duplicate(instruments)


def test_a_lack_of_descriptors_is_a_failed_request(
    instruments: Instruments, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With which limit to raise."""

    def full(self: object) -> None:
        raise OSError(24, "Too many open files")

    monkeypatch.setattr("etoro_sync.ws.transport.waker.Waker.__init__", full)
    with pytest.raises(EToroRestError, match=r"Too many open files\. Raise the limit"):
        instruments.find("BTC")


def test_wrong_settings_are_refused() -> None:
    """Options, and the folder."""
    with pytest.raises(EToroValidationError, match="WsClientOptions or None, not str"):
        Instruments("key")  # type: ignore[arg-type]
    with pytest.raises(EToroValidationError, match="cache_dir must be a path"):
        Instruments(WsClientOptions(), cache_dir=5)  # type: ignore[arg-type]


def test_missing_keys_are_named(ask: AskServer) -> None:
    """Before anything is sent."""
    with Refuser() as refuser:
        instruments = ask(f"http://127.0.0.1:{refuser.port}", user_key="")
        with pytest.raises(EToroAuthError, match="ETORO_USER_KEY"):
            instruments.find("BTC")


def test_all_settings_come_from_the_environment(
    rest: EToroSimulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As for a client, and ETORO_REST_URL beside."""
    for name, value in (("API_KEY", "any"), ("USER_KEY", "any"), ("REST_URL", rest.rest_url)):
        monkeypatch.setenv(f"ETORO_{name}", value)
    assert Instruments().find("BTC") == 100000
    assert repr(Instruments()) == f"<Instruments of {rest.rest_url}>"
    monkeypatch.setenv("ETORO_REST_URL", " ")
    assert repr(Instruments()) == f"<Instruments of {DEFAULT_REST_URL}>"


def test_a_timeout_holds_for_all_of_a_call(raw_server: Any, ask: AskServer) -> None:
    """Whatever the options allow for each step."""
    instruments = ask(raw_server(lambda peer: peer.wait_closed()))
    with pytest.raises(EToroRestError, match="did not answer in time"):
        instruments.find("ABC", timeout=50 * MS)


# The package ----------------------------------------------------------------------------------


def test_it_is_loaded_when_it_is_asked_for() -> None:
    """The import of the package does not get slower."""
    code = (
        "import sys, etoro_sync\n"
        "late = ('etoro_sync.instruments', 'http.client', 'uuid', 'tempfile')\n"
        "print([name for name in late[:1] if name in sys.modules])\n"
        "from etoro_sync import Instruments\n"
        "print([name for name in late[:1] if name in sys.modules])\n"
        "print('Instruments' in dir(etoro_sync))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == ["[]", "['etoro_sync.instruments']", "True"]
    assert set(etoro_sync.__all__) <= set(dir(etoro_sync))
    with pytest.raises(AttributeError, match="has no attribute 'Instrumnets'"):
        etoro_sync.Instrumnets  # noqa: B018

"""What a notebook shows of a client, its statistics, rates and events: small escaped tables."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from typing import Any

import pytest

import etoro_sync
from etoro_sync import (
    Feed,
    MarketStream,
    WsClient,
    WsGap,
    WsInstrumentRate,
    WsPrivateEvent,
    html_tables,
)
from etoro_sync.models import WsAuthenticateOperation
from tests.support.clients import API_KEY, USER_KEY

EVIL = "<script>alert('x')</script>&\"\ud800"


def html_of(thing: Any) -> str:
    """What a notebook gets."""
    found = thing._repr_html_()
    assert isinstance(found, str)
    assert found.count("<table") == found.count("</table>") >= 1
    return found


def cells(html: str) -> list[str]:
    """The texts of all cells."""
    return re.findall(r"<t[dh] [^>]*>(.*?)</t[dh]>", html)


def test_a_rate_is_a_table_of_its_fields() -> None:
    """Those that eToro has not sent are left out."""
    shown = cells(html_of(WsInstrumentRate(ask=1.0839, bid=1.0837, instrument_id=1)))
    assert shown[:4] == ["ask", "1.0839", "bid", "1.0837"]
    assert "bid_discounted" not in shown
    assert "closes" not in shown


def test_events_are_tables_with_their_status_as_title() -> None:
    """An order says what became of it, and a gap how long it is."""
    assert "order 7 FILLED" in html_of(WsPrivateEvent(order_id=7, status_id=3))
    assert "until" in cells(html_of(WsGap(1.0, 3.5, 2)))


@pytest.mark.parametrize("text", [EVIL, EVIL * 10_000])
def test_texts_from_the_network_are_escaped_and_short(text: str) -> None:
    """No element comes of them, and a huge one does not fill the notebook."""
    event = WsPrivateEvent(error_message=text, type=text, extra={text: [text]})
    html = html_of(event)
    assert "<script" not in html
    assert len(html) < 3000
    html.encode()  # no half of a surrogate


def test_the_request_with_the_keys_has_no_table() -> None:
    """Nobody gets that object, and nobody shall display it by mistake."""
    assert not hasattr(WsAuthenticateOperation, "_repr_html_")


def test_a_client_shows_its_state_and_first_rates(simulator: Any, client: Any) -> None:
    """With its counters; the keys are nowhere."""
    server = simulator(instruments=dict.fromkeys(range(1, 13), 100.0))
    one = client(server.url)
    assert "disconnected" in html_of(one)
    one.connect()
    rates = one.queue("instrument:rate")
    one.subscribe(list(range(1, 13)), snapshot=True)
    for _ in range(12):
        rates.get(timeout=5)
    html = html_of(one)
    assert "&lt;WsClient live" in html
    assert "2 more are not shown." in html
    assert API_KEY not in html
    assert USER_KEY not in html
    assert html_of(one.rates).count("<tr>") == 13
    assert cells(html_of(one.rates))[:2] == ["instrument", "bid"]
    assert "messages" in cells(html_of(one.stats()))


def test_many_rates_are_only_counted() -> None:
    """A notebook keeps what it shows."""
    rates = {n: WsInstrumentRate(ask=2.0, bid=1.0) for n in range(1000)}
    html = html_tables.rates_table(rates)
    assert html.count("<tr>") == 51
    assert "950 more are not shown." in html
    assert "No rate has come." in html_tables.rates_table({})


def test_rates_have_the_date_of_their_reception() -> None:
    """A notebook is opened again after days, and a price may be of last week."""
    rates = {1: WsInstrumentRate(ask=2.0, bid=1.0, received_at=1_764_000_000.0)}
    assert re.search(r">2025-11-2\d \d\d:\d\d:\d\d\.000<", html_tables.rates_table(rates))


def test_a_failed_stream_shows_its_error() -> None:
    """And does not raise it."""

    def play(feed: Feed) -> None:
        raise RuntimeError("<b>broken</b>")

    stream = MarketStream(play)
    stream.connect()
    with pytest.raises(etoro_sync.EToroError):
        stream.run_forever()
    assert "&lt;b&gt;broken" in html_of(stream)


def test_what_cannot_be_shown_is_shown_as_plain_text() -> None:
    """A subclass that is only half made, for example: None lets the notebook take repr()."""

    class Half(MarketStream):
        def __init__(self) -> None:
            pass

    assert Half()._repr_html_() is None
    rate = WsInstrumentRate(ask=2.0, bid=1.0)
    vars(rate).clear()
    assert rate._repr_html_() is None


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork()")
def test_a_forked_child_shows_a_closed_client() -> None:
    """Without waiting for a lock whose thread is not there."""
    stream = MarketStream(lambda feed: None)
    child = os.fork()
    if child == 0:
        os._exit(0 if "closed" in (stream._repr_html_() or "") else 1)
    assert os.waitpid(child, 0)[1] == 0


def test_importing_the_library_loads_neither_tables_nor_widgets() -> None:
    """Programs without a notebook do not pay for it."""
    code = (
        "import sys, etoro_sync\n"
        "late = ('etoro_sync.html_tables', 'etoro_sync.notebook', 'anywidget', 'IPython')\n"
        "print([name for name in late if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_wsclient_is_a_stream_of_the_same_tables() -> None:
    """A subclass may replace it."""
    assert WsClient._repr_html_ is MarketStream._repr_html_

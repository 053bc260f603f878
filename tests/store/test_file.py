"""The file: whose it is, who may read it, and what comes of one that cannot be used or written."""

from __future__ import annotations

import gc
import os
import shutil
import sqlite3
import stat
import subprocess
import sys
import threading
import weakref
from collections.abc import Callable
from pathlib import Path

import pytest

from etoro_sync import EToroError, WsClient
from etoro_sync.simulator import EToroSimulator
from etoro_sync.store import OrderStore, inbox
from etoro_sync.stream.core import core_of
from tests.conftest import MakeClient
from tests.store.conftest import MakeStore
from tests.support.clients import API_KEY, USER_KEY
from tests.support.timing import MS

Connect = Callable[..., WsClient]
SOON = 10_000 * MS


def wait_for(store: OrderStore, condition: Callable[[], object]) -> None:
    """Wait until something has happened to the store after which the condition holds."""
    for _ in range(200):
        seen = store._changes.number
        if condition():
            return
        store._changes.wait(seen, 100 * MS)
    raise AssertionError(store.stats())


def test_promise_14_the_file_is_the_owners_alone_and_has_no_keys(
    store: MakeStore, connected: Connect, sim: EToroSimulator, tmp_path: Path
) -> None:
    """With the folder made, and without the keys that a server repeats in an order event."""
    where = tmp_path / "new" / "ürders.db"
    orders = store(where)
    connected(orders)
    sim.fill_order(7, Note=f"{API_KEY} {USER_KEY}")
    assert next(iter(orders.pending(SOON))).event.extra == {"Note": "*** ***"}
    files = sorted(where.parent.iterdir())
    assert [f.name[len(where.name) :] for f in files] == ["", "-reader", "-shm", "-wal"]
    for file in files:
        if os.name == "posix":
            assert stat.S_IMODE(file.stat().st_mode) == 0o600
        assert API_KEY.encode() not in file.read_bytes()
        assert USER_KEY.encode() not in file.read_bytes()


@pytest.mark.parametrize("durable", [True, False])
def test_a_durable_store_waits_for_the_disk(store: MakeStore, path: Path, durable: bool) -> None:
    """FULL is what survives a loss of power; NORMAL survives the end of the process."""
    orders = store(durable=durable)
    (level,) = orders._database._rows("PRAGMA synchronous")[0]
    assert level == (2 if durable else 1)
    assert orders._database._rows("PRAGMA journal_mode") == [("wal",)]


def test_files_that_are_no_store_are_refused(path: Path) -> None:
    """With what to do; and they are left as they are."""
    path.write_bytes(b"not a database, but a diary\n" * 100)
    before = path.read_bytes()
    with pytest.raises(EToroError, match="damaged, or is none of SQLite's"):
        OrderStore(path)
    assert path.read_bytes() == before
    path.unlink()
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE diary (day)")
    connection.commit()
    connection.close()
    before = path.read_bytes()
    with pytest.raises(EToroError, match="of another application"):
        OrderStore(path)
    assert path.read_bytes() == before
    with pytest.raises(EToroError, match="cannot be used as a store"):
        OrderStore(path / "below a file")
    with pytest.raises(EToroError, match="unable to open"):
        OrderStore(path.parent)


def test_a_file_of_a_later_version_is_refused(store: MakeStore, path: Path) -> None:
    """Rather than changed by one that does not know it."""
    store().close()
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA user_version = 2")
    connection.close()
    with pytest.raises(EToroError, match=r"later version.*format 2.*Upgrade"):
        OrderStore(path)


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root may write everywhere")
def test_what_cannot_be_written_is_refused_at_once(store: MakeStore, path: Path) -> None:
    """A file or a folder, with the reason, and no traceback of SQLite's."""
    store().close()
    path.chmod(0o400)
    with pytest.raises(EToroError, match=r"readonly database\. Check"):
        OrderStore(path)
    path.chmod(0o600)
    path.parent.chmod(0o500)
    try:
        with pytest.raises(EToroError, match="Permission denied"):
            OrderStore(path.with_name("other.db"))
        with pytest.raises(EToroError, match=r"\. Check its disk, and the permissions"):
            OrderStore(path)
    finally:
        path.parent.chmod(0o700)


def test_a_damaged_file_says_what_to_do(
    store: MakeStore, connected: Connect, sim: EToroSimulator, path: Path
) -> None:
    """Its head is whole, and a page behind it is not."""
    orders = store()
    connected(orders)
    for order_id in range(200):
        sim.fill_order(order_id)
    wait_for(orders, lambda: orders.stats().stored == 200)
    orders.close()
    content = bytearray(path.read_bytes())
    content[4096:] = b"\xff" * (len(content) - 4096)
    path.write_bytes(content)
    with pytest.raises(EToroError, match=r"malformed.*\.recover"), OrderStore(path) as damaged:
        list(damaged.events())


def test_many_processes_may_open_a_new_file_at_once(path: Path) -> None:
    """One makes the tables, and the others wait for it."""
    program = (
        "import sys; from etoro_sync.store import OrderStore; sys.stdin.read()\n"
        "with OrderStore(sys.argv[1]) as store: print(len(list(store.events())))"
    )
    starts = [
        subprocess.Popen(
            [sys.executable, "-c", program, str(path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(3)
    ]
    for process in starts:
        assert process.stdin is not None
        process.stdin.close()
        process.stdin = None
    assert [process.communicate() for process in starts] == [("0\n", "")] * 3


def test_a_full_disk_is_waited_for(
    store: MakeStore,
    connected: Connect,
    sim: EToroSimulator,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The stream goes on, one error is logged, and all is stored when there is room again."""
    orders = store()
    connected(orders)
    orders._database._rows("PRAGMA max_page_count = 20")
    for order_id in range(1, 301):
        sim.fill_order(order_id)
    wait_for(orders, lambda: orders.stats().failure)
    wait_for(orders, lambda: orders.stats().received == 300)
    stats = orders.stats()
    assert "full" in str(stats.failure)
    assert "Free some space" in str(stats.failure)
    assert stats.waiting == 300 - stats.stored > 0
    orders._writer.refresh(SOON)  # one more attempt, which is not logged again
    orders._database._rows("PRAGMA max_page_count = 100000")
    wait_for(orders, lambda: orders.stats().stored == 300)
    assert [item.event.order_id for item in orders.events()] == list(range(1, 301))

    def logged() -> list[str]:
        return [r.levelname for r in caplog.records if "store" in r.message]

    # Logged behind the transaction.
    wait_for(orders, lambda: orders.stats().failure is None and len(logged()) > 1)
    assert logged() == ["ERROR", "WARNING"]


def test_the_end_makes_one_more_attempt(
    store: MakeStore, connected: Connect, sim: EToroSimulator
) -> None:
    """If there is room again when the store is closed, nothing is lost."""
    orders = store()
    connected(orders)
    orders._database._rows("PRAGMA max_page_count = 1")
    for order_id in range(1, 101):
        sim.fill_order(order_id)
    wait_for(orders, lambda: orders.stats().received == 100)
    wait_for(orders, lambda: orders.stats().failure)
    orders._database._rows("PRAGMA max_page_count = 100000")
    orders.close()
    assert (orders.stats().stored, orders.stats().refused) == (100, 0)


def test_a_disk_that_stays_full_costs_what_waits_and_the_end_says_so(
    store: MakeStore,
    connected: Connect,
    sim: EToroSimulator,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """close() ends in time; the next program finds a gap since the last that was stored."""
    orders = store()
    client = connected(orders)
    orders._database._rows("PRAGMA max_page_count = 1")
    for order_id in range(1, 101):
        sim.fill_order(order_id)
    wait_for(orders, lambda: orders.stats().received == 100)
    wait_for(orders, lambda: orders.stats().failure)
    caplog.clear()
    orders.close()
    stats = orders.stats()
    assert stats.refused == 100 - stats.stored > 0
    assert stats.waiting == 0
    assert f"before {stats.refused} order events were written" in caplog.text
    client.disconnect()


def test_promise_10_what_does_not_fit_into_memory_is_counted_and_a_gap(
    store: MakeStore, connected: Connect, sim: EToroSimulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Memory is bounded, and the file says when something is missing."""
    monkeypatch.setattr(inbox, "_MOST", 10)
    orders = store()
    connected(orders)
    with orders._database._lock:  # the disk takes nothing
        sim.fill_order(1)
        client_has(sim, orders, 40)
    wait_for(orders, lambda: orders.stats().waiting == 0)
    stats = orders.stats()
    assert stats.received == 40
    assert stats.refused >= 20
    assert stats.stored + stats.refused == 40
    # Two, if the writer has made room once before the disk took nothing.
    gaps = orders.gaps()
    assert 1 <= len(gaps) <= 2
    for gap in gaps:
        assert gap.topics == ("private",)
        assert 0 <= gap.seconds < SOON


def client_has(sim: EToroSimulator, orders: OrderStore, number: int) -> None:
    """Send orders until the store has received so many."""
    for order_id in range(2, number + 1):
        sim.fill_order(order_id)
    waited = threading.Event()
    while orders._inbox.received < number:
        waited.wait(1 * MS)


def ids(orders: OrderStore) -> list[int | None]:
    """The orders in the file."""
    return [item.event.order_id for item in orders.events()]


def test_a_file_that_is_removed_is_missed(
    store: MakeStore,
    connected: Connect,
    sim: EToroSimulator,
    path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Nothing is written where nobody would find it; put back, it goes on."""
    orders = store()
    connected(orders)
    away = path.with_name("away")
    shutil.move(path, away)
    sim.fill_order(7)
    wait_for(orders, lambda: orders.stats().failure)
    assert "removed or replaced" in str(orders.stats().failure)
    assert "removed or replaced" in caplog.text
    shutil.move(away, path)
    wait_for(orders, lambda: orders.stats().stored == 1)
    assert ids(orders) == [7]


def test_a_store_that_nobody_refers_to_ends(
    client: MakeClient, sim: EToroSimulator, path: Path
) -> None:
    """With its thread; the client goes on, and does not keep what the store had made."""
    orders = OrderStore(path, durable=False)
    new = client(sim.url)
    orders.attach(new)
    events = new.queue("private:event")
    new.connect()
    new.subscribe("private")
    gone, thread = weakref.ref(orders), orders._writer._thread
    del orders
    gc.collect()
    assert gone() is None
    thread.join(SOON)
    assert not thread.is_alive()
    listeners = core_of(new).registry.listeners("private:event")
    assert len(listeners.queues) == 2
    sim.fill_order(7)
    assert events.get(timeout=SOON).order_id == 7
    assert len(listeners.queues) == 1
    new.disconnect()
    with OrderStore(path, durable=False) as again:
        assert ids(again) == []


def test_the_end_of_a_program_stores_what_waits(sim: EToroSimulator, path: Path) -> None:
    """Without close() and without a with block."""
    program = (
        "import sys\n"
        "from etoro_sync.store import OrderStore\n"
        "from tests.support.clients import make_client\n"
        "client, store = make_client(sys.argv[1]), OrderStore(sys.argv[2])\n"
        "store.attach(client)\n"
        "client.connect()\n"
        "client.subscribe('private')\n"
        "orders = client.queue('private:event')\n"
        "print('ready', flush=True)\n"
        "while orders.get().order_id < 100: pass\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-W", "error", "-c", program, sim.url, str(path)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[2],
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    for order_id in range(1, 101):
        sim.fill_order(order_id)
    assert process.communicate() == ("", "")
    with OrderStore(path, durable=False) as orders:
        assert ids(orders) == list(range(1, 101))

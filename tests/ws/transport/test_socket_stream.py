"""The non-blocking socket of one thread, and how other threads wake that thread."""

from __future__ import annotations

import errno
import selectors
import signal
import socket
import ssl
import struct
import threading
import time
from collections import deque
from typing import Any

import pytest

from etoro_sync.ws.transport import socket_stream as module
from etoro_sync.ws.transport.socket_stream import SocketStream
from etoro_sync.ws.transport.waker import Waker
from tests.support.clocks import FakeClock
from tests.support.threads import Watchdog, assert_no_new_descriptors, run_in_thread
from tests.ws.transport.tools import (
    A_WHILE,
    AT_ONCE,
    MUCH,
    SOON,
    fill,
    flush_all,
    lasts,
    read_all,
    receive_exactly,
    stream_with_peer,
    tcp_pair,
)


def pattern(size: int) -> bytes:
    """Bytes in which a missing or moved piece shows."""
    return b"".join(struct.pack("!I", number) for number in range(size // 4))


def is_readable(waker: Waker) -> bool:
    with selectors.DefaultSelector() as selector:
        selector.register(waker, selectors.EVENT_READ)
        return bool(selector.select(0))


# The waker


def test_a_wake_up_before_the_wait_ends_it_at_once(waker: Waker) -> None:
    """A wake-up that comes while the reader is at work is not lost: its next wait ends at once."""
    waker.wake()
    with Watchdog(AT_ONCE):
        waker.wait(SOON)


def test_a_wake_up_during_the_wait_ends_it(waker: Waker) -> None:
    """Another thread ends a wait that has begun."""
    timer = threading.Timer(A_WHILE / 2, waker.wake)
    timer.start()
    with Watchdog(AT_ONCE):
        waker.wait(SOON)
    timer.join()


def test_a_wait_that_nobody_ends_lasts_its_time(waker: Waker) -> None:
    """Without a wake-up a wait takes its whole time."""
    assert lasts(lambda: waker.wait(A_WHILE), A_WHILE)


def test_many_wake_ups_are_one(waker: Waker) -> None:
    """After a wait nothing is left of the wake-ups before it, however many there were."""
    for _ in range(5000):
        waker.wake()
    waker.wait(SOON)
    assert not is_readable(waker)


def test_a_wake_up_while_the_last_one_is_taken_does_not_make_the_waker_deaf(waker: Waker) -> None:
    """Whatever happens during a drain, the next wake-up ends the wait."""

    class Meddler:
        """Wakes just before the reader takes the bytes."""

        def __init__(self, sock: socket.socket) -> None:
            self._sock = sock

        def recv(self, size: int) -> bytes:
            waker.wake()
            return self._sock.recv(size)

    receiver = waker._receiver
    waker.wake()
    waker._receiver = Meddler(receiver)  # type: ignore[assignment]
    waker.drain()
    waker._receiver = receiver
    waker.wake()
    assert is_readable(waker)


def test_no_wake_up_is_lost_among_several_threads(waker: Waker) -> None:
    """Work that was posted before its wake-up is found after a wait, always."""
    posts, threads = 3000, 3
    inbox: deque[int] = deque()
    room = threading.Semaphore(4)

    def post() -> None:
        for number in range(posts):
            assert room.acquire(timeout=SOON)
            inbox.append(number)
            waker.wake()

    posters = [run_in_thread(post) for _ in range(threads)]
    done = 0
    while done < posts * threads:
        before = time.monotonic()
        waker.wait(SOON)
        assert time.monotonic() - before < SOON, f"slept over a wake-up after {done} posts"
        while inbox:
            inbox.popleft()
            done += 1
            room.release()
    for poster in posters:
        poster.result()


def test_a_waker_that_is_closed_is_harmless() -> None:
    """Waking a reader that has ended raises nothing."""
    waker = Waker()
    waker.close()
    waker.wake()
    waker.close()


def test_a_waker_that_cannot_be_made_leaves_nothing_open(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also while the error is kept."""
    kept: list[OSError] = []

    def refuse() -> None:
        raise OSError(errno.EMFILE, "Too many open files")

    monkeypatch.setattr(selectors, "DefaultSelector", refuse)
    with assert_no_new_descriptors():
        try:
            Waker()
        except OSError as error:
            kept.append(error)
    assert len(kept) == 1


def test_a_wait_needs_no_new_descriptor(waker: Waker, monkeypatch: pytest.MonkeyPatch) -> None:
    """The wait between two attempts works also where the process has no descriptor left."""

    def refuse() -> None:
        raise OSError(errno.EMFILE, "Too many open files")

    monkeypatch.setattr(selectors, "DefaultSelector", refuse)
    waker.wait(0)


@pytest.mark.parametrize("seconds", [1e9, float(2**63)])
def test_a_wait_may_be_longer_than_the_system_allows(waker: Waker, seconds: float) -> None:
    """A heartbeat of thirty years is legal, and must not overflow a system call."""
    waker.wake()
    waker.wait(seconds)
    with stream_with_peer(waker) as (stream, _):
        waker.wake()
        stream.wait(time.monotonic() + seconds)


# Reading


def test_read_tells_nothing_from_bytes_and_from_the_end(waker: Waker) -> None:
    """None is nothing yet, bytes are bytes, and b"" is the end of the stream."""
    with stream_with_peer(waker) as (stream, far):
        assert stream.read() is None
        far.sendall(b"hello")
        assert read_all(stream, 5) == b"hello"
        assert stream.read() is None
        far.close()
        stream.wait(time.monotonic() + SOON)
        assert stream.read() == b""


def test_read_takes_many_bytes_at_once(waker: Waker) -> None:
    """A thousand small messages cost a few reads, not a thousand."""
    with stream_with_peer(waker) as (stream, far):
        far.sendall(b"x" * 50_000)
        reads, size = 0, 0
        while size < 50_000:
            data = stream.read()
            if data is None:
                stream.wait(time.monotonic() + SOON)
            else:
                reads, size = reads + 1, size + len(data)
        assert reads < 20


def test_a_short_read_has_taken_everything(waker: Waker, monkeypatch: pytest.MonkeyPatch) -> None:
    """It saves the read that finds nothing; one that fills the buffer may have left something."""
    monkeypatch.setattr(module, "_READ_SIZE", 10)
    with stream_with_peer(waker) as (stream, far):
        assert not stream.drained
        far.sendall(b"x" * 24)
        stream.wait(time.monotonic() + SOON)
        reads = [(stream.read(), stream.drained) for _ in range(3)]
        assert reads == [(b"x" * 10, False), (b"x" * 10, False), (b"x" * 4, True)]


def test_a_reset_is_an_error_after_the_bytes_before_it(waker: Waker) -> None:
    """What the peer sent before it reset the connection is read first."""
    with stream_with_peer(waker) as (stream, far):
        far.sendall(b"last words")
        far.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        far.close()
        assert read_all(stream, 10) == b"last words"
        stream.wait(time.monotonic() + SOON)
        with pytest.raises(ConnectionResetError):
            stream.read()


# Writing


def test_what_the_peer_does_not_take_waits_and_arrives_whole(waker: Waker) -> None:
    """A write never blocks; what is queued leaves when there is room, in order and complete."""
    data = pattern(MUCH)
    with stream_with_peer(waker) as (stream, far):
        with Watchdog(AT_ONCE):
            stream.write(data)
        assert 0 < len(stream.unsent) < MUCH
        reading = run_in_thread(lambda: receive_exactly(far, MUCH + 3))
        stream.write(b"end")
        flush_all(stream)
        received = reading.result(SOON)
    assert received[:MUCH] == data
    assert received[MUCH:] == b"end"


def test_a_stall_is_the_time_without_progress(waker: Waker) -> None:
    """Not a byte sent is a stall; some bytes sent are the end of it."""
    clock = FakeClock()
    with stream_with_peer(waker, clock=clock) as (stream, far):
        assert stream.stalled(clock()) == 0.0
        fill(stream)
        clock.advance(3)
        stream.flush()
        assert stream.stalled(clock()) == 3.0
        before = len(stream.unsent)
        while len(stream.unsent) == before:
            receive_exactly(far, 65536)
            stream.flush()
        assert 0 < len(stream.unsent) < before
        assert stream.stalled(clock()) == 0.0


def test_what_can_never_be_sent_is_dropped(waker: Waker) -> None:
    """After a failure nothing is queued, or each wait would end at once."""
    with stream_with_peer(waker, clock=FakeClock()) as (stream, far):
        stream.write(bytes(MUCH))
        far.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        far.close()

        def keep_flushing() -> None:
            while True:
                stream.flush()

        with Watchdog(AT_ONCE), pytest.raises(OSError):
            keep_flushing()
        assert len(stream.unsent) == 0
        assert stream.stalled(1e9) == 0.0


# Waiting


def test_a_wait_ends_when_bytes_come(waker: Waker) -> None:
    """Bytes from the peer end a wait."""
    with stream_with_peer(waker) as (stream, far), Watchdog(AT_ONCE):
        timer = threading.Timer(A_WHILE / 2, far.sendall, [b"x"])
        timer.start()
        stream.wait(time.monotonic() + SOON)
        timer.join()
        assert stream.read() == b"x"


@pytest.mark.parametrize("seconds", [None, SOON])
def test_a_wait_ends_when_woken_and_the_wake_up_is_used_up(
    waker: Waker, seconds: float | None
) -> None:
    """A wake-up ends one wait and not the next, with and without a deadline."""
    with stream_with_peer(waker) as (stream, _):
        waker.wake()
        with Watchdog(AT_ONCE):
            stream.wait(None if seconds is None else time.monotonic() + seconds)
        assert not is_readable(waker)


def test_a_wait_ends_at_its_deadline(waker: Waker) -> None:
    """The deadline is absolute; one that has passed is no wait at all."""
    with stream_with_peer(waker) as (stream, _):
        assert lasts(lambda: stream.wait(time.monotonic() + A_WHILE), A_WHILE)
        with Watchdog(AT_ONCE):
            stream.wait(time.monotonic() - 1000)


def test_a_wait_ends_when_there_is_room_for_what_is_queued(waker: Waker) -> None:
    """A peer that begins to read ends the wait of a writer."""
    with stream_with_peer(waker) as (stream, far):
        fill(stream)
        reading = run_in_thread(lambda: receive_exactly(far, MUCH))
        with Watchdog(AT_ONCE):
            stream.wait(time.monotonic() + SOON)
        flush_all(stream)
        reading.result(SOON)


def test_room_to_send_ends_no_wait_when_nothing_is_queued(waker: Waker) -> None:
    """Once the queue has left, a wait sleeps again, though the socket could be written to."""
    with stream_with_peer(waker) as (stream, far):
        stream.write(bytes(MUCH))
        reading = run_in_thread(lambda: receive_exactly(far, MUCH))
        flush_all(stream)
        reading.result(SOON)
        assert lasts(lambda: stream.wait(time.monotonic() + A_WHILE), A_WHILE)


@pytest.mark.skipif(not hasattr(signal, "pthread_kill"), reason="needs signals to threads")
def test_a_signal_does_not_disturb_a_wait(waker: Waker) -> None:
    """A signal that arrives during a wait, a read or a write is served, and nothing fails."""
    served = threading.Event()
    previous = signal.signal(signal.SIGUSR1, lambda *_: served.set())
    try:
        with stream_with_peer(waker) as (stream, _):
            main = threading.get_ident()
            timer = threading.Timer(A_WHILE / 2, signal.pthread_kill, [main, signal.SIGUSR1])
            timer.start()
            deadline = time.monotonic() + SOON
            while not served.is_set() and time.monotonic() < deadline:
                stream.wait(time.monotonic() + A_WHILE)
            timer.join()
            assert served.is_set()
            assert stream.read() is None
    finally:
        signal.signal(signal.SIGUSR1, previous)


# Descriptors


def test_a_stream_that_cannot_be_made_closes_its_socket(
    waker: Waker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The stream owns its socket from the first moment, also when there is no descriptor left."""
    near, far = tcp_pair()

    def refuse() -> None:
        raise OSError(errno.EMFILE, "Too many open files")

    with far:
        monkeypatch.setattr(selectors, "DefaultSelector", refuse)
        with pytest.raises(OSError, match="Too many"):
            SocketStream(near, waker)
        assert near.fileno() == -1
        monkeypatch.undo()


def test_a_stream_with_a_closed_waker_closes_its_socket() -> None:
    """A client that ended while it was connecting leaves nothing open."""
    near, far = tcp_pair()
    waker = Waker()
    waker.close()
    with far:
        with pytest.raises(ValueError):
            SocketStream(near, waker)
        assert near.fileno() == -1


def test_close_may_be_repeated(waker: Waker) -> None:
    """Both the handshake and its caller close the stream when it fails."""
    with stream_with_peer(waker) as (stream, _):
        stream.close()
        stream.close()


class Foreign:
    """What eventlet puts in place of ``socket.socket``: no subclass, with no method at all."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock

    def __getattr__(self, name: str) -> Any:
        return getattr(self.sock, name)


@pytest.mark.parametrize("patched", ["before", "meanwhile"])
def test_close_ends_the_stream_where_a_program_has_replaced_the_socket(
    waker: Waker,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    patched: str,
) -> None:
    """Before the connection was made, or while it is open."""
    near, far = tcp_pair()
    copy = near.dup()  # as a forked child has one: without shutdown() the peer would hear nothing
    with far, copy:
        stream = SocketStream(Foreign(near) if patched == "before" else near, waker)  # type: ignore[arg-type]
        monkeypatch.setattr(socket, "socket", Foreign)
        monkeypatch.setattr(ssl, "SSLSocket", Foreign)
        stream.close()
        assert far.recv(1) == b""
    assert near.fileno() == -1
    assert not caplog.records


@pytest.mark.parametrize("step", ["selector", "stream"])
def test_close_goes_on_where_a_step_of_it_fails(
    waker: Waker,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    step: str,
) -> None:
    """What is raised is logged, since it is a defect, and replaces no other error."""
    with stream_with_peer(waker) as (stream, _):
        sock, selector = stream._sock, stream._selector

        def fails() -> None:
            raise AttributeError("a defect")

        with monkeypatch.context() as patch:
            if step == "selector":
                patch.setattr(selector, "close", fails)
            else:
                patch.setattr(stream, "_end_stream", fails)
            stream.close()
        assert sock.fileno() == -1
        assert (selector.get_map() is None) is (step != "selector")
        selector.close()
        (record,) = caplog.records
        assert "please report" in record.getMessage()
        assert record.exc_info is not None


def test_a_waker_that_fails_to_close_closes_the_rest(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Its selector is the first to go."""
    waker = Waker()

    def fails() -> None:
        raise OSError(errno.EIO, "Input/output error")

    with monkeypatch.context() as patch:
        patch.setattr(waker._selector, "close", fails)
        waker.close()
    assert waker.fileno() == -1
    assert len(caplog.records) == 1
    waker.close()


def test_a_name_that_no_certificate_can_have_leaves_nothing_open(waker: Waker) -> None:
    """TLS that cannot even begin still leaves a stream that can be closed."""
    with stream_with_peer(waker) as (stream, _):
        with pytest.raises(ValueError):
            stream.secure(ssl.create_default_context(), "")
        stream.close()


def test_tls_with_a_peer_that_has_left_fails_and_leaves_nothing_open(waker: Waker) -> None:
    """A peer that reset the connection before TLS began is an OSError, as any other loss."""
    with stream_with_peer(waker) as (stream, far):
        far.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        far.close()
        stream.wait(time.monotonic() + SOON)
        with pytest.raises(OSError):
            stream.secure(ssl.create_default_context(), "localhost")
        stream.close()

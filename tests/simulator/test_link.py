from etoro_sync.simulator.link import CloseFrame, Outbox


def test_an_outbox_gives_what_was_put_in_order() -> None:
    """Messages to one client keep their order, and the close frame its place behind them."""
    outbox = Outbox(3)
    items: list[str | bytes | CloseFrame] = ["a", b"b", CloseFrame(1000, "bye")]
    assert all(outbox.put(item) for item in items)
    assert [outbox.get() for _ in items] == items


def test_a_full_outbox_takes_nothing_more_until_there_is_room() -> None:
    """What waits for a slow client is bounded."""
    outbox = Outbox(1)
    assert outbox.put("a")
    assert not outbox.put("b")
    assert outbox.get() == "a"
    assert outbox.put("c")


def test_a_closed_outbox_is_empty_and_swallows_what_comes() -> None:
    """Nobody is told of a client's end by an error, nor blocked."""
    outbox = Outbox(1)
    outbox.put("a")
    outbox.close()
    assert outbox.get() is None
    assert outbox.put("b")
    assert outbox.put("c")
    assert outbox.get() is None

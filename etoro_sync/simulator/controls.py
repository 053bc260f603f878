"""The methods and properties of a running simulator."""

from collections.abc import Callable
from typing import Any, TypeVar

from . import arguments
from .fault_controls import FaultControls
from .faults.frames import CLOSE_CODES
from .feed import Feed
from .hub import Hub
from .orders import FILLED
from .peer import SimulatorClient

_Self = TypeVar("_Self", bound="Controls")


class Controls(FaultControls):
    """Shows and controls a running simulator. All methods may be called from any thread.

    :param hub: the simulator's state.
    :param feed: its automatic feed.
    """

    def __init__(self, hub: Hub, feed: Feed) -> None:
        super().__init__(hub)
        self._feed = feed

    # State

    @property
    def clients(self) -> list[SimulatorClient]:
        """The connected clients, in the order in which they connected."""
        return self._hub.clients()

    @property
    def subscribed(self) -> frozenset[str]:
        """All topics that any client has subscribed to."""
        return self._hub.subscribed()

    @property
    def requests(self) -> list[dict[str, Any]]:
        """The last 10,000 requests received, oldest first, with the keys masked."""
        return self._hub.requests

    @property
    def connections(self) -> int:
        """How many WebSocket connections have been accepted so far."""
        return self._hub.connections

    @property
    def slow_clients(self) -> int:
        """How many clients have been disconnected because they read too slowly."""
        return self._hub.slow_clients

    def last(self, instrument_id: int) -> dict[str, str]:
        """Return the current state of an instrument, with the fields of a snapshot.

        :param instrument_id: its id.
        :raises ValueError: if the simulator has no such instrument.
        """
        return self._hub.state(arguments.integer("instrument_id", instrument_id, 0))

    def wait_until(self: _Self, predicate: Callable[[_Self], object], timeout: float = 5.0) -> None:
        """Wait until a condition of the simulator is true.

        :param predicate: called with the simulator at once and after every change. It runs under
            the simulator's lock, so it should only read the simulator's state.
        :param timeout: seconds to wait at most.
        :raises TimeoutError: if the condition is not true within *timeout*.
        """
        arguments.number("timeout", timeout)
        if not self._hub.wait_until(lambda: predicate(self), timeout):
            raise TimeoutError(f"the condition was not true within {timeout:g} s: {self!r}")

    # Sending

    def publish(self, instrument_id: int, *, stamp: bool = True, **fields: object) -> int:
        """Send one rate message with exactly the given fields, and merge it into the state.

            sim.publish(18, Ask="4809.34", AskDiscounted="4808.73")

        It is sent even while the instrument is not active.

        :param instrument_id: the instrument.
        :param stamp: add ``Date`` and ``PriceRateID`` where they are not given.
        :param fields: fields by their wire names. The real feed's values are strings, but any
            value that JSON can express is sent unchanged.
        :returns: how many clients it was sent to, which are its subscribers.
        :raises ValueError: if the simulator has no such instrument.
        """
        instrument_id = arguments.integer("instrument_id", instrument_id, 0)
        arguments.wire_fields(fields)
        return self._hub.publish(instrument_id, fields, arguments.flag("stamp", stamp))

    def heartbeat(self, instrument_id: int) -> int:
        """Send a rate message that contains only ``Date`` and ``PriceRateID``.

        :param instrument_id: the instrument.
        :returns: how many clients it was sent to.
        """
        return self.publish(instrument_id)

    def set_active(
        self,
        instrument_id: int,
        active: bool,
        reason: str | None = None,
        *,
        flags_after: float = 0.2,
    ) -> int:
        """Open or close the market of an instrument, and notify its subscribers.

        While it is closed, the feed sends no rates for it, and its snapshots say that it is closed.
        After an opening, a rate with the flags ``IsInstrumentActive`` and ``IsMarketOpen`` follows,
        on the real feed within a minute; after a closing, none does.

        :param instrument_id: the instrument.
        :param active: whether it is open.
        :param reason: ``AvailabilityReason``; None is ``"2"`` for open and ``"4"`` for closed,
            and an empty one is left out, as in one of the recorded messages.
        :param flags_after: seconds from an opening to the rate with the flags.
        :returns: how many clients it was sent to.
        """
        instrument_id = arguments.integer("instrument_id", instrument_id, 0)
        active = arguments.flag("active", active)
        usual = "2" if active else "4"
        reason = usual if reason is None else arguments.text("reason", reason)
        delay = arguments.number("flags_after", flags_after)
        return self._hub.set_active(instrument_id, active, reason, delay)

    def fill_order(
        self,
        order_id: int | None = None,
        instrument_id: int = 100000,
        units: float = 1.0,
        status_id: int = FILLED,
        **fields: object,
    ) -> dict[str, object]:
        """Send a ``Trading.OrderForCloseMultiple.Update`` to the subscribers of ``private``.

        :param order_id: None uses the next free id.
        :param instrument_id: the instrument of the order.
        :param units: how many units were ordered.
        :param status_id: 3 filled, 4 rejected (with the error code 720), 5 partially filled (half
            of it), 7 canceled, 11 waiting for the market; sent as ``StatusID`` and as ``StatusId``.
        :param fields: fields to override or to add, by their wire names.
        :returns: the content of the message.
        """
        if order_id is not None:
            order_id = arguments.integer("order_id", order_id)
        instrument_id = arguments.integer("instrument_id", instrument_id, 0)
        units = arguments.number("units", units)
        arguments.integer("status_id", status_id)
        arguments.wire_fields(fields)
        return self._hub.publish_order(order_id, instrument_id, units, status_id, fields)

    def send_text(self, text: str) -> int:
        """Send a text message to all authenticated clients.

        :param text: any text.
        :returns: how many clients it was sent to.
        """
        return self._hub.broadcast(arguments.text("text", text))

    def relay(self, text: str) -> int:
        """Send what eToro has sent elsewhere, such as a frame of a recording, as eToro would.

        Each message goes to the clients that have subscribed to its topic. Snapshots of its
        instrument, which clients ask for when they subscribe, are what was relayed so far; one is
        sent as soon as both sides of its price are known. Faults act on it as on any message.

        :param text: a text frame; one without messages, such as an answer, is ignored.
        :returns: how many messages were sent.
        """
        return self._hub.relay(arguments.text("text", text))

    def forget_relayed(self) -> None:
        """Answer no snapshot with what was relayed so far, as before the first :meth:`relay`."""
        with self._hub.changed:
            self._hub.market.forget_relayed()

    def send_binary(self, data: bytes) -> int:
        """Send a binary message to all authenticated clients.

        :param data: any bytes.
        :returns: how many clients it was sent to.
        """
        if not isinstance(data, bytes):
            raise TypeError(f"data must be bytes, not {type(data).__name__}")
        return self._hub.broadcast(data)

    def pause(self) -> None:
        """Stop sending automatic rates and order events. Keepalives go on."""
        self._feed.pause(True)

    def resume(self) -> None:
        """Send automatic rates and order events again."""
        self._feed.pause(False)

    # Disconnecting

    def disconnect(self, code: int = 1000, reason: str = "") -> int:
        """Close all clients' connections with a close frame, behind the messages already queued.

        The clients count as disconnected at once: nothing new is sent to them.

        :param code: close code.
        :param reason: close reason, at most 123 bytes.
        :returns: how many clients were connected.
        """
        if arguments.integer("code", code) not in CLOSE_CODES:
            raise ValueError(f"code must be 1000 to 1003, 1007 to 1014 or 3000 to 4999, not {code}")
        if len(arguments.text("reason", reason).encode()) > 123:
            raise ValueError("reason must not be longer than 123 bytes")
        return self._hub.close_all(lambda peer: peer.close(code, reason))

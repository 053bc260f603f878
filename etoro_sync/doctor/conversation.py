"""The steps on an open WebSocket: handshake, keys, topics, prices, traffic, clocks.

Everything runs on the calling thread.
"""

import re
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from .. import clocks
from ..errors import EToroAuthError, EToroError, EToroTimeoutError
from ..text import count, duration, shorten
from ..ws.failures import ConnectionFailed
from ..ws.options import WsClientOptions
from ..ws.protocol.replies import PERMISSIONS
from ..ws.session.credentials import Keys
from .clock import difference, header_time
from .deviations import Deviations
from .findings import Finding, StepFailed, parted
from .link import Link
from .machine import COPY_BOTH, key_notes
from .plan import Plan
from .privacy import Scrubber
from .remedies import AGAIN, of_handshake
from .route import Route
from .traffic import Traffic

__all__ = ["Conversation"]

#: Headers whose values say something about the service, and nothing about who asks.
_SHOWN = ("server", "date", "retry-after", "content-type")
#: Counts that other ones tell better.
_NOT_SHOWN = ("texts", "pings sent", "pongs")
_PERMISSIONS = frozenset(["InsufficientPermissions", "Forbidden"])
#: Seconds that the clocks may differ. More makes ages of prices wrong, and certificates in the end.
_TOLERATED = 5.0
#: Seconds to wait for what the server does after it has refused keys, which nobody has reported.
_AFTERMATH = 1.0
#: An instrument whose market is always open.
_BITCOIN = 100000


class Conversation:
    """What is said on one connection.

    :param route: leads to the server.
    :param options: the client's.
    :param plan: what to subscribe to, and how long to wait.
    :param scrubber: makes a server's text fit to be shown.
    :param deviations: notes what nobody has reported.
    """

    def __init__(
        self,
        route: Route,
        options: WsClientOptions,
        plan: Plan,
        scrubber: Scrubber,
        deviations: Deviations,
    ) -> None:
        self._route = route
        self._options = options
        self._plan = plan
        self._scrubber = scrubber
        self._deviations = deviations
        self._head: dict[str, str] = {}
        self._status = ""
        self._asked = self._answered = 0.0
        #: None: no WebSocket is open.
        self.link: Link | None = None

    @property
    def _open(self) -> Link:
        assert self.link is not None, "the handshake comes first"
        return self.link

    def close(self) -> None:
        """Close the connection; idempotent."""
        if self.link is not None:
            self.link.close()

    # -- handshake and keys --------------------------------------------------------------------

    def upgrade(self) -> Finding:
        """Do the opening handshake."""
        self._asked = clocks.wall_clock()
        try:
            self.link = Link.open(
                self._route.take(),
                self._route.dialer(),
                self._options,
                self._scrubber,
                Traffic(self._deviations),
                self._note_head,
            )
        except (EToroError, ConnectionFailed) as error:
            raise self._not_upgraded(error) from None
        self._answered = clocks.wall_clock()
        shown = {name: self._head[name] for name in _SHOWN if name in self._head}
        by = f", by {shown['server']}" if "server" in shown else ""
        details = {"status": self._status, "headers": sorted(self._head), **shown}
        return Finding(f"{self._status}{by}", details=details)

    def _not_upgraded(self, error: EToroError | ConnectionFailed) -> StepFailed:
        found, _ = parted(error)
        notes = []
        if self._status and not isinstance(error, ConnectionFailed):
            notes.append(f"The answer was {self._status}.")
        if server := self._head.get("server"):
            notes.append(f"The answer is from the server {server}.")
        return StepFailed(found, of_handshake(_status(self._status)), notes=tuple(notes))

    def _note_head(self, head: bytes) -> None:
        lines = head.decode("latin-1").split("\n")
        self._status = self._scrubber.foreign(lines[0].strip(), 60)
        for line in lines[1:100]:
            name, colon, value = line.partition(":")
            if colon:
                # Names only of most: a value may be a cookie, or the address of who asks.
                key = self._scrubber.foreign(name.strip().lower(), 40)
                shown = shorten(self._scrubber(value.strip()), 80)
                self._head[key] = shown if key in _SHOWN else ""

    def authenticate(self, keys: Keys) -> Finding:
        """Send the keys."""
        link = self._open
        try:
            link.authenticate(keys)
        except ConnectionFailed as failure:
            found, advice = parted(failure)
            if not isinstance(failure.error, EToroAuthError) or link.refused_with is None:
                raise StepFailed(found, AGAIN) from None
            raise self._refused(keys, link.refused_with, found, advice) from None
        return Finding("eToro has accepted the keys")

    def _refused(self, keys: Keys, code: str, found: str, advice: str) -> StepFailed:
        """Return the failure of refused keys; whether they are swapped is found by trying.

        That costs one more attempt and reveals nothing: eToro has both keys already. It settles the
        mistake that users make most, which no look at the keys can.
        """
        notes: tuple[str, ...] = (self._aftermath(),)
        if code in _PERMISSIONS:
            return StepFailed(found, PERMISSIONS, of_user=True, notes=notes)
        notes += tuple(key_notes(keys))
        if keys.api_key != keys.user_key:
            tried = self._try(Keys(keys.user_key, keys.api_key))
            if tried == "accepted":
                remedy = (
                    "The two keys are swapped: in exchanged places eToro accepts them. Exchange "
                    "the values of ETORO_API_KEY and ETORO_USER_KEY."
                )
                return StepFailed(found, remedy, of_user=True, notes=notes)
            notes += (f"In exchanged places they were {tried}.",)
            if tried == "refused, too":
                advice = COPY_BOTH
        return StepFailed(found, advice, of_user=True, notes=notes)

    def _aftermath(self) -> str:
        """Return what the server does with a connection whose keys it has refused."""
        seconds = min(self._plan.seconds, _AFTERMATH)
        try:
            self._open.read(lambda: False, seconds)
        except ConnectionFailed as failure:
            return f"After the refusal: {parted(failure)[0]}"
        return f"The server has left the connection open, for {duration(seconds)} at least."

    def _try(self, keys: Keys) -> str:
        """Return what has become of other keys on a connection of their own."""
        link = None
        try:
            stream, dialer = self._route.again()
            traffic = Traffic(self._deviations)
            link = Link.open(stream, dialer, self._options, self._scrubber, traffic)
            link.authenticate(keys)
        except (EToroError, ConnectionFailed):
            refused = link is not None and link.refused_with is not None
            return "refused, too" if refused else "not answered"
        finally:
            if link is not None:
                link.close()
        return "accepted"

    # -- topics --------------------------------------------------------------------------------

    def subscribe(self) -> Finding:
        """Subscribe to the instruments."""
        topics = [f"instrument:{each}" for each in self._plan.instrument_ids]
        named = ", ".join(topics)
        with self._told("Check the ids with etoro-sync find.", named, prefer_advice=True):
            self._open.subscribe(topics, snapshot=True)
        return Finding(f"{named} acknowledged")

    def await_snapshots(self) -> Finding:
        """Wait for the full state of each instrument."""
        wanted, traffic = set(self._plan.instrument_ids), self._open.traffic
        seconds = self._options.request_timeout
        with self._told(AGAIN):
            complete = self._open.read(lambda: wanted <= traffic.snapshots, seconds)
        if not complete:
            missing = sorted(wanted - traffic.snapshots)
            words = " ".join(map(str, missing))
            check = f"Check that the id is right: etoro-sync find {words}. If it is, run it again."
            raise StepFailed(
                f"No snapshot of {words.replace(' ', ', ')} within {seconds:g} s.",
                AGAIN if missing == [_BITCOIN] else check,
            )
        shut = sorted(wanted - {each for each, is_open in traffic.open.items() if is_open})
        shut = [each for each in shut if each in traffic.open]
        notes = (f"The market of {', '.join(map(str, shut))} is closed.",) if shut else ()
        return Finding(f"full state of {count(len(wanted), 'instrument')}", notes)

    def await_rate(self) -> Finding:
        """Wait for the first change of a price."""
        wanted, traffic = set(self._plan.instrument_ids), self._open.traffic
        if all(traffic.open.get(each) is False for each in wanted):
            return Finding("not waited for, as the market is closed", skipped=True)
        with self._told(AGAIN):
            self._open.read(lambda: bool(wanted & traffic.priced), self._plan.rate_timeout)
        seconds = f"{self._plan.rate_timeout:g} s"
        if wanted & traffic.priced:
            return Finding("a price has come")
        if traffic.counts["heartbeats"]:
            return Finding(f"heartbeats only in {seconds}: no price has changed")
        raise StepFailed(
            f"No rate within {seconds}, though the subscription was acknowledged.",
            f"The market of bitcoin is always open, so the fault is eToro's. {AGAIN}"
            if _BITCOIN in wanted
            else f"Run it with --instrument {_BITCOIN}: the market of bitcoin is always open.",
        )

    def subscribe_private(self) -> Finding:
        """Subscribe to the order events."""
        if not self._plan.private:
            return Finding("not asked for", skipped=True)
        with self._told(
            "Give the key the scope for orders (trade.demo:read for a demo account), or leave this "
            "step out with --no-private if you need prices only.",
            "private",
        ):
            self._open.subscribe(["private"], snapshot=True)
        return Finding("private acknowledged")

    @contextmanager
    def _told(
        self, remedy: str, topics: str = "", *, prefer_advice: bool = False
    ) -> Iterator[None]:
        """Turn an error of the connection into the failure of the step.

        :param remedy: for a refusal.
        :param topics: those that are asked for, if any are.
        :param prefer_advice: what the error advises comes first, where it does.
        """
        try:
            yield
        except ConnectionFailed as failure:
            found, _ = parted(failure)
            if isinstance(failure.error, EToroTimeoutError):
                # The error's own words are about what a client does then.
                seconds = f"{self._options.request_timeout:g} s"
                found = f"{topics} was not acknowledged within {seconds}."
            raise StepFailed(found, AGAIN) from None
        except EToroError as error:
            found, advice = parted(error)
            raise StepFailed(found, (prefer_advice and advice) or remedy) from None

    # -- traffic and clocks --------------------------------------------------------------------

    def collect(self) -> Finding:
        """Count for some seconds what comes, and send a ping."""
        link, seconds = self._open, self._plan.seconds
        traffic = link.traffic
        before, size = Counter(traffic.counts), link.bytes_received
        with self._told(AGAIN):
            link.ping(b"etoro-sync doctor")
            link.read(lambda: False, seconds)
        counted = traffic.counts - before
        answers = [f"a ping was answered after {duration(each)}" for each in traffic.round_trips]
        kinds = [
            f"{kind}: {number}" for kind, number in counted.most_common() if kind not in _NOT_SHOWN
        ]
        size = link.bytes_received - size
        return Finding(
            f"in {seconds:g} s: {', '.join(kinds) or 'nothing'}; {size / 1000:.1f} kB",
            tuple(answers) or ("A ping was not answered.",),
            {"seconds": seconds, "bytes": size, **counted},
        )

    def judge_clock(self) -> Finding:
        """Compare this machine's clock with eToro's, by all that has carried a date."""
        found = difference(
            header_time(self._head.get("date", "")),
            self._asked,
            self._answered,
            self._open.traffic.least_delay,
        )
        if found is None:
            return Finding("neither the handshake nor a price had a date", skipped=True)
        if abs(found.beyond) > _TOLERATED:
            way = "ahead of" if found.beyond > 0 else "behind"
            raise StepFailed(
                f"This machine's clock is at least {duration(abs(found.beyond))} {way} eToro's.",
                "Set it by the network's time (on Linux: timedatectl set-ntp true). Until then the "
                "ages of prices are wrong by as much.",
            )
        return Finding(
            f"this machine's time minus eToro's is {found}",
            details={"least": round(found.least, 3), "most": round(found.most, 3)},
        )


def _status(line: str) -> int | None:
    """Return the status in the first line of an answer; None: it is not that of HTTP."""
    found = re.match(r"HTTP/\S+ (\d{3})\b", line)
    return int(found[1]) if found else None

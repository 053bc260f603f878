"""The examination: step after step, up to the first failure."""

import contextlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from datetime import datetime, timezone

from .. import clocks
from .._version import __version__
from ..errors import EToroValidationError
from ..redaction import Redactor
from ..ws.failures import ConnectionFailed
from ..ws.options import WsClientOptions, is_options, secrets_of
from ..ws.session.credentials import Credentials, Keys
from ..ws.transport.waker import Waker
from .conversation import Conversation
from .deviations import Deviations
from .findings import Finding, StepFailed
from .machine import check_environment, check_keys, keys_unreadable, read_options
from .plan import Plan
from .privacy import Scrubber
from .records import Outcome, Step, Watched
from .report import Report
from .route import Route
from .watch import watch

__all__ = ["Examination", "examine"]


class Examination:
    """One examination. Use it once, in one thread.

    :param plan: what to do.
    :param options: None: those that the environment gives a client.
    :param on_begin: called with the name of each step before it is taken.
    :param on_step: called with each step afterwards. Its text has no keys, but may name this
        machine's proxy; that in :attr:`report` does not.
    :param on_watch: called about once a second while connections are observed, with the seconds
        that are left, and what was seen so far.
    """

    def __init__(
        self,
        plan: Plan,
        options: WsClientOptions | None = None,
        on_begin: Callable[[str], object] = lambda name: None,
        on_step: Callable[[Step], object] = lambda step: None,
        on_watch: Callable[[float, list[Watched]], object] = lambda left, seen: None,
    ) -> None:
        self._plan = plan
        self._given = options
        self._on_begin = on_begin
        self._on_step = on_step
        self._on_watch = on_watch
        began = clocks.monotonic()
        self._redactor = Redactor(secrets_of(options) if options is not None else ())
        self._scrubber = Scrubber(self._redactor)
        self._deviations = Deviations(self._scrubber, lambda: clocks.monotonic() - began)
        self._keys = Keys("", "")
        now = datetime.fromtimestamp(clocks.wall_clock(), timezone.utc)
        #: What was found so far; complete after :meth:`run`, and right at any time.
        self.report = Report(__version__, now.strftime("%Y-%m-%dT%H:%M:%SZ"))
        #: Whether keys or settings have made a step fail, and not the network.
        self.fault_of_user = False

    def run(self) -> None:
        """Take all steps, and observe connections if the plan says so.

        :raises KeyboardInterrupt: at Ctrl-C; the report has all that was seen before.
        """
        try:
            options = self._steps_here()
            if options is not None:
                self._steps_there(options)
                if self._plan.minutes and self.report.failure is None:
                    self._watch(options)
        except BaseException:
            self.report.interrupted = True
            raise
        finally:
            # A later step may have brought keys and names that an earlier one did not know.
            self.report.steps = [self._scrubbed(step) for step in self.report.steps]
            self.report.deviations = self._deviations.found
            self.report.more_deviations = self._deviations.left_out

    def _watch(self, options: WsClientOptions) -> None:
        watch(
            self._plan,
            options,
            self._redactor,
            self._scrubber,
            self._deviations,
            self.report.watched,
            self._on_watch,
        )

    # -- steps ---------------------------------------------------------------------------------

    def _steps_here(self) -> WsClientOptions | None:
        """Take the steps that need no network; return the options, None: one has failed."""
        options: list[WsClientOptions] = []

        def environment() -> Finding:
            options.append(self._given or read_options())
            return check_environment(options[0])

        def keys() -> Finding:
            if self._given is None:
                try:
                    options.append(WsClientOptions.from_env())
                except EToroValidationError as error:
                    raise keys_unreadable(error) from None
            return self._read_keys(options[-1])

        if self._take("environment", environment) and self._take("keys", keys):
            return options[-1]
        return None

    def _read_keys(self, options: WsClientOptions) -> Finding:
        waker = Waker()
        try:
            deadline = clocks.monotonic() + options.connect_timeout
            self._keys, _ = Credentials(options, self._redactor, waker).get(deadline)
        except ConnectionFailed as failure:
            raise keys_unreadable(failure) from None
        finally:
            waker.close()
        for key in (self._keys.api_key, self._keys.user_key):
            self._redactor.add(key)
        return check_keys(self._keys)

    def _steps_there(self, options: WsClientOptions) -> None:
        with contextlib.ExitStack() as stack:
            waker = Waker()
            stack.callback(waker.close)
            route = Route(options, self._redactor, self._scrubber, waker)
            stack.callback(route.close)
            talk = Conversation(route, options, self._plan, self._scrubber, self._deviations)
            stack.callback(self._hang_up, talk)
            for name, function in self._network_steps(route, talk):
                if not self._take(name, function):
                    break

    def _hang_up(self, talk: Conversation) -> None:
        if talk.link is not None:
            talk.close()
            counts = talk.link.traffic.counts
            self.report.traffic = {**counts, "bytes": talk.link.bytes_received}

    def _network_steps(
        self, route: Route, talk: Conversation
    ) -> Iterator[tuple[str, Callable[[], Finding]]]:
        # A generator, because whether there is a tunnel is known after the first step only.
        yield "proxy", route.choose_proxy
        yield "DNS", route.resolve
        yield "TCP", route.connect
        if route.has_tunnel:
            yield "tunnel", route.pass_proxy
        yield "TLS", route.secure
        yield "handshake", talk.upgrade
        yield "authentication", lambda: talk.authenticate(self._keys)
        yield "subscription", talk.subscribe
        yield "snapshot", talk.await_snapshots
        yield "rate", talk.await_rate
        yield "order events", talk.subscribe_private
        yield "traffic", talk.collect
        yield "clock", talk.judge_clock

    def _take(self, name: str, function: Callable[[], Finding]) -> bool:
        """Take one step and record it; return whether the next one may follow."""
        self._on_begin(name)
        began = clocks.monotonic()
        try:
            finding = function()
        except StepFailed as failure:
            self.fault_of_user = failure.of_user
            step = Step(name, Outcome.FAILED, failure.found, failure.remedy, failure.notes)
        except BaseException:
            # Which step has taken too long for the user's patience is worth knowing.
            self._record(Step(name, Outcome.SKIPPED, "interrupted before its end"), began)
            raise
        else:
            outcome = Outcome.SKIPPED if finding.skipped else Outcome.OK
            step = Step(name, outcome, finding.text, "", finding.notes, finding.details)
        self._record(step, began)
        return step.outcome is not Outcome.FAILED

    def _record(self, step: Step, began: float) -> None:
        step = replace(step, seconds=round(clocks.monotonic() - began, 3))
        self.report.steps.append(self._scrubbed(step))
        self._on_step(self._redacted(step))

    def _redacted(self, step: Step) -> Step:
        notes = tuple(self._redactor(note) for note in step.notes)
        found, remedy = self._redactor(step.found), self._redactor(step.remedy)
        return replace(step, found=found, remedy=remedy, notes=notes)

    def _scrubbed(self, step: Step) -> Step:
        scrub = self._scrubber
        return replace(
            step,
            found=scrub(step.found),
            remedy=scrub(step.remedy),
            notes=tuple(scrub(note) for note in step.notes),
            details=scrub.deep(step.details),
        )


def examine(
    options: WsClientOptions | None = None,
    *,
    instrument_ids: Iterable[int] | int = (100000,),
    private: bool = True,
    seconds: float = 5.0,
    rate_timeout: float = 20.0,
    minutes: float = 0.0,
    on_step: Callable[[Step], object] = lambda step: None,
) -> Report:
    """Take all steps from this machine to the first prices, up to the first that fails.

    It opens one connection, and a second one only when keys or a certificate are refused. It runs
    in the calling thread; no error of the network is raised, each is a step that has failed.

    :param options: those of the client that is to work; None: from the environment.
    :param instrument_ids: at least one; bitcoin's market is open at all times.
    :param private: whether to subscribe to order events, too.
    :param seconds: how long to count traffic at the end.
    :param rate_timeout: how long to wait for the first price, in seconds.
    :param minutes: how long to observe two connections afterwards, one with order events alone.
    :param on_step: called with each step when it was taken, for whoever watches: unlike the report
        it may name the proxy.
    :returns: what was found, without keys and account data.
    :raises EToroValidationError: when an argument is not valid; names it.
    :raises KeyboardInterrupt: at Ctrl-C, with all connections closed.
    """
    if options is not None and not is_options(options):
        raise EToroValidationError("options must be WsClientOptions or None.", "options")
    ids = tuple(instrument_ids) if isinstance(instrument_ids, Iterable) else (instrument_ids,)
    plan = Plan(ids, private, seconds, rate_timeout, minutes)
    examination = Examination(plan, options, on_step=on_step)
    examination.run()
    return examination.report

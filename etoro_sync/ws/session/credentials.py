"""The keys of a client: given as strings, or returned by callables before each attempt to connect.

Such a callable is the user's code and may hang, for example in a request to a key store. So it
runs in a thread of its own, and the reader waits for it only as long as an attempt may take: it
delays neither recovery nor ``disconnect()``. While a connection is open it does not run.
"""

import signal
import threading
from dataclasses import dataclass, field

from ... import clocks
from ...errors import EToroAuthError, EToroError, EToroWebSocketError
from ...own_threads import KEYS, OwnThreads
from ...redaction import Redactor, Secret
from ...synchronization import Interrupted
from ...text import no_thread
from ..failures import ConnectionFailed
from ..options import WsClientOptions, check_key
from ..transport.waker import Waker

__all__ = ["Credentials", "Keys"]

#: Longest single wait, in seconds: a pause of the process is noticed at the end of each wait.
_SLICE = 1.0


@dataclass(frozen=True)
class Keys:
    """The keys of one attempt. Its repr shows neither: debuggers and crash reports print locals."""

    api_key: str = field(repr=False)
    user_key: str = field(repr=False)


class Credentials:
    """Gets the keys for each attempt of one session. Every method runs on the reader thread.

    :param options: the client's.
    :param redactor: keys that callables return are added to it.
    :param waker: ends waits, and says whether the client is to stop.
    :param own_threads: the client's.
    """

    def __init__(
        self,
        options: WsClientOptions,
        redactor: Redactor,
        waker: Waker,
        own_threads: OwnThreads | None = None,
    ) -> None:
        self._options = options
        self._redactor = redactor
        self._waker = waker
        self._own_threads = own_threads or OwnThreads()
        self._reading: _Reading | None = None
        #: The signals to block while a callable runs; None: the same as the reader.
        self.signals: set[int] | None = None

    def get(self, deadline: float) -> tuple[Keys, float]:
        """Return the keys and the attempt's deadline.

        :param deadline: absolute monotonic time of the attempt. If the process was paused while
            this waited, a later one is returned, because the callables were paused, too.
        :raises ConnectionFailed: when a callable raises, does not return in time, or returns
            something that is no key; the last is fatal.
        :raises Interrupted: when the client is to stop.
        """
        api_key, user_key = self._options.api_key, self._options.user_key
        if isinstance(api_key, str) and isinstance(user_key, str):
            return Keys(api_key, user_key), deadline
        if self._reading is not None:
            # One at a time, or each attempt would leave another thread in a call that hangs. The
            # result of the late one is not used, because the keys may have changed since.
            deadline = self._wait(self._reading, deadline)
        self._reading = _Reading(
            self._options, self._redactor, self._waker, self._own_threads, self.signals
        )
        deadline = self._wait(self._reading, deadline)
        done, self._reading = self._reading, None
        return done.result(), deadline

    def _wait(self, reading: "_Reading", deadline: float) -> float:
        while not reading.done:
            if self._waker.stopping:
                raise Interrupted
            now = clocks.monotonic()
            if now >= deadline:
                raise ConnectionFailed(
                    EToroAuthError(
                        "The keys could not be read: a callable that was given for one did not "
                        "return within connect_timeout. Give it a timeout of its own."
                    )
                )
            due = min(deadline, now + _SLICE)
            self._waker.wait(due - now)
            deadline = clocks.put_off(deadline, due, clocks.monotonic())
        return deadline


class _Reading:
    """One call of the user's callables, in a thread of its own.

    :param options: with at least one callable.
    :param redactor: the keys are added to it.
    :param waker: woken when the call has ended.
    :param own_threads: the thread is added to these while it runs.
    :param signals: to be blocked in that thread; None: as in the calling one.
    :raises ConnectionFailed: when the system has no thread left.
    """

    def __init__(
        self,
        options: WsClientOptions,
        redactor: Redactor,
        waker: Waker,
        own_threads: OwnThreads,
        signals: set[int] | None = None,
    ) -> None:
        self._options = options
        self._redactor = redactor
        self._waker = waker
        self._own_threads = own_threads
        self._signals = signals
        self._keys: Keys | None = None
        self._failure: ConnectionFailed | None = None
        self.done = False
        # A daemon, so that a call that hangs does not keep the program from ending.
        thread = threading.Thread(target=self._run, name="etoro-sync-keys", daemon=True)
        try:
            thread.start()
        except RuntimeError as exc:
            self.done = True
            raise ConnectionFailed(
                EToroWebSocketError(f"Cannot start a thread to read the keys: {no_thread(exc)}")
            ) from exc

    def result(self) -> Keys:
        """Return the keys; only after :attr:`done` is set.

        :raises ConnectionFailed: as :meth:`Credentials.get`.
        """
        if self._keys is None:
            assert self._failure is not None
            raise self._failure
        return self._keys

    def _run(self) -> None:
        try:
            if self._signals is not None:
                # Child processes of the callable inherit the mask; in a shell's pipeline, commands
                # that block SIGPIPE do not end when their reader does.
                signal.pthread_sigmask(signal.SIG_SETMASK, self._signals)
            with self._own_threads.working(KEYS):
                keys = Keys(self._read("api_key"), self._read("user_key"))
            self._keys = keys
        except ConnectionFailed as exc:
            self._failure = exc
        finally:
            self.done = True
            self._waker.wake()

    def _read(self, name: str) -> str:
        source = getattr(self._options, name)
        if isinstance(source, str):
            return source
        try:
            key = source()
        except BaseException as exc:  # also SystemExit, which would end this thread silently
            # Without its message, which may contain a key that the redactor does not know.
            error = EToroAuthError(
                f"The {name} could not be read: the callable that was given for it raised "
                f"{type(exc).__name__}, the cause of this error."
            )
            error.__cause__ = exc
            raise ConnectionFailed(error) from None
        try:
            self._redactor.add(key)
            check_key(name, key, f"what the callable for {name} returns")
            if not key:
                raise EToroAuthError(
                    f"The {name} is missing: the callable for it returned ''. It must return the "
                    "key, or raise an error."
                )
        except EToroError as error:
            raise ConnectionFailed(error, fatal=True) from None
        return Secret(key)

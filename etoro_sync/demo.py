"""Runs an example program: with simulated data if asked, for a limited time, ending quietly.

::

    if __name__ == "__main__":
        run(main)

A program of your own calls ``main()`` instead.
"""

import argparse
import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from typing import Any

from . import clocks
from .errors import EToroError, EToroRedisError

__all__ = ["DEMO_PRICES", "redis_url", "run"]

#: Instruments of demonstrations and their prices: bitcoin, an American share, gold, EUR/USD.
DEMO_PRICES = {100000: 66500.0, 1001: 227.5, 18: 4807.0, 1: 1.0835}

#: USD/JPY, whose price is no amount of dollars: for examples that convert.
_YEN = 5


def run(main: Callable[[], object]) -> None:
    """Run a program that takes its keys and its address from the environment.

    Its command line has ``--demo``, which starts a simulator (extra ``simulator``) and sets the
    environment's variables for it, and ``--seconds N``, which ends the program as Ctrl-C would.

    :param main: the program; called in this thread, which must be the main one.
    :raises SystemExit: 1 after an error of the library, which is printed in one line on stderr; 130
        after Ctrl-C; 0 when the time is over, or when the reader of a pipe has closed it.
    """
    parser = argparse.ArgumentParser(description=sys.modules["__main__"].__doc__)
    parser.add_argument("--demo", action="store_true", help="simulated data, no credentials")
    parser.add_argument("--seconds", type=float, default=1e6, help="end after so many seconds")
    arguments = parser.parse_args()
    # Set when the time is over or the output is closed: then the end is not Ctrl-C's.
    done = threading.Event()
    timer = threading.Timer(arguments.seconds, _end, [done])
    timer.daemon = True
    # Background jobs of a shell ignore SIGINT by default, and would not end after N seconds.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with (
            contextlib.redirect_stdout(_Output(sys.stdout, done)),
            _simulator() if arguments.demo else contextlib.nullcontext(),
        ):
            timer.start()
            main()
    except KeyboardInterrupt:
        sys.exit(0 if done.is_set() else 130)
    except (EToroError, ImportError) as error:
        print(error, file=sys.stderr)  # noqa: T201  # a program's last line, for its user
        sys.exit(1)
    finally:
        timer.cancel()
        signal.signal(signal.SIGINT, before)


@contextlib.contextmanager
def _simulator() -> Iterator[None]:
    from .simulator import EToroSimulator

    prices = {**DEMO_PRICES, _YEN: 149.8}
    with EToroSimulator(prices, rate=50, order_interval=0.3, rest=True) as simulator:
        os.environ.update(ETORO_API_KEY="demo", ETORO_USER_KEY="demo")
        os.environ.update(ETORO_WS_URL=simulator.url, ETORO_REST_URL=simulator.rest_url)
        yield


@contextlib.contextmanager
def redis_url() -> Iterator[str]:
    """Yield the address of Redis: ``ETORO_REDIS_URL``, or ``redis://localhost``.

    With ``--demo`` it is that of a redis-server which runs for the ``with`` block only.

    :raises EToroRedisError: when that program is not installed, or does not start.
    """
    if "--demo" not in sys.argv:
        yield os.environ.get("ETORO_REDIS_URL", "redis://localhost")
        return
    program = shutil.which("redis-server")
    if program is None:
        raise EToroRedisError("--demo starts a redis-server, and none is installed: install Redis.")
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "redis.sock")
        settings = ["--port", "0", "--unixsocket", path, "--save", "", "--dir", folder]
        # In a session of its own, so that Ctrl-C ends the readers first.
        with subprocess.Popen(
            [program, *settings], stdout=subprocess.DEVNULL, start_new_session=True
        ) as server:
            try:
                deadline = clocks.monotonic() + 10.0
                while not os.path.exists(path):
                    if server.poll() is not None or clocks.monotonic() > deadline:
                        raise EToroRedisError("The redis-server of --demo does not start.")
                    threading.Event().wait(0.01)
                yield f"unix://{path}"
            finally:
                server.kill()


def _end(done: threading.Event) -> None:
    done.set()
    # A signal, because nothing else interrupts a wait in the main thread.
    if hasattr(signal, "pthread_kill"):
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
    else:
        signal.raise_signal(signal.SIGINT)


class _Output:
    """Standard output that ends the program when the pipe's reader has gone, as with ``| head``.

    :param stream: the real one.
    :param done: set before the program is ended.
    """

    def __init__(self, stream: Any, done: threading.Event) -> None:
        self._stream = stream
        self._done = done

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        self._try(self._stream.write, text)
        return len(text)

    def flush(self) -> None:
        self._try(self._stream.flush)

    def _try(self, function: Callable[..., object], *arguments: str) -> None:
        try:
            function(*arguments)
        except BrokenPipeError:
            with open(os.devnull, "wb") as nowhere:
                os.dup2(nowhere.fileno(), self._stream.fileno())
            _end(self._done)

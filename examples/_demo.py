"""What the examples share, so that each of them shows nothing but the library.

``--demo`` starts a simulator and points the environment's variables to it; ``--seconds N`` ends
the example after N seconds, as Ctrl-C would.
"""

import argparse
import contextlib
import os
import signal
import sys
import threading

from etoro_sync import EToroError

# Whether the example is to end because its time is over, or because nobody reads its output.
_done = threading.Event()


def run(main):
    """Run an example with its command line options, and leave the program."""
    parser = argparse.ArgumentParser(description=sys.modules["__main__"].__doc__)
    parser.add_argument("--demo", action="store_true", help="simulated data, no credentials")
    parser.add_argument("--seconds", type=float, default=1e6, help="end after so many seconds")
    arguments = parser.parse_args()
    timer = threading.Timer(arguments.seconds, _end)
    timer.daemon = True
    sys.stdout = _Output(sys.stdout)
    # A shell's background jobs ignore Ctrl-C otherwise, and would not end after N seconds.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with _simulator() if arguments.demo else contextlib.nullcontext():
            timer.start()
            main()
    except KeyboardInterrupt:
        sys.exit(0 if _done.is_set() else 130)
    except (EToroError, ImportError) as error:
        print(error, file=sys.stderr)
        sys.exit(1)


@contextlib.contextmanager
def _simulator():
    from etoro_sync.simulator import EToroSimulator

    prices = {100000: 66500.0, 1001: 227.5, 18: 4807.0}
    with EToroSimulator(prices, rate=50, order_interval=0.3) as simulator:
        os.environ.update(ETORO_API_KEY="demo", ETORO_USER_KEY="demo", ETORO_WS_URL=simulator.url)
        yield


def _end():
    _done.set()
    # A signal, because nothing else ends a wait in the main thread at once.
    if hasattr(signal, "pthread_kill"):
        signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)
    else:
        signal.raise_signal(signal.SIGINT)


class _Output:
    """Standard output that ends the example when its reader has gone, as with ``| head``."""

    def __init__(self, stream):
        self._stream = stream

    def write(self, text):
        self._try(self._stream.write, text)

    def flush(self):
        self._try(self._stream.flush)

    def _try(self, function, *arguments):
        try:
            function(*arguments)
        except BrokenPipeError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), self._stream.fileno())
            _end()

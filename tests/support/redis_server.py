"""A real redis-server for tests, which can be killed, stopped and restarted on its files."""

from __future__ import annotations

import contextlib
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

import redis
import trustme
from redis.backoff import NoBackoff
from redis.retry import Retry

__all__ = ["REDIS_SERVER", "RedisServer"]

#: The program; None: it is not installed.
REDIS_SERVER = shutil.which("redis-server")
#: Seconds until a server that was started answers.
_START = 10.0


class RedisServer:
    """A server with an append-only file, on a unix socket, and on a free loopback port if wanted.

    :param settings: lines of its configuration, such as ``maxmemory=4194304``; a dash is written
        as ``_``. A setting that may stand several times, such as ``user``, is a list.
    :param port: whether it listens on a port of the loopback, too.
    :param tls: whether it listens there with TLS, with a certificate for ``localhost``.
    :ivar url: of the unix socket.
    :ivar tcp_url: of the port, ``redis://`` or ``rediss://``.
    :ivar folder: where its files are.
    """

    def __init__(self, *, port: bool = False, tls: bool = False, **settings: Any) -> None:
        # Not below tmp_path: the path of a unix socket has 107 characters at most.
        self.folder = Path(tempfile.mkdtemp(prefix="redis-"))
        self._process: subprocess.Popen[bytes] | None = None
        socket_path = self.folder / "socket"
        self.url = f"unix://{socket_path}"
        self.tcp_url = ""
        lines = {
            "port": 0,
            "unixsocket": socket_path,
            "dir": self.folder,
            "appendonly": "yes",
            "appendfsync": "everysec",
            "save": '""',
            "daemonize": "no",
            "logfile": self.folder / "log",
        }
        if port or tls:
            number = _free_port()
            lines |= {"bind": "127.0.0.1"}
            lines |= self._tls(number) if tls else {"port": number}
            scheme, query = ("redis", "")
            if tls:
                scheme, query = ("rediss", f"?ssl_ca_certs={self.folder / 'ca.pem'}")
            self.tcp_url = f"{scheme}://localhost:{number}{query}"
        lines |= {name.replace("_", "-"): value for name, value in settings.items()}
        text = ""
        for name, value in lines.items():
            for each in value if isinstance(value, list) else [value]:
                text += f"{name} {each}\n"
        (self.folder / "redis.conf").write_text(text)

    def _tls(self, number: int) -> dict[str, Any]:
        authority = trustme.CA()
        leaf = authority.issue_cert("localhost")
        authority.cert_pem.write_to_path(self.folder / "ca.pem")
        leaf.private_key_pem.write_to_path(self.folder / "key.pem")
        (self.folder / "cert.pem").write_bytes(b"".join(p.bytes() for p in leaf.cert_chain_pems))
        return {
            "port": 0,
            "tls-port": number,
            "tls-cert-file": self.folder / "cert.pem",
            "tls-key-file": self.folder / "key.pem",
            "tls-ca-cert-file": self.folder / "ca.pem",
            "tls-auth-clients": "no",
        }

    def start(self) -> RedisServer:
        """Start it, and wait until it answers."""
        assert REDIS_SERVER is not None
        assert self._process is None
        command = [REDIS_SERVER, str(self.folder / "redis.conf")]
        self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        deadline = time.monotonic() + _START
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise AssertionError(f"redis-server: {(self.folder / 'log').read_text()[-2000:]}")
            time.sleep(0.01)
        return self

    def _answers(self) -> bool:
        try:
            with self.client() as client:
                client.ping()
        except redis.AuthenticationError:
            return True
        except (redis.RedisError, OSError):
            return False
        return True

    def client(self, url: str | None = None, **settings: Any) -> redis.Redis:
        """Return a client of the tests' own, which repeats nothing."""
        retry = Retry(NoBackoff(), 0)
        return redis.Redis.from_url(
            url or self.url, retry=retry, protocol=2, decode_responses=True, **settings
        )

    def kill(self) -> None:
        """End it by SIGKILL; what it holds is in its file."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()
        self._process = None

    def restart(self) -> None:
        """Kill it, and start it on the same files."""
        self.kill()
        self.start()

    def stall(self) -> None:
        """Stop its process, so that nothing answers while connections stay."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def go_on(self) -> None:
        """Let a stalled process go on."""
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def files(self) -> bytes:
        """Return the bytes of all of its files: what it has written, and its log."""
        return b"".join(p.read_bytes() for p in self.folder.rglob("*") if p.is_file())

    def close(self) -> None:
        """End it, and remove its files."""
        if self._process is not None:
            self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)

    def __enter__(self) -> RedisServer:
        with contextlib.ExitStack() as stack:
            stack.callback(self.close)
            self.start()
            stack.pop_all()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port

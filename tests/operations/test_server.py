"""Metrics and health over HTTP, asked by real sockets."""

from __future__ import annotations

import contextlib
import gc
import http.client
import json
import os
import re
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from prometheus_client import CollectorRegistry, Gauge

from etoro_sync import EToroError, EToroValidationError, WsClient
from etoro_sync.metrics import Health, MetricsServer, serve
from etoro_sync.operations import listener
from tests.conftest import MakeClient, MakeSimulator
from tests.support.clients import API_KEY, USER_KEY, make_client
from tests.support.threads import assert_no_new_descriptors

from .conftest import until

Serve = Callable[..., MetricsServer]


@pytest.fixture
def serving() -> Iterator[Serve]:
    """Serve on a free port until the end of the test."""
    with contextlib.ExitStack() as stack:
        yield lambda *args, **options: stack.enter_context(serve(*args, port=0, **options))


def ask(
    server: MetricsServer, path: str, method: str = "GET", **headers: str
) -> tuple[int, dict[str, str], str]:
    """Return status, headers and body."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
    with contextlib.closing(connection):
        connection.request(method, path, headers=headers)
        answer = connection.getresponse()
        return answer.status, dict(answer.headers), answer.read().decode()


def live(simulator: MakeSimulator, client: MakeClient) -> tuple[Any, WsClient]:
    sim = simulator(instruments={18: 4800.0})
    made = client(sim.url)
    made.connect()
    made.subscribe([18], snapshot=True)
    until(lambda: made.stats().messages)
    return sim, made


def test_metrics_are_served(simulator: MakeSimulator, client: MakeClient, serving: Serve) -> None:
    """In Prometheus' text format, or in OpenMetrics for those who ask for it; no key in either."""
    _, made = live(simulator, client)
    server = serving(made)
    status, headers, body = ask(server, "/metrics")
    assert (status, headers["Content-Type"].partition(";")[0]) == (200, "text/plain")
    assert '\netoro_sync_state{client="default",state="live"} 1.0\n' in body
    assert '\netoro_sync_messages_total{client="default"} 1.0\n' in body
    status, headers, modern = ask(server, "/metrics?x=1", Accept="application/openmetrics-text")
    assert headers["Content-Type"].startswith("application/openmetrics-text")
    assert modern.endswith("# EOF\n")
    for text in (body, modern, repr(server)):
        assert API_KEY not in text
        assert USER_KEY not in text


@pytest.mark.parametrize("kind", ["text/plain", "application/openmetrics-text"])
@pytest.mark.parametrize(
    "version", ["abc", "1.x", "9" * 5000, "", "1.0.0\r\n\t.1", "1.0.0; escaping=x"]
)
def test_an_odd_version_is_no_error(
    kind: str,
    version: str,
    simulator: MakeSimulator,
    client: MakeClient,
    serving: Serve,
    caplog: Any,
) -> None:
    """Whoever asks for it gets metrics, in an answer of which it is no part."""
    server = serving(client(simulator().url))
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as sock:
        sock.sendall(f"GET /metrics HTTP/1.1\r\nAccept: {kind}; version={version}\r\n\r\n".encode())
        answer = b"".join(iter(lambda: sock.recv(65536), b"")).decode()
    head, _, body = answer.partition("\r\n\r\n")
    assert head.split()[1] == "200"
    assert all(re.match(r"[\w-]+: |HTTP/", line) for line in head.split("\r\n"))
    assert "etoro_sync_healthy" in body
    assert not caplog.records


def test_healthz_is_200_only_while_live_and_fresh(
    simulator: MakeSimulator, client: MakeClient, serving: Serve
) -> None:
    """And says why not, in JSON."""
    sim = simulator(instruments={18: 4800.0})
    made = client(sim.url)
    server = serving(made, max_age=0.3)
    status, headers, body = ask(server, "/healthz")
    assert (status, headers["Content-Type"]) == (503, "application/json")
    assert json.loads(body)["clients"]["default"]["state"] == "disconnected"
    made.connect()
    made.subscribe([18], snapshot=True)
    until(lambda: made.stats().messages)
    sim.heartbeat(18)
    until(lambda: ask(server, "/healthz")[0] == 200)
    until(lambda: ask(server, "/healthz")[0] == 503)
    told = json.loads(ask(server, "/healthz")[2])
    assert told["healthy"] is False
    assert told["clients"]["default"]["state"] == "live"
    sim.heartbeat(18)
    until(lambda: ask(server, "/healthz")[0] == 200)
    made.disconnect()
    assert ask(server, "/healthz")[0] == 503


def test_all_clients_have_to_be_healthy(
    simulator: MakeSimulator, client: MakeClient, serving: Serve
) -> None:
    """One that is down is named."""
    _, made = live(simulator, client)
    other = client("ws://127.0.0.1:9/")
    server = serving({"prices": made, "orders": other})
    status, _, body = ask(server, "/healthz")
    assert status == 503
    told = json.loads(body)["clients"]
    assert told["prices"]["healthy"] is True
    assert told["orders"]["healthy"] is False
    assert isinstance(server.health()["orders"], Health)


@pytest.mark.parametrize("path", ["/metrics", "/healthz", "/nowhere"])
def test_head_has_the_headers_alone(
    path: str, simulator: MakeSimulator, client: MakeClient, serving: Serve
) -> None:
    """As of a GET."""
    server = serving(client(simulator().url))
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as sock:
        sock.sendall(f"HEAD {path} HTTP/1.1\r\n\r\n".encode())
        answer = b"".join(iter(lambda: sock.recv(65536), b"")).decode()
    head, end, body = answer.partition("\r\n\r\n")
    assert int(head.split()[1]) == ask(server, path)[0]
    assert re.search("^Content-Length: [1-9]", head, re.MULTILINE)
    assert (end, body) == ("\r\n\r\n", "")


def test_other_paths_and_methods_are_refused(
    simulator: MakeSimulator, client: MakeClient, serving: Serve, capfd: Any
) -> None:
    """And nothing of it is printed."""
    server = serving(client(simulator().url))
    assert ask(server, "/")[0] == 404
    assert "/metrics and /healthz" in ask(server, "/metricsx")[2]
    for method in ("POST", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE", "BREW"):
        status, headers, _ = ask(server, "/metrics", method)
        assert (status, headers["Allow"]) == (405, "GET, HEAD")
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    "request_text",
    [
        b"\x00\xff\x16\x03\x01\r\n\r\n",
        b"GET\r\n\r\n",
        b"GET /metrics HTTP/9\r\n\r\n",
        b"GET /" + b"a" * 70000 + b" HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\n" + b"a: b\r\n" * 200 + b"\r\n",
        b"GET / HTTP/1.1\r\nno colon\r\n\r\n",
        b"",
    ],
)
def test_nonsense_is_refused_or_ignored(
    request_text: bytes, simulator: MakeSimulator, client: MakeClient, serving: Serve, capfd: Any
) -> None:
    """The next scrape is served, and nothing is printed."""
    server = serving(client(simulator().url))
    with (
        contextlib.suppress(ConnectionError),
        socket.create_connection(("127.0.0.1", server.port), timeout=10) as sock,
    ):
        sock.sendall(request_text)
        sock.shutdown(socket.SHUT_WR)
        sock.recv(65536)
    assert ask(server, "/metrics")[0] == 200
    assert capfd.readouterr() == ("", "")


def requests() -> list[str]:
    """Return the names of the threads that serve connections."""
    names = [thread.name for thread in threading.enumerate()]
    return [name for name in names if "-request" in name]


def test_who_sends_nothing_blocks_nobody(
    simulator: MakeSimulator,
    client: MakeClient,
    serving: Serve,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """More silent connections than are served at a time: the oldest are cut off."""
    monkeypatch.setattr(listener.Handler, "timeout", 60.0)
    server = serving(client(simulator().url))
    with contextlib.ExitStack() as stack:
        idle = [
            stack.enter_context(socket.create_connection(("127.0.0.1", server.port), timeout=10))
            for _ in range(listener._MOST + 8)
        ]
        idle[-1].sendall(b"GET /metr")
        assert ask(server, "/healthz")[0] == 503
        assert idle[0].recv(1) == b""
        until(lambda: len(requests()) <= listener._MOST)
        server.close()
        until(lambda: not requests())


def test_a_metric_of_ones_own_that_hangs_takes_no_more_and_more_threads(
    simulator: MakeSimulator,
    client: MakeClient,
    serving: Serve,
    monkeypatch: pytest.MonkeyPatch,
    caplog: Any,
) -> None:
    """Prometheus asks again and again; the log says why it gets no answer."""
    monkeypatch.setattr(listener, "_MOST_LEFT", 4)
    server = serving(client(simulator().url))
    go_on = threading.Event()
    gauge = Gauge("hangs", "Does not return.", registry=server.registry)
    gauge.set_function(lambda: float(go_on.wait(20)))
    with contextlib.ExitStack() as stack:
        stack.callback(go_on.set)
        for _ in range(listener._MOST + 10):
            sock = socket.create_connection(("127.0.0.1", server.port), timeout=10)
            stack.enter_context(sock).sendall(b"GET /metrics HTTP/1.1\r\n\r\n")
        with contextlib.suppress(ConnectionError):
            assert sock.recv(1) == b""
        assert len(requests()) == listener._MOST + 4
        assert "refused: the threads of earlier requests hang in a collector." in caplog.text
    until(lambda: not requests())
    assert ask(server, "/metrics")[0] == 200


def test_who_sends_too_slowly_is_cut_off(
    simulator: MakeSimulator,
    client: MakeClient,
    serving: Serve,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Each byte has its time."""
    assert listener.Handler.timeout == 5.0
    monkeypatch.setattr(listener.Handler, "timeout", 0.05)
    server = serving(client(simulator().url))
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as sock:
        sock.sendall(b"GET /metrics HTT")
        assert sock.recv(1) == b""


def test_a_port_in_use_is_a_clear_error(
    simulator: MakeSimulator, client: MakeClient, serving: Serve
) -> None:
    """It names the port, and says what to do."""
    made = client(simulator().url)
    server = serving(made)
    with pytest.raises(
        EToroError, match=rf"127\.0\.0\.1 port {server.port}: .*Choose another port"
    ):
        serve(made, server.port)


@pytest.mark.parametrize("host", ["no host at all.invalid", "192.0.2.1", "x" * 300])
def test_a_host_that_is_not_here_is_a_clear_error(
    host: str, simulator: MakeSimulator, client: MakeClient
) -> None:
    """Another port would not help."""
    with pytest.raises(EToroError, match=r"port 0: .*Pass a host that is an address") as caught:
        serve(client(simulator().url), 0, host)
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize("port", [-1, 65536, "9464", None, 1.5, True])
def test_a_port_is_a_number(port: Any, simulator: MakeSimulator, client: MakeClient) -> None:
    """The error names the argument."""
    with pytest.raises(EToroValidationError) as caught:
        serve(client(simulator().url), port)
    assert caught.value.field == "port"


def test_closing_frees_everything(simulator: MakeSimulator, client: MakeClient) -> None:
    """Thread, descriptor and port; twice is as good as once, and another server may follow."""
    made = client(simulator().url)
    with assert_no_new_descriptors():
        server = serve(made, 0)
        port = server.port
        assert server.url == f"http://127.0.0.1:{port}"
        assert ask(server, "/metrics")[0] == 200
        server.close()
        server.close()
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", port))
        with serve(made, port):
            pass


def test_a_system_without_threads(
    simulator: MakeSimulator,
    client: MakeClient,
    serving: Serve,
    no_thread: Callable[[str], None],
    monkeypatch: pytest.MonkeyPatch,
    caplog: Any,
) -> None:
    """A request is refused and logged; a server is refused, and leaves nothing behind."""
    made = client(simulator().url)
    server, registry = serving(made), CollectorRegistry()
    with monkeypatch.context(), assert_no_new_descriptors():
        no_thread("etoro-sync-metrics")
        with pytest.raises(http.client.RemoteDisconnected):
            ask(server, "/metrics")
        with pytest.raises(EToroError, match=r"Cannot serve metrics: .*thread"):
            serve(made, 0, registry=registry)
    assert "A request for metrics is refused" in caplog.text
    no_thread("no such thread")
    with serve(made, 0, registry=registry):
        assert ask(server, "/metrics")[0] == 200


@pytest.mark.parametrize("host", [None, b"127.0.0.1", "", "a\0b"])
def test_a_host_is_named(host: Any, simulator: MakeSimulator, client: MakeClient) -> None:
    """The error names the argument; an empty one would be all addresses of the machine."""
    with pytest.raises(EToroValidationError) as caught:
        serve(client(simulator().url), 0, host)
    assert caught.value.field == "host"


def test_a_registry_is_one(simulator: MakeSimulator, client: MakeClient) -> None:
    """The error names the argument, and no port is left open."""
    made = client(simulator().url)
    with assert_no_new_descriptors(), pytest.raises(EToroValidationError) as caught:
        serve(made, 0, registry={})  # type: ignore[arg-type]
    assert caught.value.field == "registry"


def test_metrics_of_ones_own_stand_beside(
    simulator: MakeSimulator, client: MakeClient, serving: Serve
) -> None:
    """In the server's registry, or in one that is passed, which is left as it was."""
    made = client(simulator().url)
    server = serving(made)
    Gauge("my_positions", "Open positions.", registry=server.registry).set(3)
    assert "my_positions 3.0" in ask(server, "/metrics")[2]
    registry = CollectorRegistry()
    with serve(made, 0, registry=registry) as one:
        assert "etoro_sync_healthy" in ask(one, "/metrics")[2]
        with pytest.raises(EToroValidationError) as caught:
            serve(made, 0, registry=registry)
        assert caught.value.field == "registry"
    with serve(made, 0, registry=registry) as one:
        assert "etoro_sync_healthy" in ask(one, "/metrics")[2]


def test_a_failing_metric_of_ones_own_is_an_error_of_one_scrape(
    simulator: MakeSimulator, client: MakeClient, serving: Serve, caplog: Any
) -> None:
    """It is logged, and health is served on."""
    server = serving(client(simulator().url))
    gauge = Gauge("bad", "Raises.", registry=server.registry)
    gauge.set_function(lambda: 1 / 0)
    assert ask(server, "/metrics")[0] == 500
    assert "A collector in the registry" in caplog.text
    assert ask(server, "/healthz")[0] == 503


def test_the_client_is_not_kept_alive(simulator: MakeSimulator, serving: Serve) -> None:
    """A server that outlives it says so."""
    sim = simulator()
    made = make_client(sim.url)
    server = serving(made)
    made.connect()
    del made
    gc.collect()
    sim.wait_until(lambda s: not s.clients, timeout=5)
    assert json.loads(ask(server, "/healthz")[2])["clients"]["default"]["state"] == "gone"


def test_a_server_of_ipv6(simulator: MakeSimulator, client: MakeClient) -> None:
    """Its address has brackets."""
    try:
        server = serve(client(simulator().url), 0, host="::1")
    except EToroError:
        pytest.skip("this machine has no IPv6")
    with server:
        assert server.url == f"http://[::1]:{server.port}"
        connection = http.client.HTTPConnection("::1", server.port, timeout=10)
        with contextlib.closing(connection):
            connection.request("GET", "/healthz")
            assert connection.getresponse().status == 503


PROGRAM = """
import os, socket, sys, urllib.request
from prometheus_client import generate_latest
from tests.support.clients import make_client
from etoro_sync.metrics import serve

client = make_client("ws://127.0.0.1:9/")
server = serve(client, 0)
idle = socket.create_connection(("127.0.0.1", server.port))
idle.sendall(b"GET /")
urllib.request.urlopen(server.url + "/metrics").read()
if "fork" in sys.argv:
    told, tell = os.pipe()
    child = os.fork()
    if not child:
        text = generate_latest(server.registry).decode()
        assert 'state="closed"} 1.0' in text and "_bytes_total{" not in text
        server.close()
        server.close()
        sys.exit(7)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
    assert urllib.request.urlopen(server.url + "/metrics").status == 200
    child = os.fork()
    if not child:
        os.close(tell)
        os.read(told, 1)  # until the parent has seen the port
        os._exit(0)
    server.close()
    try:
        socket.create_connection(("127.0.0.1", server.port))
    except ConnectionRefusedError:
        print("free")
    os.close(tell)
    os.waitpid(child, 0)
print("end")
"""


@pytest.mark.parametrize(
    "argument",
    [
        "",
        pytest.param(
            "fork", marks=pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork()")
        ),
    ],
)
def test_a_server_ends_with_its_program(argument: str) -> None:
    """Also while somebody is connected; and a forked child neither answers nor holds the port."""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", PROGRAM, argument],
        capture_output=True,
        text=True,
        input="x",
        timeout=20,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.split() == (["free", "end"] if argument else ["end"])


def test_the_extra_is_named_where_it_is_missing() -> None:
    """The import says what to install; nothing else of the library needs it."""
    code = (
        "import sys; sys.modules['prometheus_client'] = None\n"
        "import etoro_sync, etoro_sync.systemd\n"
        "try:\n    import etoro_sync.metrics\n"
        "except ImportError as error:\n    print(error)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=20
    )
    assert done.stdout.startswith("Metrics need an extra: ")
    assert "etoro-sync[prometheus]" in done.stdout


def test_nothing_of_it_is_loaded_with_the_library() -> None:
    """Those who want no metrics pay nothing."""
    code = (
        "import sys, etoro_sync\n"
        "print([n for n in sys.modules if 'prometheus' in n or 'operations' in n\n"
        "       or n in ('http.server', 'etoro_sync.metrics', 'etoro_sync.systemd')])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=20
    )
    assert done.stdout == "[]\n"

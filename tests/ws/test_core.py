"""The parts of a client are stored where a subclass cannot overwrite them by accident."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

import etoro_sync
from etoro_sync import EToroError, WsClient, WsClientOptions
from etoro_sync.ws.core import Core, core_of
from tests.conftest import MakeSimulator
from tests.support.clients import quick_options


def private_names(client: WsClient) -> set[str]:
    """Return names that a subclass may use: private ones of the client and of its parts."""
    here = {*vars(client), *dir(type(client))}
    inside = {f"_{name.lstrip('_')}" for name in (*vars(core_of(client)), *dir(Core))}
    names = {name for name in here | inside if name.startswith("_")}
    return {name for name in names if not (name.startswith("__") and name.endswith("__"))}


NAMES = private_names(WsClient(WsClientOptions()))


class Taken(WsClient):
    """A subclass of which every private name is its own, as attributes and in the class."""

    def __init__(self, options: WsClientOptions) -> None:
        super().__init__(options)
        for name in private_names(self):
            setattr(self, name, f"my own {name}")


for _name in NAMES:
    setattr(Taken, _name, None)


class Watched(etoro_sync.WsClient):
    """One with what Python mangles into ``_WsClient__...``, once it has the library's name."""

    def __init__(self, options: WsClientOptions) -> None:
        super().__init__(options)
        for name in ("options", "core", "rates", "registry", "sessions"):
            setattr(self, f"_{type(self).__name__}__{name}", None)


Watched.__name__ = Watched.__qualname__ = "WsClient"


class Forwarding(WsClient):
    """A subclass that defines ``__getattr__`` and stores its attributes elsewhere."""

    def __init__(self, options: WsClientOptions) -> None:
        vars(self)["kept"] = {}
        super().__init__(options)

    def __getattr__(self, name: str) -> Any:
        return self.kept[name]

    def __setattr__(self, name: str, value: object) -> None:
        self.kept[name] = value


@pytest.mark.parametrize("kind", [Taken, Watched, Forwarding], ids=lambda kind: kind.__name__)
def test_a_subclass_may_use_any_private_name(
    simulator: MakeSimulator, kind: Callable[[WsClientOptions], WsClient]
) -> None:
    """It connects, subscribes, streams, runs callbacks, waits and shows its state."""
    assert {"_rates", "_options", "_registry", "_feed", "_sessions"} <= NAMES
    with kind(quick_options(simulator(rate=200).url)) as c:
        seen: list[int] = []
        c.on("instrument:rate", lambda instrument_id, rate: seen.append(instrument_id))
        rates = c.queue("instrument:rate", instrument_ids=[18])
        c.subscribe([18], snapshot=True)
        assert rates.get(timeout=5)[0] == 18
        assert next(iter(c.stream([19])))[0] == 19
        c.once("instrument:rate", print).off("instrument:rate", print)
        assert c.wait_for("instrument:rate", timeout=5)[0] in (18, 19)
        assert c.rates[18].bid
        assert c.subscriptions == ("instrument:18",)
        assert c.is_connected
        assert c.is_authenticated
        assert c.generation == 1
        assert c.stats().connections == 1
        assert "live" in repr(c)
        c.unsubscribe([18])
        c.remove_all_listeners()
    c.run_forever()
    assert 18 in seen


def members() -> list[str]:
    """Return the public methods and properties, and what ``with`` and ``repr`` use."""
    return [name for name in vars(WsClient) if not name.startswith("_")] + ["__enter__", "__exit__"]


ARGUMENTS: dict[str, tuple[Any, ...]] = {
    "on": ("open", print),
    "once": ("open", print),
    "off": ("open", print),
    "queue": ("open",),
    "stream": ([18],),
    "subscribe": ([18],),
    "unsubscribe": ([18],),
    "wait_for": ("open",),
    "__exit__": (None, None, None),
}


@pytest.mark.parametrize("name", members())
def test_a_subclass_that_forgets_the_base_class_is_told_so(name: str) -> None:
    """Each member raises an error that says so, without internal names."""

    class Forgetful(WsClient):
        def __init__(self) -> None:
            self.mine = 1

    forgetful = Forgetful()
    assert repr(forgetful) == "<Forgetful, super().__init__() not called>"
    with pytest.raises(EToroError, match=r"^Forgetful.__init__\(\) has not called super\(\)"):
        getattr(forgetful, name)(*ARGUMENTS.get(name, ()))

"""Which address is tried first."""

from __future__ import annotations

import socket

from etoro_sync.ws.addresses import Address, Addresses


def found(names: str) -> list[Address]:
    """What a resolver would return for addresses of these names."""
    return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (name, 443)) for name in names]


def order(addresses: Addresses, names: str = "abc") -> str:
    return "".join(str(each[4][0]) for each in addresses.order(found(names)))


def test_the_resolvers_order_is_kept() -> None:
    """It knows which one is near."""
    assert order(Addresses(), "cab") == "cab"


def test_addresses_that_have_led_nowhere_come_last() -> None:
    """In the resolver's order among themselves, too."""
    addresses = Addresses()
    addresses.take(("a", 443))
    assert order(addresses) == "bca"
    addresses.take(("b", 443))
    assert order(addresses) == "cab"


def test_one_that_has_proven_itself_is_tried_in_its_turn() -> None:
    """Whatever has ended the connection later."""
    addresses = Addresses()
    addresses.trust()
    addresses.take(("a", 443))
    addresses.take(("b", 443))
    addresses.trust()
    assert order(addresses) == "bca"


def test_where_all_have_led_nowhere_the_round_begins_anew() -> None:
    """So that each of them gets its turn, and none is given up for ever."""
    addresses = Addresses()
    for name in "abc":
        addresses.take((name, 443))
    assert order(addresses) == "abc"
    addresses.take(("a", 443))
    assert order(addresses) == "bca"


def test_what_the_resolver_does_not_name_any_more_is_forgotten() -> None:
    """A name that leads to another address each time does not fill the memory."""
    addresses = Addresses()
    addresses.take(("a", 443))
    assert order(addresses, "bc") == "bc"
    assert order(addresses) == "abc"

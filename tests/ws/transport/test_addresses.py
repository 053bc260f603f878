"""The order in which addresses are tried."""

from __future__ import annotations

import socket

import pytest

from etoro_sync.ws.transport.addresses import Address, Addresses


def found(names: str) -> list[Address]:
    """What a resolver would return for addresses of these names; capitals are of IPv6."""
    families = {True: socket.AF_INET6, False: socket.AF_INET}
    return [(families[n.isupper()], socket.SOCK_STREAM, 6, "", (n, 443)) for n in names]


def order(addresses: Addresses, names: str = "abc") -> str:
    return "".join(str(each[4][0]) for each in addresses.order(found(names)))


def test_the_resolvers_order_is_kept() -> None:
    """It may know which address is nearest."""
    assert order(Addresses(), "cab") == "cab"


@pytest.mark.parametrize(
    ("names", "tried"),
    [("ABcd", "AcBd"), ("abCD", "aCbD"), ("ABCd", "AdBC"), ("Abcd", "Abcd"), ("AbCd", "AbCd")],
)
def test_the_families_take_turns(names: str, tried: str) -> None:
    """All of one family may be unreachable; the family of the resolver's first address begins."""
    assert order(Addresses(), names) == tried


def test_addresses_that_have_led_nowhere_come_last() -> None:
    """In the resolver's order among themselves, too."""
    addresses = Addresses()
    addresses.mark_unproven(("a", 443))
    assert order(addresses) == "bca"
    addresses.mark_unproven(("b", 443))
    assert order(addresses) == "cab"


def test_the_families_take_turns_also_among_those_that_have_led_nowhere() -> None:
    """All others come before them, whatever their family."""
    addresses = Addresses()
    for name in "ABc":
        addresses.mark_unproven((name, 443))
    assert order(addresses, "ABcdef") == "defAcB"


def test_what_has_worked_last_comes_first() -> None:
    """Before all that the resolver prefers; the other family is next."""
    addresses = Addresses()
    addresses.mark_proven(("c", 443))
    assert order(addresses) == "cab"
    assert order(addresses, "ABcd") == "cAdB"
    addresses.mark_proven(("b", 443))
    assert order(addresses) == "bac"


def test_what_has_worked_must_prove_itself_each_time() -> None:
    """An address that was good and is silent now must not take every attempt."""
    addresses = Addresses()
    addresses.mark_proven(("a", 443))
    addresses.mark_unproven(("a", 443))
    assert order(addresses) == "bca"
    addresses.mark_proven(("a", 443))
    assert order(addresses) == "abc"


def test_one_that_has_proven_itself_is_tried_before_those_that_have_not() -> None:
    """Whatever has ended the connection later."""
    addresses = Addresses()
    addresses.mark_unproven(("a", 443))
    addresses.mark_unproven(("b", 443))
    addresses.mark_proven(("b", 443))
    assert order(addresses) == "bca"


def test_where_all_have_led_nowhere_the_round_begins_anew() -> None:
    """So that each of them gets its turn, and none is given up for ever."""
    addresses = Addresses()
    for name in "abc":
        addresses.mark_unproven((name, 443))
    assert order(addresses) == "abc"
    addresses.mark_unproven(("a", 443))
    assert order(addresses) == "bca"


def test_a_new_round_forgets_what_worked_once() -> None:
    """It has led nowhere since, like all the others."""
    addresses = Addresses()
    addresses.mark_proven(("c", 443))
    for name in "abc":
        addresses.mark_unproven((name, 443))
    assert order(addresses) == "abc"


def test_what_the_resolver_does_not_name_any_more_is_forgotten() -> None:
    """A name that leads to another address each time does not fill the memory."""
    addresses = Addresses()
    addresses.mark_unproven(("a", 443))
    assert order(addresses, "bc") == "bc"
    assert order(addresses) == "abc"

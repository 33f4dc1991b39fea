"""Where endpoints listen: apart from each other, next to their siblings, and somewhere even if nothing else will do."""

import socket
import sys

import pytest

from workshape.proxies.addresses import choose_address, is_free
from workshape.proxies.model import Address
from workshape.proxies.plan import LOOPBACK, neighbours

linux = pytest.mark.skipif(sys.platform != "linux", reason="other systems have one loopback address")


@linux
def test_each_proxy_has_a_block_of_addresses_of_its_own_at_postgresqls_port() -> None:
    taken: set[Address] = set()

    for _ in range(5):
        first = choose_address(taken, None)
        taken.add(first)
        for _ in range(2):
            taken.add(choose_address(taken, first))

    assert len(taken) == 15
    assert {port for _, port in taken} == {5432}
    assert len({tuple(neighbours(host)) for host, _ in taken}) == 5
    assert all(host in neighbours(host) for host, _ in taken)


@linux
def test_an_address_that_somebody_has_is_not_chosen() -> None:
    first = choose_address((), None)
    with socket.socket() as somebody:
        somebody.bind(first)
        somebody.listen()

        assert not is_free(first)
        assert choose_address((), first) != first


def test_without_an_address_it_is_a_free_port_of_this_machine() -> None:
    host, port = choose_address((), (LOOPBACK, 15_000))

    assert host == LOOPBACK
    assert is_free((host, port))

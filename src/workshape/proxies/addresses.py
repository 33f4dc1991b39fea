"""Where endpoints listen: at PostgreSQL's own port on loopback addresses of their own, where there are such.

RDS's endpoints have a host name and PostgreSQL's port, and programs are written for that. Names would need a name
service; all of 127.0.0.0/8 is this machine on Linux, and a driver takes an address where it takes a name. The
addresses of one proxy are neighbours: its certificate is for all of them from the beginning.

Source: https://www.rfc-editor.org/rfc/rfc6890#section-2.2.2
"""

import random
import socket
from collections.abc import Collection, Iterator

from workshape.proxies.model import POSTGRES_PORT, Address
from workshape.proxies.plan import BLOCK_PREFIX, LOOPBACK, RANGE, neighbours

FREE_PORTS = (15_000, 32_000)  # below what systems give to outgoing connections
TRIES = 8  # of 130,000 blocks: that so many are taken by chance does not happen, so there is another reason


def choose_address(taken: Collection[Address], beside: Address | None) -> Address:
    """Find a free address, next to another endpoint's of the same proxy if there is one.

    Where no such address will do (not Linux, or some server has the port on every address), it is a free port of
    127.0.0.1.
    """
    for address in _candidates(taken, beside):
        if address not in taken and is_free(address):
            return address
    while True:  # ends: a machine has more free ports than proxies
        address = (LOOPBACK, random.randrange(*FREE_PORTS))  # noqa: S311 - an address, no secret
        if address not in taken and is_free(address):
            return address


def is_free(address: Address) -> bool:
    """Whether a server could listen there now."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as servers do: TIME_WAIT is not "in use"
        try:
            probe.bind(address)
        except OSError:
            return False
        return True


def _candidates(taken: Collection[Address], beside: Address | None) -> Iterator[Address]:
    if beside is not None:
        yield from ((host, POSTGRES_PORT) for host in neighbours(beside[0]))
        return
    others = {neighbour for host, _ in taken for neighbour in neighbours(host)}
    for _ in range(TRIES):
        block = random.randrange(2 ** (BLOCK_PREFIX - RANGE.prefixlen))  # noqa: S311 - as above
        host = str(RANGE[block * 2 ** (32 - BLOCK_PREFIX) + 1])
        if host not in others:
            yield host, POSTGRES_PORT

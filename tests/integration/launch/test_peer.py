"""Whose a connection is, as the kernel tells it, whatever its maker does to hide that."""

import contextlib
import os
import signal
import socket
import struct
from collections.abc import Callable, Iterator
from typing import cast

import pytest

from workshape.functions.launch.peer import is_no_function, peer_user
from workshape.functions.launch.users import USERS_FROM

pytestmark = pytest.mark.usefixtures("needs_other_users")
FUNCTION = USERS_FROM + 5
WAIT_S = 10.0


@contextlib.contextmanager
def made_by(
    user: int, then: Callable[[socket.socket], None], at: str = "127.0.0.1", to: str = ""
) -> Iterator[socket.socket]:
    """Accept a connection that another user has made, once that has done to it what it wanted."""
    family = socket.AF_INET6 if ":" in at else socket.AF_INET
    with socket.create_server((at, 0), family=family, dualstack_ipv6=at == "::") as listening:
        listening.settimeout(WAIT_S)
        read, write = os.pipe()
        pid = os.fork()
        if pid == 0:
            try:
                os.setresuid(user, user, user)
                connection = socket.socket(socket.AF_INET6 if ":" in (to or at) else socket.AF_INET)
                connection.connect((to or at, listening.getsockname()[1]))
                connection.sendall(b"POST / HTTP/1.1\r\n\r\n")
                then(connection)
                os.write(write, b"x")
                signal.pause()
            finally:
                os._exit(1)
        os.close(write)
        try:
            assert os.read(read, 1), "it could not connect"
            with listening.accept()[0] as accepted:
                yield accepted
        finally:
            os.close(read)
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)


@pytest.mark.parametrize(
    "then", [lambda _: None, lambda mine: mine.shutdown(socket.SHUT_WR)], ids=["open", "half open"]
)
@pytest.mark.parametrize("user", [0, FUNCTION])
def test_a_connection_is_its_makers(user: int, then: Callable[[socket.socket], None]) -> None:
    with made_by(user, then) as accepted:
        assert peer_user(accepted) == user
        assert is_no_function(accepted) is (user == 0)


@pytest.mark.parametrize("linger_s", [1, 0], ids=["closed", "reset"])
def test_a_connection_that_its_maker_has_closed_is_nobodys(linger_s: int) -> None:
    """The kernel says 0 then, as if it were root's, or nothing; what was sent before can be read all the same."""

    def close(mine: socket.socket) -> None:
        if linger_s == 0:
            mine.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        mine.close()

    with made_by(FUNCTION, close) as accepted:
        assert accepted.recv(4) == b"POST"
        assert not is_no_function(accepted)


@pytest.mark.parametrize(("at", "to"), [("::1", "::1"), ("::", "::1"), ("::", "127.0.0.1"), ("::", "::ffff:127.0.0.1")])
def test_a_connection_is_its_makers_by_ipv6_too(at: str, to: str) -> None:
    with made_by(FUNCTION, lambda _: None, at, to) as accepted:
        assert peer_user(accepted) == FUNCTION
        assert not is_no_function(accepted)


class _FromAfar:
    """A connection from an address that documentation alone has, as far as who asks can see."""

    def getsockname(self) -> tuple[str, int]:
        return "127.0.0.1", 1

    def getpeername(self) -> tuple[str, int]:
        return "192.0.2.1", 40_000


def test_a_connection_of_another_machine_is_no_functions() -> None:
    afar = cast("socket.socket", _FromAfar())

    assert peer_user(afar) is None
    assert is_no_function(afar)

"""TCP ports for what `up` starts: those of the settings, proven free, or any free ones."""

import contextlib
import errno
import random
import socket

import msgspec

from workshape.errors import Invalid, PortInUse
from workshape.run import console_host
from workshape.settings import Ports, Settings

FREE_PORTS = (15_000, 32_000)
"""Below what Linux, macOS and IANA give to outgoing connections.

Source: https://www.kernel.org/doc/html/latest/networking/ip-sysctl.html (ip_local_port_range, 32768 to 60999)
"""
TRIES = 20  # of 17,000: then any port will do


class Unbindable(Invalid):
    """nothing can listen on port {port} of {host}: {why}. [platform] host is an address of this machine, as 127.0.0.1
    always is, and ports below 1024 are for root
    """

    host: str
    port: int
    why: str


def choose_ports(settings: Settings, *, unused: frozenset[str] = frozenset()) -> Settings:
    """Replace every port 0 by a free one; those in `unused` are left as they are and not looked at.

    Between this and the start of a part another program may take a port: the part's own error tells then.

    Raises:
        PortInUse: a port that was asked for is taken. Unbindable: `host` is none of this machine's.
    """
    names = [name for name in Ports.__struct_fields__ if name not in unused]
    chosen: dict[str, int] = {}
    with contextlib.ExitStack() as held:  # until all are chosen, so that no port is chosen twice
        for name in sorted(names, key=lambda name: getattr(settings.ports, name) == 0):
            port = int(getattr(settings.ports, name))
            host = console_host(settings) if name == "console" else settings.host
            try:
                chosen[name] = _bind(held, host, port)
            except OSError as error:
                if error.errno != errno.EADDRINUSE:
                    raise Unbindable(host=host, port=port, why=error.strerror) from error
                if name != "console" or port != Ports().console:
                    raise PortInUse(host=host, port=port, setting=name) from error
                chosen[name] = _bind(held, host, 0)  # a second platform has its console elsewhere, and says where
    return msgspec.structs.replace(settings, ports=msgspec.structs.replace(settings.ports, **chosen))


def free_ports(host: str, count: int) -> list[int]:
    """Find free ports for what nobody outside needs to know."""
    with contextlib.ExitStack() as held:
        return [_bind(held, host, 0) for _ in range(count)]


def _bind(held: contextlib.ExitStack, host: str, port: int) -> int:
    """Take a port for as long as `held` is; of 0, a free one that no outgoing connection will be given meanwhile."""
    if port == 0:
        for candidate in random.sample(range(*FREE_PORTS), TRIES):
            with contextlib.suppress(OSError):
                return _bind(held, host, candidate)
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    probe = held.enter_context(socket.socket(family, socket.SOCK_STREAM))
    probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as servers do: TIME_WAIT is not "in use"
    probe.bind((host, port))
    return int(probe.getsockname()[1])

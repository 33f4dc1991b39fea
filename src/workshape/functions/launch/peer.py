"""Who is at the other end of a TCP connection on this machine: the user id of the process that made it.

Without network namespaces every process of the machine can reach a listener on 127.0.0.1. Each environment has a user
id of its own, and the kernel tells whose a socket is.

Source: https://man7.org/linux/man-pages/man7/sock_diag.7.html (one socket by its addresses)
"""

import errno
import os
import socket
import struct
import sys
from ipaddress import IPv4Address, IPv6Address, ip_address

from workshape.functions.launch.users import USERS_FROM
from workshape.http1.message import Connection

_NETLINK_SOCK_DIAG = 4
_SOCK_DIAG_BY_FAMILY = 20
_NLM_F_REQUEST = 1
_NLMSG_ERROR = 2
_ALL_STATES = 0xFFFFFFFF
_NO_COOKIE = b"\xff" * 8
_HEADER = struct.Struct("=IHHII")
_ANSWER_BYTES = 8_192
_SHORTAGES = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)
"""The kernel would tell, and a function may have brought them about."""


def peer_user(connection: Connection) -> int | None:
    """Return the user id of the process that made a connection from this machine; None: it has closed that.

    What is closed is nobody's, and the kernel says 0, root's: whoever asks must not take that for an answer.

    Raises:
        OSError: the kernel does not tell.
    """
    ours = connection.getsockname()
    try:
        theirs = connection.getpeername()
    except OSError:  # it was reset
        return None
    there, here = _address(theirs[0]), _address(ours[0])
    family = socket.AF_INET if there.version == 4 else socket.AF_INET6
    addresses = struct.pack("!HH16s16s", theirs[1], ours[1], there.packed, here.packed)
    addresses += struct.pack("=I8s", 0, _NO_COOKIE)
    request = struct.pack("=BBBxI", family, socket.IPPROTO_TCP, 0, _ALL_STATES) + addresses
    header = _HEADER.pack(_HEADER.size + len(request), _SOCK_DIAG_BY_FAMILY, _NLM_F_REQUEST, 1, 0)
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _NETLINK_SOCK_DIAG) as netlink:
        netlink.send(header + request)
        answer = netlink.recv(_ANSWER_BYTES)
    _, kind, _, _, _ = _HEADER.unpack_from(answer)
    if kind == _NLMSG_ERROR:
        number = -int(struct.unpack_from("=i", answer, _HEADER.size)[0])
        if number == errno.ENOENT:
            return None
        raise OSError(number, os.strerror(number))
    # After the header an inet_diag_msg: four bytes, the addresses, then expires, rqueue, wqueue, uid, inode.
    user, inode = struct.unpack_from("=II", answer, _HEADER.size + 4 + len(addresses) + 12)
    return int(user) if inode else None


def is_no_function(connection: Connection) -> bool:
    """Tell whether a connection is not a sandboxed function's. Without sandboxes nobody can tell: then none is.

    Whoever has closed it already may be one, and waits for no answer; but for other machines, which have none.
    """
    if sys.platform != "linux":
        return True
    try:
        user = peer_user(connection)
    except OSError as error:
        return error.errno not in _SHORTAGES
    return user < USERS_FROM if user is not None else _is_another_machines(connection)


def _is_another_machines(connection: Connection) -> bool:
    try:
        address = _address(connection.getpeername()[0])
    except OSError:  # it was reset: who knows
        return False
    with socket.socket(socket.AF_INET if address.version == 4 else socket.AF_INET6, socket.SOCK_DGRAM) as trial:
        try:
            trial.bind((str(address), 0))
        except OSError:
            return True
    return False


def _address(text: str) -> IPv4Address | IPv6Address:
    """Read an address. One of IPv4 on a socket of IPv6 is that of the other end's socket, which may be of either."""
    address = ip_address(text.partition("%")[0])
    return (address.ipv4_mapped or address) if isinstance(address, IPv6Address) else address

"""Messages between the engine, the spawners and the processes that wait: a length in four bytes, then JSON.

Standard library only, Python 3.10: every interpreter that runs functions loads this file.
"""

import array
import json
import socket
from collections.abc import Sequence
from typing import Any

HEADER_BYTES = 4
DESCRIPTORS_MAX = 4


def pack(message: dict[str, Any]) -> bytes:
    """Write and frame a message."""
    return frame(json.dumps(message).encode())


def frame(body: bytes) -> bytes:
    """Frame what is a message already."""
    return len(body).to_bytes(HEADER_BYTES, "big") + body


def send(control: socket.socket, message: dict[str, Any], descriptors: Sequence[int] = ()) -> None:
    """Send one message, with descriptors of ours; blocks while the other side does not read."""
    data = pack(message)
    sent = socket.send_fds(control, [data], list(descriptors)) if descriptors else control.send(data)
    if sent < len(data):
        control.sendall(data[sent:])


def receive(control: socket.socket) -> dict[str, Any] | None:
    """Receive one message and nothing of the next; None when the other end is closed."""
    try:
        return _body(control, control.recv(HEADER_BYTES))
    except (OSError, EOFError):
        return None


def receive_with_descriptors(control: socket.socket) -> tuple[dict[str, Any] | None, list[int]]:
    """Receive one message as `receive` does, and the descriptors that came with it, which are ours."""
    descriptors = array.array("i")
    room = socket.CMSG_LEN(DESCRIPTORS_MAX * descriptors.itemsize)
    try:
        header, ancillary, _, _ = control.recvmsg(HEADER_BYTES, room, getattr(socket, "MSG_CMSG_CLOEXEC", 0))
        for level, kind, content in ancillary:
            if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
                descriptors.frombytes(content[: len(content) - len(content) % descriptors.itemsize])
        return _body(control, header), list(descriptors)
    except (OSError, EOFError):
        return None, list(descriptors)


def _body(control: socket.socket, begun: bytes) -> dict[str, Any]:
    header = _exactly(control, begun, HEADER_BYTES)
    size = int.from_bytes(header, "big")
    message: dict[str, Any] = json.loads(_exactly(control, control.recv(size), size))
    return message


def _exactly(control: socket.socket, received: bytes, count: int) -> bytes:
    if not received:
        raise EOFError
    while len(received) < count:
        part = control.recv(count - len(received))
        if not part:
            raise EOFError
        received += part
    return received

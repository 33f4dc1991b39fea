"""Messages between the engine, the spawners and the processes that wait: a length in four bytes, then JSON.

Standard library only, Python 3.10: every interpreter that runs functions loads this file.
"""

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
        header = _exactly(control, HEADER_BYTES)
        body = _exactly(control, int.from_bytes(header, "big"))
    except (OSError, EOFError):
        return None
    message: dict[str, Any] = json.loads(body)
    return message


def _exactly(control: socket.socket, count: int) -> bytes:
    received = control.recv(count)
    if not received:
        raise EOFError
    while len(received) < count:
        part = control.recv(count - len(received))
        if not part:
            raise EOFError
        received += part
    return received

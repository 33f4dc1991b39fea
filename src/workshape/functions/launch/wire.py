"""Messages between the engine, the spawners and the processes that wait: a length in four bytes, then JSON.

Standard library only, Python 3.10: every interpreter that runs functions loads this file.
"""

import json
import os
import socket
from collections.abc import Sequence
from typing import Any

HEADER_BYTES = 4
DESCRIPTORS_MAX = 4


def pack(message: dict[str, Any]) -> bytes:
    """Frame a message."""
    body = json.dumps(message).encode()
    return len(body).to_bytes(HEADER_BYTES, "big") + body


def send(control: socket.socket, message: dict[str, Any], descriptors: Sequence[int] = ()) -> None:
    """Send one message, with descriptors of ours; blocks while the other side does not read."""
    data = pack(message)
    sent = socket.send_fds(control, [data], list(descriptors)) if descriptors else control.send(data)
    if sent < len(data):
        control.sendall(data[sent:])


def receive(control: socket.socket) -> tuple[dict[str, Any], list[int]] | None:
    """Receive one message and its descriptors; None when the other end is closed."""
    try:
        header, descriptors, _, _ = socket.recv_fds(control, HEADER_BYTES, DESCRIPTORS_MAX)
        if not header:
            return None
        header += _exactly(control, HEADER_BYTES - len(header))
        body = _exactly(control, int.from_bytes(header, "big"))
    except (OSError, EOFError):
        return None
    for descriptor in descriptors:
        os.set_inheritable(descriptor, False)
    return json.loads(body), list(descriptors)


def _exactly(control: socket.socket, count: int) -> bytes:
    received = b""
    while len(received) < count:
        part = control.recv(count - len(received))
        if not part:
            raise EOFError
        received += part
    return received

"""The least that a runtime can do, as a function's `bootstrap`: what an engine gives when functions cost nothing.

It returns each event as it came, over one connection, in our own clients' way: a result asks for the next event.
"""

import os
import socket

INVOCATION = "/2018-06-01/runtime/invocation/"
REQUEST_ID = b"lambda-runtime-aws-request-id: "
LENGTH = b"content-length: "


def main() -> None:
    """Serve until the platform goes away."""
    host, _, port = os.environ["AWS_LAMBDA_RUNTIME_API"].partition(":")
    platform = socket.create_connection((host, int(port)))
    platform.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    platform.sendall(f"GET {INVOCATION}next HTTP/1.1\r\nHost: runtime\r\n\r\n".encode())
    received = b""
    while data := platform.recv(1 << 16):
        received += data
        head, mark, body = received.partition(b"\r\n\r\n")
        lower = head.lower()
        if not mark or len(body) < int(_value(lower, LENGTH)):
            continue
        received = b""
        target = f"POST {INVOCATION}{_value(lower, REQUEST_ID).decode()}/response/next HTTP/1.1\r\n"
        platform.sendall(f"{target}Host: runtime\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body)


def _value(head: bytes, name: bytes) -> bytes:
    return head.partition(name)[2].partition(b"\r\n")[0]


if __name__ == "__main__":
    main()

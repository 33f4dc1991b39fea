"""A custom runtime that does on the wire exactly what each event says: a `bootstrap` for functions of tests.

The event is a list of steps, each the name of one of `Runtime`'s methods and what it takes. Then the runtime asks for
the next invocation on its latest connection. The variable STEPS has what it does before the first.
"""

import json
import os
import socket
import sys
import time
from typing import Any


def connect() -> socket.socket:
    host, _, port = os.environ["AWS_LAMBDA_RUNTIME_API"].rpartition(":")
    return socket.create_connection((host, int(port)))


def read(connection: socket.socket) -> "tuple[dict[str, str], bytes]":
    received = b""
    while b"\r\n\r\n" not in received:
        data = connection.recv(65536)
        if not data:
            raise ConnectionError("closed by the platform")
        received += data
    head, _, body = received.partition(b"\r\n\r\n")
    lines = head.decode("latin-1").split("\r\n")[1:]
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    while len(body) < int(headers.get("content-length", "0")):
        body += connection.recv(65536)
    return headers, body


class Runtime:
    """The steps."""

    def __init__(self) -> None:
        self.request_id = ""
        self.connections = [connect()]

    def run(self) -> None:
        """Serve invocations."""
        self.obey(json.loads(os.environ.get("STEPS", "[]")))
        while True:
            self.send("GET /2018-06-01/runtime/invocation/next HTTP/1.1\r\nHost: x\r\n\r\n")
            headers, body = read(self.connections[-1])
            self.request_id = headers["lambda-runtime-aws-request-id"]
            self.obey(json.loads(body))

    def obey(self, steps: "list[list[Any]]") -> None:
        """Take one step after the other."""
        for step, *values in steps:
            getattr(self, step)(*values)

    def send(self, text: str) -> None:
        """Send a text, with the request id where it has `{id}`."""
        self.connections[-1].sendall(text.replace("{id}", self.request_id).encode("latin-1"))

    def write(self, line: str) -> None:
        """Write a line to the function's log."""
        sys.stdout.write(line + "\n")
        sys.stdout.flush()

    def fill(self, count: int) -> None:
        """Send that many bytes."""
        self.connections[-1].sendall(b"x" * count)

    def read(self) -> None:
        """Read one answer."""
        read(self.connections[-1])

    def connect(self) -> None:
        """Go on with a new connection; the older ones stay."""
        self.connections.append(connect())

    def close(self) -> None:
        """Close the connection and go on with a new one."""
        self.connections.pop().close()
        self.connect()

    def sleep(self, duration_s: float) -> None:
        """Do nothing for a while."""
        time.sleep(duration_s)

    def wait(self, port: int) -> None:
        """Wait until a listener on this machine lets us go."""
        with socket.create_connection(("127.0.0.1", port)) as gate:
            gate.recv(1)

    def exit(self, status: int) -> None:
        """End."""
        sys.exit(status)


if __name__ == "__main__":
    Runtime().run()

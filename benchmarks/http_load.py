"""An HTTP client that does nothing but ask: keep-alive connections, one request at a time on each.

Runs in a process of its own, `python -m benchmarks.http_load PORT PATH CONNECTIONS SECONDS [HEADER: VALUE ...]`, so
that the server under test shares its event loop with nobody; prints the latencies in seconds, one a line.
"""

import asyncio
import sys
import time
from collections.abc import Sequence
from typing import cast

import uvloop

BODY = b'{"hello":"world"}'


class _Asker(asyncio.Protocol):
    """Sends the same request again as soon as its answer is whole."""

    def __init__(self, request: bytes, latencies: list[float], until: float) -> None:
        self._request = request
        self._latencies = latencies
        self._until = until
        self._received = b""
        self._sent_at = 0.0
        self._transport: asyncio.Transport
        self.done = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._ask()

    def data_received(self, data: bytes) -> None:
        self._received += data
        head, _, body = self._received.partition(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length:")[2].partition(b"\r")[0] or 0)
        if len(body) < length:
            return
        assert head.startswith(b"HTTP/1.1 200"), head
        now = time.perf_counter()
        self._latencies.append(now - self._sent_at)
        self._received = b""
        if now < self._until:
            self._ask()
        else:
            self._transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.done.done():
            self.done.set_result(None)

    def _ask(self) -> None:
        self._sent_at = time.perf_counter()
        self._transport.write(self._request)


async def ask(port: int, path: str, connections: int, seconds: float, headers: Sequence[str] = ()) -> list[float]:
    """Ask for `seconds`, each time with those headers; return how long each answer took."""
    hosts = [] if any(header.startswith("Host:") for header in headers) else [f"Host: 127.0.0.1:{port}"]
    lines = [f"POST {path} HTTP/1.1", *hosts, f"Content-Length: {len(BODY)}", *headers]
    request = "\r\n".join([*lines, "", ""]).encode() + BODY
    latencies: list[float] = []
    until = time.perf_counter() + seconds
    loop = asyncio.get_running_loop()
    made = [
        await loop.create_connection(lambda: _Asker(request, latencies, until), "127.0.0.1", port)
        for _ in range(connections)
    ]
    await asyncio.gather(*(asker.done for _, asker in made))
    return latencies


if __name__ == "__main__":
    port, path, connections, seconds, *headers = sys.argv[1:]
    found = uvloop.run(ask(int(port), path, int(connections), float(seconds), headers))
    sys.stdout.write("".join(f"{latency}\n" for latency in found))

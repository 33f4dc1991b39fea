"""An HTTP client that does nothing but ask: keep-alive connections, one request at a time on each.

Runs in a process of its own, `python -m benchmarks.http_load PORT PATH CONNECTIONS SECONDS [HEADER: VALUE ...]`, so
that the server under test shares its event loop with nobody; prints an `Asked` as JSON.
"""

import asyncio
import statistics
import sys
import time
from collections.abc import Sequence
from typing import cast

import msgspec
import uvloop

from benchmarks.processor_time import Uses, below

BODY = b'{"hello":"world"}'


class Asked(msgspec.Struct, frozen=True):
    """What became of a load."""

    seconds: float
    latencies: list[float]
    """In seconds, of each answer."""
    processor_s: float
    """What the asking itself has used."""
    engine_s: float = 0.0
    """What the process that was asked has used meanwhile, and, next, those below it: see `load`."""
    environments_s: float = 0.0

    @property
    def rate(self) -> float:
        """Answers a second."""
        return len(self.latencies) / self.seconds

    def percentile_ms(self, percent: int) -> float:
        """The latency that so many percent of the answers did not exceed."""
        return statistics.quantiles(self.latencies, n=100, method="inclusive")[percent - 1] * 1_000

    def us_each(self, processor_s: float) -> float:
        """Processor time by answer."""
        return processor_s / len(self.latencies) * 1_000_000


async def load(
    port: int, path: str, connections: int, seconds: float, headers: Sequence[str] = (), pid: int | None = None
) -> Asked:
    """Ask from a process of its own, which takes as long to end as to begin; `pid` is who answers."""
    arguments = ["-m", "benchmarks.http_load", str(port), path, str(connections), str(seconds), *headers]
    before = (Uses([pid]), Uses(below(pid))) if pid is not None else None
    process = await asyncio.create_subprocess_exec(
        sys.executable, *arguments, stdout=asyncio.subprocess.PIPE, limit=1 << 26
    )
    output, _ = await process.communicate()
    assert process.returncode == 0, "the client failed; what it says is above"
    asked = msgspec.json.decode(output, type=Asked)
    if pid is None or before is None:
        return asked
    engine_s, environments_s = Uses([pid]).since(before[0]), Uses(below(pid)).since(before[1])
    return msgspec.structs.replace(asked, engine_s=engine_s, environments_s=environments_s)


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


async def ask(port: int, path: str, connections: int, seconds: float, headers: Sequence[str] = ()) -> Asked:
    """Ask for `seconds`, each time with those headers."""
    hosts = [] if any(header.startswith("Host:") for header in headers) else [f"Host: 127.0.0.1:{port}"]
    lines = [f"POST {path} HTTP/1.1", *hosts, f"Content-Length: {len(BODY)}", *headers]
    request = "\r\n".join([*lines, "", ""]).encode() + BODY
    latencies: list[float] = []
    begun, until = time.process_time(), time.perf_counter() + seconds
    loop = asyncio.get_running_loop()
    made = [
        await loop.create_connection(lambda: _Asker(request, latencies, until), "127.0.0.1", port)
        for _ in range(connections)
    ]
    await asyncio.gather(*(asker.done for _, asker in made))
    return Asked(seconds, latencies, time.process_time() - begun)


if __name__ == "__main__":
    port, path, connections, seconds, *headers = sys.argv[1:]
    found = uvloop.run(ask(int(port), path, int(connections), float(seconds), headers))
    sys.stdout.buffer.write(msgspec.json.encode(found))

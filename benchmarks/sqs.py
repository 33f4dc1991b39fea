"""SQS through the front door: send, receive, delete and batches a second, every send and delete fsynced.

The peer is moto's server (in memory, no fsync), measured in the same run by the same client; the disk's own fsyncs
a second are the limit of one caller that sends one message at a time.

    python -m benchmarks.sqs [--json FILE]
"""

import asyncio
import itertools
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.report import Report, main

BODY = "x" * 200
CALLERS = (1, 32)
MEASURE_S = 1.5  # a phase: enough for thousands of calls of ours, and hundreds of moto's
SYNC_S = 1.0
START_S_MAX = 30.0
ACCOUNT = "123456789012"
SERVER = [sys.executable, "-m", "benchmarks.sqs_server"]
MOTO = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p"]

Operate = Callable[["Connection"], Awaitable[int]]


@dataclass
class Connection:
    """One keep-alive connection that speaks just enough of AWS's JSON protocol: the server is measured, not it."""

    address: tuple[str, int]
    target: str = "AmazonSQS"
    service: str = "sqs"
    json_version: str = "1.0"
    reader: asyncio.StreamReader | None = None
    writer: asyncio.StreamWriter | None = None

    async def call(self, operation: str, **parameters: object) -> dict[str, Any]:
        """Ask, and read the answer; raises on anything but 200."""
        body = json.dumps(parameters).encode()
        head = (
            f"POST / HTTP/1.1\r\nHost: {self.address[0]}:{self.address[1]}\r\n"
            f"X-Amz-Target: {self.target}.{operation}\r\n"
            f"Content-Type: application/x-amz-json-{self.json_version}\r\nX-Amz-Date: 20260101T000000Z\r\n"
            f"Authorization: AWS4-HMAC-SHA256 Credential=test/20260101/us-east-1/{self.service}/aws4_request, "
            f"SignedHeaders=host, Signature=0\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        if self.writer is None or self.reader is None:
            self.reader, self.writer = await asyncio.open_connection(*self.address)
        self.writer.write(head.encode() + body)
        answer = await self.reader.readuntil(b"\r\n\r\n")
        headers = answer.decode("latin-1").lower()
        length = int(headers.partition("content-length:")[2].partition("\r\n")[0] or "-1")
        data = await (self.reader.readexactly(length) if length >= 0 else self.reader.read())
        if "connection: close" in headers or headers.startswith("http/1.0"):
            self.close()
        if b" 200 " not in answer[:16]:
            raise RuntimeError(f"{operation}: {answer[:80]!r} {data[:300]!r}")
        return dict(json.loads(data)) if data else {}

    def close(self) -> None:
        """Let go; the next call connects again."""
        if self.writer is not None:
            self.writer.close()
        self.reader = self.writer = None


@dataclass
class Bench:
    """One server's queue, and the figures of its phases."""

    address: tuple[str, int]
    queue_url: str = ""
    handles: list[str] = field(default_factory=list)
    rates: dict[str, float] = field(default_factory=dict)

    async def run(self) -> None:
        """Measure every phase at every number of callers."""
        first = Connection(self.address)
        self.queue_url = (await first.call("CreateQueue", QueueName="bench"))["QueueUrl"]
        first.close()
        for callers in CALLERS:
            await self.phase("send", callers, self.send)
            await self.phase("receive", callers, self.receive)
            await self.phase("delete", callers, self.delete)
            await self.phase("send-batch of 10", callers, self.send_batch)

    async def phase(self, name: str, callers: int, operate: Operate) -> None:
        """Let the callers operate as fast as they can for a while, or until there is nothing left to do."""
        stop_at = time.perf_counter() + MEASURE_S
        done = 0

        async def caller() -> None:
            nonlocal done
            connection = Connection(self.address)
            while time.perf_counter() < stop_at:
                count = await operate(connection)
                done += count
                if not count:
                    break
            connection.close()

        started = time.perf_counter()
        await asyncio.gather(*(caller() for _ in range(callers)))
        self.rates[_measure(name, callers)] = done / (time.perf_counter() - started)

    async def send(self, connection: Connection) -> int:
        await connection.call("SendMessage", QueueUrl=self.queue_url, MessageBody=BODY)
        return 1

    async def receive(self, connection: Connection) -> int:
        """One message a call, as a poller with a batch size of one."""
        answer = await connection.call("ReceiveMessage", QueueUrl=self.queue_url, VisibilityTimeout=600)
        messages = answer.get("Messages", [])
        self.handles += [message["ReceiptHandle"] for message in messages]
        return len(messages)

    async def delete(self, connection: Connection) -> int:
        if not self.handles:
            return 0
        await connection.call("DeleteMessage", QueueUrl=self.queue_url, ReceiptHandle=self.handles.pop())
        return 1

    async def send_batch(self, connection: Connection) -> int:
        entries = [{"Id": str(number), "MessageBody": BODY} for number in range(10)]
        await connection.call("SendMessageBatch", QueueUrl=self.queue_url, Entries=entries)
        return len(entries)


async def run(report: Report) -> None:
    """Measure the disk, moto, and ourselves."""
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as folder:
        peer = await measured([*MOTO, str(free_port())], None)
        syncs = syncs_per_second(Path(folder))
        report.add("fsync of an appended 300 B", syncs, "/s")
        ours = await measured([*SERVER, str(free_port()), folder], folder)
    for measure, rate in ours.rates.items():
        peer_rate = peer.rates[measure]
        report.add(measure, rate, "messages/s", f"moto {peer_rate:,.0f}/s", rate / peer_rate)
        if measure == _measure("send", 1):
            report.add("send, 1 caller, of the disk's fsyncs", rate, "/s", f"disk {syncs:,.0f}/s", rate / syncs)


async def measured(command: list[str], folder: str | None) -> Bench:
    """Run a server in its own process, measure it, and end it."""
    port = int(command[len(MOTO)] if folder is None else command[len(SERVER)])
    with process(command):
        await accepts(port)
        bench = Bench(("127.0.0.1", port))
        await bench.run()
        return bench


@contextmanager
def process(command: list[str]) -> Iterator[None]:
    """Keep a child running while the body does."""
    child = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield
    finally:
        child.terminate()
        child.wait()


async def accepts(port: int) -> None:
    """Wait until the server does."""
    async with asyncio.timeout(START_S_MAX):
        for _ in itertools.count():
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
            except OSError:
                await asyncio.sleep(0.05)
            else:
                writer.close()
                return


def free_port() -> int:
    """Find a port that nobody uses just now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def syncs_per_second(folder: Path) -> float:
    """Append a little and fdatasync, over and over."""
    descriptor = os.open(folder / "syncs", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    started = time.perf_counter()
    count = 0
    while time.perf_counter() - started < SYNC_S:
        os.write(descriptor, b"x" * 300)
        os.fdatasync(descriptor)
        count += 1
    os.close(descriptor)
    return count / (time.perf_counter() - started)


def _measure(name: str, callers: int) -> str:
    return f"{name}, {callers} caller{'s' if callers > 1 else ''}"


if __name__ == "__main__":
    main("sqs", run)

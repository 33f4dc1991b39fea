"""SQS through the front door: send, receive and delete a second, of standard and FIFO queues; all of ours fsynced.

The peer is moto's server, and with `--peers` ministack and ElasticMQ too (fetched into a temporary environment, and
into the Maven repository). They keep messages in memory; all are measured in the same run by the same client, and
ours is compared with the fastest. The disk's own fsyncs a second are the limit of one caller that sends one message
at a time.

    python -m benchmarks.sqs [--peers] [--json FILE]
"""

import asyncio
import itertools
import json
import os
import tempfile
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.report import Report, main
from benchmarks.sqs_servers import Address, Running, Server, elasticmq, ministack, moto, ours

BODY = "x" * 200
CALLERS = (1, 32)
MEASURE_S = 1.5  # a phase: enough for thousands of calls of ours, and hundreds of moto's
SYNC_S = 1.0
GROUPS = 64  # more than callers, so that nobody waits for a group

Operate = Callable[["Connection"], Awaitable[int]]


@dataclass
class Connection:
    """One keep-alive connection that speaks just enough of AWS's JSON protocol: the server is measured, not it."""

    address: Address
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
    """One server's queues, and the figures of their phases."""

    server: Running
    queue_url: str = ""
    fifo_url: str = ""
    handles: list[str] = field(default_factory=list)
    rates: dict[str, float] = field(default_factory=dict)
    cpu_us: dict[str, float] = field(default_factory=dict)
    """The server's CPU time for a message, which a crowded machine leaves alone."""
    numbers: "itertools.count[int]" = field(default_factory=itertools.count)

    async def run(self) -> None:
        """Measure every phase at every number of callers."""
        first = Connection(self.server.address)
        self.queue_url = (await first.call("CreateQueue", QueueName="bench"))["QueueUrl"]
        attributes = {"FifoQueue": "true"}
        self.fifo_url = (await first.call("CreateQueue", QueueName="bench.fifo", Attributes=attributes))["QueueUrl"]
        first.close()
        for callers in CALLERS:
            await self.phase("send", callers, self.send)
            await self.phase("receive", callers, self.receive)
            await self.phase("delete", callers, self.delete)
            await self.phase("send-batch of 10", callers, self.send_batch)
            await self.phase("FIFO send", callers, self.send_in_order)
            await self.phase("FIFO receive and delete", callers, self.consume_in_order)

    async def phase(self, name: str, callers: int, operate: Operate) -> None:
        """Let the callers operate as fast as they can for a while, or until there is nothing left to do."""
        stop_at = time.perf_counter() + MEASURE_S
        done = 0

        async def caller() -> None:
            nonlocal done
            connection = Connection(self.server.address)
            while time.perf_counter() < stop_at:
                count = await operate(connection)
                done += count
                if not count:
                    break
            connection.close()

        started, cpu_before_s = time.perf_counter(), self.server.cpu_s()
        await asyncio.gather(*(caller() for _ in range(callers)))
        measure = _measure(name, callers)
        self.rates[measure] = done / (time.perf_counter() - started)
        self.cpu_us[measure] = (self.server.cpu_s() - cpu_before_s) * 1_000_000 / max(done, 1)

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

    async def send_in_order(self, connection: Connection) -> int:
        number = next(self.numbers)
        await connection.call(
            "SendMessage",
            QueueUrl=self.fifo_url,
            MessageBody=BODY,
            MessageGroupId=f"group-{number % GROUPS}",
            MessageDeduplicationId=str(number),
        )
        return 1

    async def consume_in_order(self, connection: Connection) -> int:
        """One message a round: received, and deleted, so that its group goes on."""
        answer = await connection.call("ReceiveMessage", QueueUrl=self.fifo_url, VisibilityTimeout=600)
        messages = answer.get("Messages", [])
        for message in messages:
            await connection.call("DeleteMessage", QueueUrl=self.fifo_url, ReceiptHandle=message["ReceiptHandle"])
        return len(messages)


async def run(report: Report) -> None:
    """Measure the disk, the peers, and ourselves."""
    peers: dict[str, Bench] = {"moto": await measured(moto())}
    if report.with_peers:
        peers["ministack"] = await measured(ministack())
        peers["ElasticMQ"] = await measured(await elasticmq())
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as folder:
        syncs = syncs_per_second(Path(folder))
        report.add("fsync of an appended 300 B", syncs, "/s")
        bench = await measured(ours(Path(folder)))
    for measure, rate in bench.rates.items():
        beside = ", ".join(f"{name} {peer.rates[measure]:,.0f}/s" for name, peer in peers.items())
        fastest = max(peer.rates[measure] for peer in peers.values())
        report.add(measure, rate, "messages/s", beside, rate / fastest)
        if measure == _measure("send", 1):
            report.add("send, 1 caller, of the disk's fsyncs", rate, "/s", f"disk {syncs:,.0f}/s", rate / syncs)
    for measure in (measure for measure in bench.cpu_us if measure.endswith(f"{CALLERS[-1]} callers")):
        beside = ", ".join(f"{name} {peer.cpu_us[measure]:,.0f} µs" for name, peer in peers.items())
        least = min(peer.cpu_us[measure] for peer in peers.values())
        cpu_us = bench.cpu_us[measure]
        report.add(f"CPU of a message: {measure}", cpu_us, "µs", beside, cpu_us / least if least else None)


async def measured(server: Server) -> Bench:
    """Run a server in its own process, measure it, and end it."""
    async with server as running:
        bench = Bench(running)
        await bench.run()
        return bench


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
    main("sqs", run, has_peers=True)

"""A queue through a mapping to a function: 10,000 messages in batches of 10, to Python and to Node.js.

Each function tells the benchmark by a datagram which messages it has been given, so a message's way is timed from
just before it is sent to when it is handled, by one clock. A flood is sent as fast as the server takes it; then
messages are sent one by one, slower than they are handled. Of three rounds the one in the middle is told.

With `--peers` the same is done, in turns, to ministack, which runs functions without Docker. Not measured: moto's
server runs functions in Docker only, and ElasticMQ has none.

    python -m benchmarks.mappings [--peers] [--json FILE]
"""

import asyncio
import itertools
import json
import socket
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Set
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import Any
from zipfile import ZipFile, ZipInfo

import boto3
from botocore.config import Config

from benchmarks.report import Report, main
from benchmarks.sqs import Connection
from benchmarks.sqs_servers import ministack, serving
from workshape.cli.ports import free_ports

MESSAGES = 10_000
SENDERS = 16
BATCH_SIZE = 10
WARM_UP_S = 3.0
PACED, PACED_WAIT_S = 300, 0.01
ROUNDS = 3
HANDLED_S_MAX = 120.0
DATAGRAM_BUFFER_BYTES = 4 * 1024 * 1024
PEER, ACCOUNT = "ministack", "123456789012"
ENGINE = [sys.executable, "-m", "benchmarks.event_server"]
PYTHON, NODE = f"python{sys.version_info.major}.{sys.version_info.minor}", "nodejs22.x"

PYTHON_SOURCE = """
import json
import os
import socket

teller = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)


def handler(event, context):
    bodies = [record["body"] for record in event["Records"]]
    teller.sendto(json.dumps(bodies).encode(), ("127.0.0.1", int(os.environ["TOLD_AT"])))
"""
NODE_SOURCE = """
const teller = require("node:dgram").createSocket("udp4")
teller.unref()

exports.handler = async (event) => {
  const bodies = JSON.stringify(event.Records.map((record) => record.body))
  await new Promise((told) => teller.send(bodies, Number(process.env.TOLD_AT), "127.0.0.1", told))
}
"""
FUNCTIONS = {
    "Python": (PYTHON, "app.handler", "app.py", PYTHON_SOURCE),
    "Node.js": (NODE, "index.handler", "index.js", NODE_SOURCE),
}


class Handled(asyncio.DatagramProtocol):
    """Hears what has been handled, and when; the first time counts."""

    def __init__(self) -> None:
        self.at: dict[str, float] = {}
        self.deliveries = 0

    def datagram_received(self, data: bytes, addr: tuple[str | Any, int]) -> None:
        """Note messages as handled now."""
        now = time.perf_counter()
        for body in json.loads(data):
            self.at.setdefault(body, now)
            self.deliveries += 1


@dataclass
class Figures:
    """Of one round."""

    flood_s: float = 0.0
    flood_ms: list[float] = field(default_factory=list)
    paced_ms: list[float] = field(default_factory=list)


async def run(report: Report) -> None:
    """Measure ourselves, and the peer if asked, in turns: a crowded machine is unfair to both alike."""
    async with AsyncExitStack() as servers:
        folder = servers.enter_context(tempfile.TemporaryDirectory(dir=Path.cwd()))
        [port] = free_ports("127.0.0.1", 1)
        await servers.enter_async_context(serving([*ENGINE, str(port), folder], port))
        peer_port = (await servers.enter_async_context(ministack())).address[1] if report.with_peers else None
        for name in FUNCTIONS:
            ours = await opened(port, name)
            peer = await opened(peer_port, name) if peer_port is not None else None
            for _ in range(ROUNDS):
                for each in (ours, peer):
                    if each is not None:
                        await each.play()
            add(report, name, ours.median, peer.median if peer is not None else None)
            ours.close()
            if peer is not None:
                peer.close()


def add(report: Report, name: str, ours: Figures, peer: Figures | None) -> None:
    """Note a function's figures beside the peer's."""
    values: list[tuple[str, str, Callable[[Figures], float]]] = [
        ("flood", "messages/s", lambda figures: MESSAGES / figures.flood_s),
        ("flood, wall time", "s", lambda figures: figures.flood_s),
        ("flood, p50", "ms", lambda figures: statistics.median(figures.flood_ms)),
        ("flood, p99", "ms", lambda figures: p99(figures.flood_ms)),
        ("one by one, p50", "ms", lambda figures: statistics.median(figures.paced_ms)),
        ("one by one, p99", "ms", lambda figures: p99(figures.paced_ms)),
    ]
    for measure, unit, value in values:
        mine = value(ours)
        theirs = value(peer) if peer is not None else None
        told = f"{PEER} {theirs:,.1f} {unit}" if theirs is not None else ""
        report.add(f"{name}: {measure}", mine, unit, told, mine / theirs if theirs else None)


async def opened(port: int, name: str) -> "Way":
    """Make a queue, a function and a mapping, and let environments start."""
    loop = asyncio.get_running_loop()
    transport, handled = await loop.create_datagram_endpoint(Handled, local_addr=("127.0.0.1", 0))
    transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, DATAGRAM_BUFFER_BYTES)
    url = await asyncio.to_thread(make, port, name, transport.get_extra_info("sockname")[1])
    way = Way(url, transport, handled, [Connection(("127.0.0.1", port)) for _ in range(SENDERS)])
    await warmed_up(way.connections[0], url, handled)
    return way


@dataclass
class Way:
    """From a queue to a function, on one server."""

    url: str
    transport: asyncio.DatagramTransport
    handled: Handled
    connections: list[Connection]
    rounds: list[Figures] = field(default_factory=list)

    async def play(self) -> None:
        """Send a flood, then one message after the other."""
        figures = Figures()
        self.handled.at.clear()
        await flood(self.connections, self.url, self.handled, figures)
        await paced(self.connections[0], self.url, self.handled, figures)
        self.rounds.append(figures)

    @property
    def median(self) -> Figures:
        """The round in the middle, by the time that its flood took."""
        return sorted(self.rounds, key=lambda figures: figures.flood_s)[len(self.rounds) // 2]

    def close(self) -> None:
        """Let go of it."""
        self.transport.close()
        for connection in self.connections:
            connection.close()


def make(port: int, name: str, told_at: int) -> str:
    """Return the URL of a queue that is mapped to a function."""
    runtime, handler, file, source = FUNCTIONS[name]
    packed = BytesIO()
    with ZipFile(packed, "w") as archive:
        member = ZipInfo(file)
        member.external_attr = 0o644 << 16  # Lambda's user is another than ours
        archive.writestr(member, source)
    functions, sqs = client(port, "lambda"), client(port, "sqs")
    plain = name.lower().replace(".", "")
    functions.create_function(
        FunctionName=plain,
        Runtime=runtime,
        Handler=handler,
        Code={"ZipFile": packed.getvalue()},
        Role=f"arn:aws:iam::{ACCOUNT}:role/r",
        Timeout=20,
        MemorySize=1769,
        Environment={"Variables": {"TOLD_AT": str(told_at)}},
    )
    url: str = sqs.create_queue(QueueName=plain, Attributes={"VisibilityTimeout": "60"})["QueueUrl"]
    attributes = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]
    functions.create_event_source_mapping(
        EventSourceArn=attributes["QueueArn"], FunctionName=plain, BatchSize=BATCH_SIZE
    )
    return url


def client(port: int, service: str) -> Any:
    """A boto3 client, for what is not measured."""
    return boto3.client(
        service,  # type: ignore[call-overload]  # any service by its name
        endpoint_url=f"http://127.0.0.1:{port}",
        region_name="us-east-1",
        aws_access_key_id="test",
        aws_secret_access_key="test",
        config=Config(retries={"total_max_attempts": 1}),
    )


async def warmed_up(connection: Connection, url: str, handled: Handled) -> None:
    """Let environments start and the mapping find its pace."""
    deadline = time.perf_counter() + WARM_UP_S
    for number in itertools.count():
        await send(connection, url, [f"warm {number} {at}" for at in range(BATCH_SIZE)])
        await asyncio.sleep(PACED_WAIT_S)
        if time.perf_counter() > deadline and handled.at:
            break
        if time.perf_counter() > deadline + HANDLED_S_MAX:
            raise RuntimeError("nothing is handled")
    await all_handled(handled, {f"warm {one} {at}" for one in range(number + 1) for at in range(BATCH_SIZE)})
    handled.at.clear()


async def flood(connections: list[Connection], url: str, handled: Handled, figures: Figures) -> None:
    """Send everything as fast as it is taken."""
    numbers = iter(range(0, MESSAGES, BATCH_SIZE))
    sent: dict[str, float] = {}

    async def sender(connection: Connection) -> None:
        for first in numbers:
            bodies = [str(number) for number in range(first, first + BATCH_SIZE)]
            sent.update(dict.fromkeys(bodies, time.perf_counter()))
            await send(connection, url, bodies)

    started = time.perf_counter()
    await asyncio.gather(*(sender(connection) for connection in connections))
    await all_handled(handled, sent.keys())
    figures.flood_s = max(handled.at.values()) - started
    figures.flood_ms = [(handled.at[body] - at) * 1_000 for body, at in sent.items()]


async def paced(connection: Connection, url: str, handled: Handled, figures: Figures) -> None:
    """Send single messages with pauses."""
    sent: dict[str, float] = {}
    for number in range(PACED):
        body = f"paced {number}"
        sent[body] = time.perf_counter()
        await send(connection, url, [body])
        await asyncio.sleep(PACED_WAIT_S)
    await all_handled(handled, sent.keys())
    figures.paced_ms = [(handled.at[body] - at) * 1_000 for body, at in sent.items()]


async def send(connection: Connection, url: str, bodies: list[str]) -> None:
    """Send a batch."""
    entries = [{"Id": str(at), "MessageBody": body} for at, body in enumerate(bodies)]
    answer = await connection.call("SendMessageBatch", QueueUrl=url, Entries=entries)
    assert not answer.get("Failed"), answer


async def all_handled(handled: Handled, bodies: Set[str]) -> None:
    """Wait until they are, or for as long as anybody would."""
    deadline = time.perf_counter() + HANDLED_S_MAX
    while not handled.at.keys() >= set(bodies):
        if time.perf_counter() > deadline:
            raise RuntimeError(f"{len(set(bodies) - handled.at.keys())} messages are not handled")
        await asyncio.sleep(0.02)


def p99(values: list[float]) -> float:
    """The 99th of a hundred."""
    return statistics.quantiles(values, n=100)[98]


if __name__ == "__main__":
    main("mappings", run, has_peers=True)

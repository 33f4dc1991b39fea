"""Schedules and buses: how late a schedule's time comes, PutEvents a second, and from PutEvents to whom it is for.

The peer of a schedule's lateness is asyncio's own timer, in the same process, for the same times. The peer of PutEvents
is moto's server (in memory), of events on their way to a function Lambda's own asynchronous invocation here.

    python -m benchmarks.schedules [--json FILE]
"""

import asyncio
import io
import json
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import quantiles
from typing import Any

import boto3
from botocore.config import Config

from benchmarks.report import Report, main
from benchmarks.sqs import Connection
from benchmarks.sqs_servers import moto, serving
from workshape.cli.ports import free_ports
from workshape.clock import Clock
from workshape.events.schedule import At
from workshape.events.timer import Document, Timer
from workshape.events.timetable import Due, Plan
from workshape.store.documents import Documents

SERVER = [sys.executable, "-m", "benchmarks.event_server"]
REGION = "us-east-1"
ACCOUNT = "123456789012"
TIMES = 1_000
TIMES_S = 8.0  # over which they are spread
CALLERS = (1, 32)
MEASURE_S = 2.0
ROUND_TRIPS = 200
WAIT_S_MAX = 60.0
PATTERN = json.dumps({"source": ["bench"], "detail": {"kind": ["a", "b"], "n": [{"numeric": [">=", 0]}]}})
FUNCTION = """
import time
def handler(event, context):
    print(f"TOOK {time.time() - event['detail']['sent']:.6f}")
"""


async def run(report: Report) -> None:
    """Measure lateness, then both servers."""
    await lateness(report)
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as folder:
        async with moto() as running:
            peer = Bench(running.address)
            await peer.run()
        [port] = free_ports("127.0.0.1", 1)
        async with serving([*SERVER, str(port), folder], port) as running:
            ours = Bench(running.address)
            await ours.run()
            function = await asyncio.to_thread(to_function, f"http://127.0.0.1:{port}")
    for measure, rate in ours.rates.items():
        peer_rate = peer.rates[measure]
        report.add(measure, rate, "events/s", f"moto {peer_rate:,.0f}/s", rate / peer_rate)
    for name, position in (("p50", 50), ("p99", 99)):
        mine, theirs = percentile(ours.round_trips_ms, position), percentile(peer.round_trips_ms, position)
        report.add(f"PutEvents to message received, {name}", mine, "ms", f"moto {theirs:.1f} ms", mine / theirs)
    for name, position in (("p50", 50), ("p99", 99)):
        events, invokes = (percentile(function[kind], position) for kind in ("events", "invokes"))
        peer_text = f"asynchronous Invoke {invokes:.1f} ms"
        report.add(f"PutEvents to function, warm, {name}", events, "ms", peer_text, events / invokes)


# Lateness


async def lateness(report: Report) -> None:
    """Follow many single times, and wait for the same ones with bare timers."""
    late: dict[str, list[float]] = {"ours": [], "timer": []}
    clock = Clock()

    async def due(due: Sequence[Due], _marks: Sequence[Document]) -> None:
        now = clock.wall_s()
        late["ours"] += [(now - one.scheduled_at) * 1_000 for one in due]

    async def wait(at: float) -> None:
        await asyncio.sleep(at - clock.wall_s())
        late["timer"].append((clock.wall_s() - at) * 1_000)

    with tempfile.TemporaryDirectory() as folder:
        store = Documents(Path(folder) / "store.sqlite")
        timer = Timer(store, "bench-fired", clock, due)
        begin = clock.wall_s() + 1.0
        times = [begin + number * TIMES_S / TIMES for number in range(TIMES)]
        for number, at in enumerate(times):
            timer.follow(str(number), Plan(At(at), begin), begin - 1.0, at)
        running = asyncio.create_task(timer.run())
        await asyncio.gather(*(wait(at) for at in times))
        async with asyncio.timeout(WAIT_S_MAX):
            while len(late["ours"]) < TIMES:
                await asyncio.sleep(0.01)
        running.cancel()
        store.close()
    for name, position in (("p50", 50), ("p99", 99)):
        ours, peer = percentile(late["ours"], position), percentile(late["timer"], position)
        report.add(f"a schedule's lateness, {name}", ours, "ms", f"asyncio.sleep {peer:.2f} ms", ours / peer)
    report.add("a schedule's lateness, least", min(late["ours"]), "ms", "never before its time: 0")


# PutEvents


@dataclass
class Bench:
    """One server's bus with a rule and a queue, and the figures of its phases."""

    address: tuple[str, int]
    queue_url: str = ""
    rates: dict[str, float] = field(default_factory=dict)
    round_trips_ms: list[float] = field(default_factory=list)

    async def run(self) -> None:
        """Measure PutEvents at every number of callers, then one event at a time to its queue."""
        queues, bus = Connection(self.address), self.bus()
        self.queue_url = (await queues.call("CreateQueue", QueueName="bench"))["QueueUrl"]
        await bus.call("PutRule", Name="bench", EventPattern=PATTERN)
        arn = f"arn:aws:sqs:{REGION}:{ACCOUNT}:bench"
        await bus.call("PutTargets", Rule="bench", Targets=[{"Id": "q", "Arn": arn}])
        for _ in range(ROUND_TRIPS):
            await self.round_trip(queues, bus)
        for callers in CALLERS:
            await self.phase("PutEvents", callers, 1)
            await self.phase("PutEvents of 10", callers, 10)
        queues.close()
        bus.close()

    def bus(self) -> Connection:
        """Connect as a client of EventBridge."""
        return Connection(self.address, "AWSEvents", "events", "1.1")

    async def phase(self, name: str, callers: int, entries: int) -> None:
        """Let the callers put events that match as fast as they can for a while."""
        stop_at = time.perf_counter() + MEASURE_S
        done = 0

        async def caller() -> None:
            nonlocal done
            connection = self.bus()
            while time.perf_counter() < stop_at:
                await connection.call("PutEvents", Entries=[entry()] * entries)
                done += entries
            connection.close()

        started = time.perf_counter()
        await asyncio.gather(*(caller() for _ in range(callers)))
        rate = done / (time.perf_counter() - started)
        self.rates[f"{name}, {callers} caller{'s' if callers > 1 else ''}"] = rate

    async def round_trip(self, queues: Connection, bus: Connection) -> None:
        """Put an event, and receive it as a message."""
        started = time.perf_counter()
        await bus.call("PutEvents", Entries=[entry()])
        messages: list[dict[str, Any]] = []
        while not messages:
            answer = await queues.call("ReceiveMessage", QueueUrl=self.queue_url, WaitTimeSeconds=5)
            messages = answer.get("Messages", [])
        self.round_trips_ms.append((time.perf_counter() - started) * 1_000)
        await queues.call("DeleteMessage", QueueUrl=self.queue_url, ReceiptHandle=messages[0]["ReceiptHandle"])


def entry() -> dict[str, str]:
    """An event that the rule takes."""
    detail = {"kind": "a", "n": 1, "sent": time.time()}
    return {"Source": "bench", "DetailType": "Bench", "Detail": json.dumps(detail)}


# To a function


def to_function(endpoint: str) -> dict[str, list[float]]:
    """Send one event at a time to a warm function, through a rule and by asynchronous Invoke; milliseconds each."""
    functions, events, logs = (client(service, endpoint) for service in ("lambda", "events", "logs"))
    code = io.BytesIO()
    with zipfile.ZipFile(code, "w") as archive:
        file = zipfile.ZipInfo("app.py")
        file.external_attr = 0o644 << 16
        archive.writestr(file, FUNCTION)
    runtime = f"python{sys.version_info.major}.{sys.version_info.minor}"
    role = f"arn:aws:iam::{ACCOUNT}:role/r"
    found: dict[str, list[float]] = {}
    for name in ("events", "invokes"):
        functions.create_function(
            FunctionName=name,
            Runtime=runtime,
            Handler="app.handler",
            Role=role,
            Code={"ZipFile": code.getvalue()},
            MemorySize=1_769,
        )
    events.put_rule(Name="to-function", EventPattern=json.dumps({"source": ["to-function"]}))
    arn = f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:events"
    events.put_targets(Rule="to-function", Targets=[{"Id": "f", "Arn": arn}])

    def put() -> None:
        events.put_events(Entries=[{**entry(), "Source": "to-function"}])

    def invoke() -> None:
        payload = json.dumps({"detail": {"sent": time.time()}})
        functions.invoke(FunctionName="invokes", InvocationType="Event", Payload=payload)

    for name, send in (("events", put), ("invokes", invoke)):
        found[name] = one_by_one(send, lambda name=name: lateness_logged(logs, name))  # type: ignore[misc]
    return found


def one_by_one(send: Callable[[], None], logged: Callable[[], list[float]]) -> list[float]:
    """Send, and wait until that is logged, over and over; the first ones warm up."""
    deadline = time.monotonic() + WAIT_S_MAX
    for count in range(1, ROUND_TRIPS // 4 + 11):
        send()
        while len(logged()) < count:
            assert time.monotonic() < deadline, "the function was not invoked"
            time.sleep(0.005)
    return logged()[10:]


def lateness_logged(logs: Any, function: str) -> list[float]:
    """What a function wrote so far, in milliseconds."""
    try:
        page = logs.filter_log_events(logGroupName=f"/aws/lambda/{function}", filterPattern="TOOK")
    except logs.exceptions.ResourceNotFoundException:
        return []
    return [float(event["message"].split()[-1]) * 1_000 for event in page["events"]]


def client(service: str, endpoint: str) -> Any:
    """A boto3 client of ours."""
    return boto3.client(
        service,  # type: ignore[call-overload]  # any service by its name
        endpoint_url=endpoint,
        region_name=REGION,
        aws_access_key_id="anybody",
        aws_secret_access_key="anything",
        config=Config(retries={"max_attempts": 0}),
    )


def percentile(values: list[float], position: int) -> float:
    """A percentile."""
    return quantiles(values, n=100, method="inclusive")[position - 1]


if __name__ == "__main__":
    main("schedules", run)

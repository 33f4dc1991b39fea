"""Scene 3, cold starts: one function, begun in each way there is, beside what is published of AWS.

Its init phase builds a client of AWS's SDK, as so many do. What is timed is from Invoke to the function's first line.
An environment is new after its function has changed, or, of a version, when the ones before it are busy: then each call
holds its own until all have been sent.
"""

import base64
import json
import re
import statistics
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from io import BytesIO
from typing import Any
from zipfile import ZipFile, ZipInfo

from examples.demo.platform import DemoError, Platform
from workshape.shape.lifecycle import INIT_DURATIONS, INIT_SOURCE

RUNTIME = f"python3.{min(max(sys.version_info.minor, 12), 14)}"
"""SnapStart begins with 3.12."""
MEMORY_MB = 1_769  # a whole core: a smaller function has its share of one, and this is not about that
READY_S_MAX = 60.0
SETTLE_S = 0.15  # between two starts, so that none has to share the machine with what the one before has left to do
SNAP_START_SOURCE = "https://docs.aws.amazon.com/lambda/latest/dg/snapstart.html"
CODE = """
import time
import boto3

CLIENT = boto3.client("sqs")

def handler(event, context):
    at = time.time()
    time.sleep(max(0.0, event["until"] - at))
    return at
"""
_TOLD = re.compile(r"\t(Init|Restore) Duration: ([\d.]+) ms")


@dataclass(frozen=True, slots=True)
class Way:
    """One way for an environment to begin."""

    title: str
    function: str
    qualifier: str
    starts: int
    published: str
    """What is known of AWS."""
    source: str

    @property
    def is_awaited(self) -> bool:
        """Somebody waits for its beginning."""
        return self.qualifier == "$LATEST" or self.function == "snap-start"


_IDLE = f"p50 {INIT_DURATIONS[RUNTIME].p50_ms:.0f} ms if it does nothing"
WAYS = (
    Way("executed from nothing", "executed", "$LATEST", 3, _IDLE, INIT_SOURCE),
    Way("from a process that waits", "plain", "$LATEST", 3, _IDLE, INIT_SOURCE),
    Way("restored (SnapStart)", "snap-start", "1", 8, "as low as sub-second", SNAP_START_SOURCE),
    Way("provisioned", "plain", "1", 2, "double-digit milliseconds", SNAP_START_SOURCE),
)
WARM = Way("warm", "plain", "1", 20, "-", "")
PROVISIONED = 2
_FUNCTIONS: dict[str, dict[str, Any]] = {
    # Python reads this as it starts, so that no process that has started already will do.
    "executed": {"Environment": {"Variables": {"PYTHONUNBUFFERED": "1"}}},
    "plain": {"Publish": True},
    "snap-start": {"SnapStart": {"ApplyOn": "PublishedVersions"}, "Publish": True},
}


@dataclass(frozen=True, slots=True)
class Starts:
    """How environments began in one way. Milliseconds."""

    title: str
    waited_ms: Sequence[float]
    """From Invoke to the function's first line."""
    reported_ms: Sequence[float]
    """The Init or Restore Duration of the REPORT lines; none where that was over before anybody called."""
    published: str
    source: str

    @property
    def waited_p50_ms(self) -> float:
        """What a caller sees."""
        return statistics.median(self.waited_ms)

    @property
    def reported_p50_ms(self) -> float | None:
        """What Lambda's log says; None: nothing, it was there already."""
        return statistics.median(self.reported_ms) if self.reported_ms else None

    def as_json(self) -> dict[str, object]:
        """Everything, with the medians."""
        return asdict(self) | {"waited_p50_ms": self.waited_p50_ms, "reported_p50_ms": self.reported_p50_ms}


def play(platform: Platform, progress: Callable[[str], None]) -> list[Starts]:
    """Begin environments in each way; `progress` hears which.

    Raises:
        DemoError: a version does not become active, or a function fails.
    """
    progress("a snapshot, and provisioned environments")
    with _functions(platform):
        played = []
        for way in WAYS:
            progress(way.title)
            begin = _change if way.qualifier == "$LATEST" else _hold
            played.append(_starts(way, begin(platform, way)))
        played.append(_starts(WARM, [_invoke(platform, WARM) for _ in range(WARM.starts)]))
    return played


def _change(platform: Platform, way: Way) -> Iterator[tuple[float, float | None]]:
    for _ in range(way.starts):
        platform.replace_environments(_name(way.function))
        time.sleep(SETTLE_S)
        yield _invoke(platform, way)


def _hold(platform: Platform, way: Way) -> Iterator[tuple[float, float | None]]:
    until = time.time() + (way.starts + 1) * SETTLE_S
    with ThreadPoolExecutor(way.starts) as callers:
        calls = []
        for _ in range(way.starts):
            calls.append(callers.submit(_invoke, platform, way, until))
            time.sleep(SETTLE_S)
        yield from (call.result() for call in calls)


def _starts(way: Way, told: Iterable[tuple[float, float | None]]) -> Starts:
    waited, reported = zip(*told, strict=True)
    awaited = [each for each in reported if each is not None] if way.is_awaited else []
    return Starts(way.title, waited, awaited, way.published, way.source)


def _invoke(platform: Platform, way: Way, until: float = 0.0) -> tuple[float, float | None]:
    sent = time.time()
    answer = platform.functions.invoke(
        FunctionName=_name(way.function),
        Qualifier=way.qualifier,
        Payload=json.dumps({"until": until}),
        LogType="Tail",
    )
    payload = json.loads(answer["Payload"].read())
    if "FunctionError" in answer:
        raise DemoError(f"the function of the cold starts failed: {payload}")
    found = _TOLD.search(base64.b64decode(answer["LogResult"]).decode())
    return (float(payload) - sent) * 1_000, float(found[2]) if found else None


@contextmanager
def _functions(platform: Platform) -> Iterator[None]:
    """Make them, have their versions ready, and remove them: nothing of them is part of the app."""
    archive = BytesIO()
    with ZipFile(archive, "w") as packed:
        entry = ZipInfo("app.py")
        entry.external_attr = 0o644 << 16
        packed.writestr(entry, CODE)
    common = {"Runtime": RUNTIME, "Handler": "app.handler", "Role": "arn:aws:iam::123456789012:role/demo"}
    try:
        for name, more in _FUNCTIONS.items():
            code, settings = {"ZipFile": archive.getvalue()}, {"Timeout": 30, "MemorySize": MEMORY_MB, **more}
            platform.functions.create_function(FunctionName=_name(name), Code=code, **common, **settings)
        _until_ready(platform)
        yield
    finally:
        for name in _FUNCTIONS:
            platform.functions.delete_function(FunctionName=_name(name))


def _until_ready(platform: Platform) -> None:
    snapshot, plain = (
        {"FunctionName": _name("snap-start"), "Qualifier": "1"},
        {"FunctionName": _name("plain"), "Qualifier": "1"},
    )
    deadline = time.monotonic() + READY_S_MAX
    while (told := platform.functions.get_function_configuration(**snapshot))["State"] == "Pending":
        _wait(deadline, "a snapshot")
    if told["State"] != "Active":
        raise DemoError(f"there is no snapshot to start from: {told.get('StateReason')}")
    platform.functions.put_provisioned_concurrency_config(**plain, ProvisionedConcurrentExecutions=PROVISIONED)
    while platform.functions.get_provisioned_concurrency_config(**plain)["Status"] != "READY":
        _wait(deadline, "provisioned concurrency")


def _wait(deadline: float, what: str) -> None:
    if time.monotonic() > deadline:
        raise DemoError(f"there was no {what} within {READY_S_MAX:g} s; `workshape logs` may say why")
    time.sleep(0.05)


def _name(function: str) -> str:
    return f"cold-starts-{function}"

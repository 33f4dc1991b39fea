"""Cold starts, from Invoke to answer, with everything that a start has: sandbox, limits, imports, logs, records.

Every start is of a new environment of a revision that has started before, in the engine, without the front door
(benchmarks.invoke has that). `exec` starts everything from nothing; a hit finds a stem that waits, fitted to its
function, or to none when it is the first start of a revision; a row of starts in quick succession uses up what waits,
and what it finds at its end is a stem, a seed or neither; a miss has to fork, with nothing kept in stock. Beside the
executed ones stands the start of a plain interpreter in the same run; beside the others the executed one, and what is
aimed at. A function with an SDK client is initialised, and restored.

On a crowded machine a start waits for processors. What it costs them itself is in the rows of processor time: the
engine's own, that of the threads that this program has.
"""

import asyncio
import json
import os
import statistics
import sys
import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path

from benchmarks.bare_engine import bare_engine, engine_of_snapshots
from benchmarks.report import Report, main
from workshape.arn import function_arn
from workshape.clock import Clock
from workshape.functions.function_invoker import FunctionInvoker
from workshape.functions.invoker import Invoker
from workshape.functions.model import LATEST, FunctionName, FunctionVersion
from workshape.settings import FunctionSettings

STARTS = 200
STARTS_EXECUTED = 40
STARTS_FIRST = 100
RESTORES = 100
COPY_S = 0.15
"""Between two restores: copies of the snapshot wait again by then."""
BURST = 100
ROW = 8
ROWS = 25
BURST_HELD_S = 4.0
PYTHON = f"python{sys.version_info.major}.{sys.version_info.minor}"
NODE = "nodejs22.x"
REFILL_S = {PYTHON: 0.1, NODE: 0.5}
"""Between two starts: the stock fills up again once nothing was asked for 10 ms, and what is new takes its time."""
CODE = {
    "app.py": "import time\ndef handler(event, context):\n"
    "    at = time.time()\n    time.sleep(event.get('hold', 0))\n    return {'at': at}\n",
    "client.py": "import boto3\nCLIENT = boto3.client('sqs')\ndef handler(event, context):\n    return 1\n",
    "app.js": "exports.handler = async (event) => ({ at: Date.now() / 1000 });\n",
}


@dataclass(frozen=True, slots=True)
class _Start:
    took_ms: float
    processor_ms: float


async def run(report: Report) -> None:
    """Measure exec, hit and miss of both languages, then a burst."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        root.chmod(0o755)
        code = root / "code"
        code.mkdir()
        for name, text in CODE.items():
            (code / name).write_text(text)
        for runtime, plain in ((PYTHON, [sys.executable, "-c", ""]), (NODE, ["node", "-e", ""])):
            function = _function(runtime, code)
            bare = statistics.median(await _plain_ms(plain))
            executed = await _starts(
                root, FunctionSettings(start="exec", allow_substitute=True), function, STARTS_EXECUTED
            )
            _add(report, f"{runtime}, exec", executed, f"{' '.join(plain[:2])} {bare:.3g} ms", bare)
            exec_ms = statistics.median(start.took_ms for start in executed)
            peer = f"exec {exec_ms:.3g} ms"
            hits = await _starts(root, FunctionSettings(allow_substitute=True), function, STARTS)
            _add(report, f"{runtime}, stem hit", hits, peer, exec_ms)
            firsts = await _starts(
                root, FunctionSettings(allow_substitute=True), function, STARTS_FIRST, each_its_own=True
            )
            _add(report, f"{runtime}, stem hit, first start of a revision", firsts, peer, exec_ms)
            last = await _rows(root, function)
            _add(report, f"{runtime}, the last of {ROW} in a row", last, peer, exec_ms)
            if runtime == PYTHON:
                await _restores(report, root, code)
                misses = await _starts(root, FunctionSettings(stems=0, allow_substitute=True), function, STARTS)
                _add(report, f"{runtime}, stem miss", misses, peer, exec_ms)
        await _burst(report, root, _function(PYTHON, code))


async def _starts(
    root: Path, settings: FunctionSettings, function: FunctionVersion, count: int, *, each_its_own: bool = False
) -> list[_Start]:
    """Time so many starts, of one revision or of as many; the first is not counted: it finds nothing loaded."""
    starts = []
    async with bare_engine(root, settings) as invoker:
        for number in range(count + 1):
            revision = str(number) if each_its_own else function.revision
            starts.append(await _start(invoker, replace(function, revision=revision)))
            await asyncio.sleep(REFILL_S[function.runtime])
    return starts[1:]


async def _rows(root: Path, function: FunctionVersion) -> list[_Start]:
    """Time the last of so many starts one right after the other, again and again."""
    last = []
    async with bare_engine(root, FunctionSettings(allow_substitute=True)) as invoker:
        await _start(invoker, function)
        for _ in range(ROWS):
            await asyncio.sleep(REFILL_S[function.runtime] * ROW)
            for _ in range(ROW - 1):
                await _start(invoker, function)
            last.append(await _start(invoker, function))
    return last


async def _start(invoker: Invoker, function: FunctionVersion) -> _Start:
    invoke = _invoke(invoker, function)
    processor, started = time.process_time(), time.perf_counter()
    result = await invoke(function.name, None if function.version == LATEST else function.version, b"{}", "api")
    took_ms, processor_ms = (time.perf_counter() - started) * 1_000, (time.process_time() - processor) * 1_000
    assert result.function_error is None, result.payload
    invoker.retire(function.name, ())
    return _Start(took_ms, processor_ms)


async def _restores(report: Report, root: Path, code: Path) -> None:
    """Start a function with a built client of AWS's SDK: by its init phase, from stems, and by SnapStart's restore."""
    function = replace(_function(PYTHON, code), handler="client.handler")
    settings = FunctionSettings(allow_substitute=True)
    initialised = await _starts(root, settings, function, STARTS_EXECUTED)
    version = replace(function, version="1", snap_start=True)
    restored = []
    async with engine_of_snapshots(root, settings) as (invoker, keeper):
        failure = await keeper.take(version)
        assert failure is None, failure
        for _ in range(RESTORES):
            await asyncio.sleep(COPY_S)
            restored.append(await _start(invoker, version))
    p50 = statistics.median(start.took_ms for start in restored)
    stem_ms = statistics.median(start.took_ms for start in initialised)
    _add(report, f"{PYTHON} with an SDK client, stem hit", initialised, f"restored {p50:.3g} ms", p50)
    _add(report, f"{PYTHON} with an SDK client, restored", restored, f"stem hit {stem_ms:.3g} ms", stem_ms)
    report.add("the same", p50, "ms", "aim 2 ms", p50 / 2)


async def _burst(report: Report, root: Path, function: FunctionVersion) -> None:
    """Start so many environments at once; time until the last has its invocation, and weigh them."""
    async with bare_engine(root, FunctionSettings()) as invoker:
        invoke = _invoke(invoker, function)
        await invoke(function.name, None, b"{}", "api")
        invoker.retire(function.name, ())
        await asyncio.sleep(1)
        started = time.time()
        event = json.dumps({"hold": BURST_HELD_S}).encode()
        calls = [asyncio.create_task(invoke(function.name, None, event, "api")) for _ in range(BURST)]
        await asyncio.sleep(BURST_HELD_S - 0.5)
        pss_mb = statistics.mean(_pss_mb(view.pid) for view in invoker.environments() if view.pid is not None)
        results = await asyncio.gather(*calls)
        reached = [json.loads(result.payload)["at"] - started for result in results]
        report.add(
            f"{BURST} new {PYTHON} environments, the last is reached",
            max(reached),
            "s",
            "aim 1.2 s",
            max(reached) / 1.2,
        )
        report.add("memory of each of them (PSS)", pss_mb, "MB", "aim 6 MB", pss_mb / 6)


def _invoke(invoker: Invoker, function: FunctionVersion) -> FunctionInvoker:
    return FunctionInvoker(lambda _name, _qualifier: function, invoker, Clock())


def _pss_mb(pid: int) -> float:
    """Sum up what a process and its children hold, shared pages by their share."""
    pids = [pid, *(int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text().split())]
    rows = [line for each in pids for line in Path(f"/proc/{each}/smaps_rollup").read_text().splitlines()]
    return sum(int(line.split()[1]) for line in rows if line.startswith("Pss:")) / 1_024


async def _plain_ms(arguments: list[str]) -> list[float]:
    times = []
    for _ in range(STARTS_EXECUTED):
        started = time.perf_counter()
        process = await asyncio.create_subprocess_exec(*arguments)
        await process.wait()
        times.append((time.perf_counter() - started) * 1_000)
    return times


def _add(report: Report, name: str, starts: list[_Start], peer: str, peer_ms: float) -> None:
    times = [start.took_ms for start in starts]
    p50 = statistics.median(times)
    report.add(f"{name}, p50", p50, "ms", peer, p50 / peer_ms)
    report.add(f"{name}, p10", statistics.quantiles(times, n=10)[0], "ms")
    report.add(f"{name}, p99", statistics.quantiles(times, n=100)[98], "ms")
    report.add(f"{name}, engine's processor time", statistics.median(start.processor_ms for start in starts), "ms")


def _function(runtime: str, code: Path) -> FunctionVersion:
    arn = function_arn("us-east-1", "123456789012", "f")
    return FunctionVersion(FunctionName("f"), LATEST, arn, runtime, "app.handler", str(code), 1_769, 60, "1")


if __name__ == "__main__":
    if os.geteuid() != 0:
        print("not root: without a sandbox", file=sys.stderr)
    main("cold_start", run)

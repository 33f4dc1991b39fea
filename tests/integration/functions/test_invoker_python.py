"""The invoker with real Python environments."""

import asyncio
import contextlib
import json
import sys
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from tests.fakes.live_functions import Gate
from workshape.clock import Clock
from workshape.functions.function_invoker import FunctionInvoker
from workshape.functions.function_metrics import FunctionMetrics
from workshape.functions.invoker import Invoker
from workshape.functions.launch.process import ProcessLauncher
from workshape.functions.logs import FunctionLogs
from workshape.functions.model import LATEST, FunctionName, FunctionVersion, InvocationRequest, InvocationResult
from workshape.functions.records import RecordWriter
from workshape.settings import FunctionSettings

CODE = """
import os, socket, subprocess, time, uuid

ME = str(uuid.uuid4())

def handler(event, context):
    print("saw", event.get("say"))
    if "boom" in event:
        raise ValueError(event["boom"])
    if "exit" in event:
        os._exit(event["exit"])
    if "child" in event:
        subprocess.Popen(["sleep", event["child"]])
    if "gate" in event:
        with socket.create_connection(("127.0.0.1", event["gate"])) as gate:
            gate.recv(1)
    time.sleep(event.get("sleep", 0))
    return {"me": ME, "deadline_ms": context.get_remaining_time_in_millis()}
"""


@dataclass
class Engine:
    """An invoker with the machine's own Python."""

    invoker: Invoker
    function: FunctionVersion
    logs: FunctionLogs

    async def __call__(self, tail: bool = False, **event: object) -> InvocationResult:
        invoke = FunctionInvoker(lambda _name, _qualifier: self.function, self.invoker, Clock())
        return await invoke.invoke(InvocationRequest("f", None, json.dumps(event).encode(), "api", log_tail=tail))


@pytest.fixture
async def engine(tmp_path: Path) -> AsyncIterator[Engine]:
    code = tmp_path / "code"
    code.mkdir()
    code.joinpath("app.py").write_text(CODE)
    code.joinpath("broken.py").write_text("import a_module_that_is_not_there\n")
    runtime = f"python{sys.version_info.major}.{sys.version_info.minor}"
    arn = "arn:aws:lambda:us-east-1:0:function:f"
    function = FunctionVersion(FunctionName("f"), LATEST, arn, runtime, "app.handler", str(code), 128, 3, "1")
    settings = FunctionSettings(allow_substitute=True)
    launcher = ProcessLauncher(tmp_path / "launch", settings)
    logs, records = FunctionLogs(tmp_path / "logs"), RecordWriter(tmp_path / "records")
    invoker = Invoker(
        settings=settings,
        clock=Clock(),
        launcher=launcher,
        logs=logs,
        records=records,
        metrics=FunctionMetrics(),
        variables=lambda _function: {"AWS_REGION": "us-east-1"},
        reserved=lambda _name: None,
        reserved_total=lambda: 0,
    )
    yield Engine(invoker, function, logs)
    await invoker.close()
    await launcher.close()
    logs.close()
    records.close()


async def test_an_environment_is_reused_and_more_run_side_by_side(engine: Engine) -> None:
    engine.function = replace(engine.function, timeout_s=60)
    first, second = await engine(), await engine()
    async with Gate() as gate:
        calls = [asyncio.create_task(engine(gate=gate.port)) for _ in range(4)]
        async with asyncio.timeout(30):
            while len([view for view in engine.invoker.environments() if view.state == "busy"]) < 4:
                await asyncio.sleep(0.005)
        gate.open()
        burst = await asyncio.gather(*calls)

    assert json.loads(first.payload)["me"] == json.loads(second.payload)["me"]
    assert len({json.loads(result.payload)["me"] for result in burst}) == 4
    assert 30_000 < json.loads(first.payload)["deadline_ms"] <= 60_000


async def test_the_log_tail_has_the_functions_lines_between_lambdas(engine: Engine) -> None:
    result = await engine(tail=True, say="hello")

    start, output, end, report = result.log_tail.decode().splitlines()
    assert start == f"START RequestId: {result.request_id} Version: $LATEST"
    assert output == "saw hello"
    assert end == f"END RequestId: {result.request_id}"
    assert report.startswith(f"REPORT RequestId: {result.request_id}\tDuration: ")


async def test_an_exception_is_the_functions_error_and_its_environment_lives_on(engine: Engine) -> None:
    failed, fine = await engine(boom="oh"), await engine()

    error = json.loads(failed.payload)
    assert failed.function_error == "Unhandled"
    assert (error["errorType"], error["errorMessage"], error["requestId"]) == ("ValueError", "oh", failed.request_id)
    assert fine.function_error is None
    assert [view.invocations for view in engine.invoker.environments()] == [2]


async def test_an_exit_gives_its_status_and_the_next_invocation_a_new_environment(engine: Engine) -> None:
    exited, fine = await engine(exit=3), await engine()

    assert json.loads(exited.payload) == {
        "errorType": "Runtime.ExitError",
        "errorMessage": f"RequestId: {exited.request_id} Error: Runtime exited with error: exit status 3",
    }
    assert fine.function_error is None


async def test_the_log_says_when_an_environment_begins_and_how_its_runtime_ended(engine: Engine) -> None:
    exited = await engine(tail=True, exit=3)

    _, said, _, report = exited.log_tail.decode().splitlines()
    assert said == "saw None"
    assert report.endswith("\tStatus: error\tError Type: Runtime.ExitError")
    first = engine.logs.tail(engine.function.name, 100)[0].message
    version = engine.function.runtime.replace("python", "python:")
    assert first.startswith(f"INIT_START Runtime Version: {version}.v1\t")


async def test_a_function_without_a_program_fails_with_what_is_missing(engine: Engine) -> None:
    engine.function = replace(engine.function, runtime="provided.al2023", revision="custom")

    result = await engine(tail=True)

    why = "Error: Couldn't find valid bootstrap(s): [/var/task/bootstrap /opt/bootstrap]"
    assert result.function_error == "Unhandled"
    assert json.loads(result.payload) == {
        "errorType": "Runtime.InvalidEntrypoint",
        "errorMessage": f"RequestId: {result.request_id} {why}",
    }
    assert result.log_tail.endswith(b"\tStatus: error\tError Type: Runtime.InvalidEntrypoint\n")


async def test_an_import_error_reads_as_the_runtime_reports_it(engine: Engine) -> None:
    engine.function = replace(engine.function, handler="broken.handler")

    result = await engine()

    error = json.loads(result.payload)
    assert result.function_error == "Unhandled"
    assert error["errorType"] == "Runtime.ImportModuleError"
    assert "Unable to import module 'broken'" in error["errorMessage"]


async def test_at_the_timeout_every_process_of_the_environment_is_gone(engine: Engine) -> None:
    engine.function = replace(engine.function, timeout_s=1)
    marker = f"{600 + time.monotonic()}"

    running = asyncio.create_task(engine(child=marker, sleep=5))
    async with asyncio.timeout(10):
        while not _runs(marker):
            await asyncio.sleep(0.005)
    result = await running

    assert json.loads(result.payload)["errorType"] == "Sandbox.Timedout"
    assert not _runs(marker)
    assert engine.invoker.environments() == []


async def test_an_environment_is_frozen_between_invocations_and_the_same_after(engine: Engine) -> None:
    before = json.loads((await engine()).payload)["me"]

    async with asyncio.timeout(20):
        while [view.state for view in engine.invoker.environments()] != ["frozen"]:
            await asyncio.sleep(0.005)
    result = await engine()

    assert json.loads(result.payload)["me"] == before


def _runs(marker: str) -> bool:
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError):
            if entry.name.isdigit() and (entry / "cmdline").read_bytes() == b"sleep\0" + marker.encode() + b"\0":
                return True
    return False

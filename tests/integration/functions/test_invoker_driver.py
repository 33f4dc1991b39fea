"""The invoker with environments that are the test itself: every ending, on the real event loop."""

import asyncio
import json
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from tests.fakes.launch import FakeLauncher, FakeRuntimeApi
from workshape.clock import Clock
from workshape.errors import BackendUnavailable
from workshape.functions import environment as environment_module
from workshape.functions.concurrency import TooManyRequests
from workshape.functions.environment_api import RuntimeCallbacks
from workshape.functions.function_invoker import FunctionInvoker, PayloadTooLarge
from workshape.functions.function_metrics import FunctionMetrics
from workshape.functions.invoker import Invoker
from workshape.functions.launch.process import EnvironmentStartFailed
from workshape.functions.log_level import LogLevel
from workshape.functions.logs import FunctionLogs
from workshape.functions.model import (
    EnvironmentId,
    FunctionName,
    FunctionVersion,
    InitializationType,
    Invocation,
    InvocationResult,
    LogFormat,
    RequestId,
)
from workshape.functions.provisioned import AllocationStatus
from workshape.functions.records import InvocationRecord, RecordWriter, read_records
from workshape.settings import FunctionSettings

NAME = FunctionName("search")
ARN = "arn:aws:lambda:us-east-1:0:function:search"
FUNCTION = FunctionVersion(NAME, "$LATEST", ARN, "python3.12", "a.b", "/code", 128, 3, "1")
E1, E2 = EnvironmentId(1), EnvironmentId(2)


@dataclass
class Engine:
    """An invoker and what it works with."""

    invoker: Invoker
    launcher: FakeLauncher
    api: FakeRuntimeApi
    logs: FunctionLogs
    records: RecordWriter
    folder: Path
    reserved: dict[str, int]
    metrics: FunctionMetrics

    def begin(
        self, request: str, function: FunctionVersion = FUNCTION, tail: bool = False
    ) -> asyncio.Task[InvocationResult]:
        async def invoke() -> InvocationResult:
            return await self.invoker.invoke(function, invocation)

        invocation = Invocation(RequestId(request), b"{}", function.arn, log_tail=tail)
        return asyncio.get_running_loop().create_task(invoke())

    async def started(self, count: int) -> None:
        async with asyncio.timeout(20):
            while len(self.launcher.environments) < count:
                await asyncio.sleep(0)
        await asyncio.sleep(0)

    async def make_ready(self, environment: EnvironmentId) -> None:
        await self.started(environment)
        self.api.callbacks.ready(environment)

    def messages(self) -> list[str]:
        """Its log but for INIT_START: `test_platform_log.py` has that."""
        lines = [line.message for line in self.logs.tail(NAME, 100)]
        return [line for line in lines if not line.startswith("INIT_START")]

    def written(self) -> list[InvocationRecord]:
        self.records.flush()
        return read_records(self.folder / "records")


@pytest.fixture
async def engine(tmp_path: Path) -> AsyncIterator[Engine]:
    apis: list[FakeRuntimeApi] = []

    def runtime_api(callbacks: RuntimeCallbacks) -> FakeRuntimeApi:
        apis.append(FakeRuntimeApi(callbacks))
        return apis[0]

    launcher, logs, records = FakeLauncher(), FunctionLogs(tmp_path / "logs"), RecordWriter(tmp_path / "records")
    reserved: dict[str, int] = {}
    metrics = FunctionMetrics()
    invoker = Invoker(
        settings=FunctionSettings(),
        clock=Clock(),
        launcher=launcher,
        logs=logs,
        records=records,
        metrics=metrics,
        variables=lambda _function: {"AWS_REGION": "us-east-1"},
        reserved=reserved.get,
        reserved_total=lambda: sum(reserved.values()),
        runtime_api=runtime_api,
    )
    yield Engine(invoker, launcher, apis[0], logs, records, tmp_path, reserved, metrics)
    await invoker.close()
    logs.close()
    records.close()


async def test_a_cold_then_a_warm_invocation(engine: Engine) -> None:
    cold = engine.begin("r1", tail=True)
    await engine.make_ready(E1)
    engine.launcher.environments[0].on_output(E1, b"hello")
    engine.api.respond(E1, b'"one"')
    warm = engine.begin("r2")
    await asyncio.sleep(0)
    engine.api.respond(E1, b'"two"')

    first, second = await cold, await warm

    assert (first.payload, first.function_error, first.executed_version) == (b'"one"', None, "$LATEST")
    assert second.payload == b'"two"'
    assert second.log_tail == b""
    tail = first.log_tail.decode().splitlines()
    assert tail[:3] == ["START RequestId: r1 Version: $LATEST", "hello", "END RequestId: r1"]
    assert tail[3].startswith("REPORT RequestId: r1\tDuration: ")
    assert "\tMax Memory Used: 42 MB\tInit Duration: " in tail[3]
    cold_record, warm_record = engine.written()
    assert cold_record.init_ms is not None
    assert cold_record.billed_ms >= cold_record.duration_ms + cold_record.init_ms
    assert warm_record.init_ms is None
    assert (warm_record.status, warm_record.environment, warm_record.concurrency) == ("success", 1, 1)


@pytest.mark.parametrize(
    ("least", "when_well", "when_badly"),
    [
        (LogLevel.DEBUG, ["initStart", "initRuntimeDone", "initReport", "start", "runtimeDone", "report"], None),
        (LogLevel.INFO, ["start", "report"], ["start", "runtimeDone", "report"]),
        (LogLevel.WARN, [], ["runtimeDone", "report"]),
    ],
)
async def test_a_function_that_logs_in_json_has_the_platforms_events_from_its_level_on(
    engine: Engine, least: LogLevel, when_well: list[str], when_badly: list[str] | None
) -> None:
    function = replace(FUNCTION, log_format=LogFormat.JSON, system_log_level=least)
    well = engine.begin("r1", function)
    await engine.make_ready(E1)
    engine.api.respond(E1, b'"one"')
    await well
    first = [json.loads(line)["type"] for line in engine.messages()]
    badly = engine.begin("r2", function)
    await asyncio.sleep(0)
    engine.api.callbacks.failed(E1, RequestId("r2"), b'{"errorType":"ValueError"}', "Unhandled")
    engine.api.callbacks.ready(E1)
    await badly
    second = [json.loads(line)["type"] for line in engine.messages()][len(first) :]

    assert first == [f"platform.{kind}" for kind in when_well]
    assert second == [f"platform.{kind}" for kind in when_badly or ["start", "runtimeDone", "report"]]


async def test_the_order_to_the_launcher_says_all_it_needs(engine: Engine) -> None:
    engine.begin("r1")
    await engine.started(1)

    order = engine.launcher.environments[0].order

    assert order.runtime_api_address == "127.0.0.1:10001"
    assert order.log_group == "/aws/lambda/search"
    assert "/[$LATEST]" in order.log_stream
    assert order.variables == {"AWS_REGION": "us-east-1"}


async def test_a_functions_error_is_passed_through(engine: Engine) -> None:
    running = engine.begin("r1")
    await engine.make_ready(E1)
    body = b'{"errorMessage":"boom","errorType":"ValueError","stackTrace":[]}'
    engine.api.callbacks.failed(E1, RequestId("r1"), body, "Unhandled")
    engine.api.callbacks.ready(E1)

    result = await running

    assert (result.payload, result.function_error) == (body, "Unhandled")
    (record,) = engine.written()
    assert (record.status, record.error_type) == ("error", "ValueError")


async def test_a_timeout_is_answered_once_the_processes_are_gone(engine: Engine) -> None:
    running = engine.begin("r1", replace(FUNCTION, timeout_s=1))
    await engine.make_ready(E1)

    result = await running

    assert json.loads(result.payload) == {
        "errorType": "Sandbox.Timedout",
        "errorMessage": "RequestId: r1 Error: Task timed out after 1.00 seconds",
    }
    assert result.function_error == "Unhandled"
    assert engine.launcher.environments[0].process.history == ["kill"]
    assert engine.messages()[-1].startswith("REPORT RequestId: r1\tDuration: 1000.00 ms\t")
    assert engine.messages()[-1].endswith("\tStatus: timeout")
    assert engine.invoker.environments() == []
    assert engine.written()[0].status == "timeout"


async def test_an_exit_is_answered_and_a_late_response_ignored(engine: Engine) -> None:
    running = engine.begin("r1")
    await engine.make_ready(E1)
    engine.launcher.environments[0].on_exit(E1, "exit status 1")
    engine.api.callbacks.responded(E1, RequestId("r1"), b'"too late"')

    result = await running

    assert json.loads(result.payload) == {
        "errorType": "Runtime.ExitError",
        "errorMessage": "RequestId: r1 Error: Runtime exited with error: exit status 1",
    }
    assert engine.messages()[-1].endswith("\tStatus: error\tError Type: Runtime.ExitError")
    assert engine.written()[0].error_type == "Runtime.ExitError"


async def test_an_init_error_is_passed_through_and_reported(engine: Engine) -> None:
    running = engine.begin("r1")
    await engine.started(1)
    body = b'{"errorMessage":"no module named x","errorType":"Runtime.ImportModuleError"}'
    engine.api.callbacks.init_failed(E1, body, "Runtime.ImportModuleError")
    engine.launcher.environments[0].on_exit(E1, "exit status 1")

    result = await running

    assert (result.payload, result.function_error) == (body, "Unhandled")
    messages = engine.messages()
    assert messages[0].startswith("INIT_REPORT Init Duration: ")
    assert messages[0].endswith("\tPhase: init\tStatus: error\tError Type: Runtime.ImportModuleError")
    assert messages[1:3] == ["START RequestId: r1 Version: $LATEST", "END RequestId: r1"]
    assert len(messages) == 4
    assert engine.written()[0].status == "init_error"


async def test_an_init_phase_that_takes_too_long_begins_once_more(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(environment_module, "INIT_S_MAX", 0.05)
    running = engine.begin("r1")
    await engine.make_ready(E2)
    engine.api.respond(E2, b'"late"')

    result = await running

    assert result.payload == b'"late"'
    first, *_, last = engine.messages()
    assert first.startswith("INIT_REPORT")
    assert first.endswith("\tPhase: init\tStatus: timeout")
    assert "Init Duration" not in last, "the second init phase is in the invocation's own duration"
    assert engine.launcher.environments[0].process.history == ["kill"]


async def test_an_idle_environment_is_frozen_and_thawed(engine: Engine) -> None:
    running = engine.begin("r1")
    await engine.make_ready(E1)
    engine.api.respond(E1, b"1")
    await running
    process = engine.launcher.environments[0].process
    async with asyncio.timeout(20):
        while not process.history:
            await asyncio.sleep(0.005)

    assert [view.state for view in engine.invoker.environments()] == ["frozen"]
    again = engine.begin("r2")
    await asyncio.sleep(0)

    assert process.history == ["freeze", "thaw"]
    engine.api.respond(E1, b"2")
    await again


async def test_processor_time_is_limited_once_the_init_phase_is_over(engine: Engine) -> None:
    running = engine.begin("r1")
    async with asyncio.timeout(20):
        while not engine.launcher.environments:
            await asyncio.sleep(0.005)
    process = engine.launcher.environments[0].process
    before = list(process.cpu_limits_mb)
    await engine.make_ready(E1)
    for request in ("r1", "r2"):
        engine.api.respond(E1, b"1")
        await running
        running = engine.begin(request + "again")
        await asyncio.sleep(0)
    async with asyncio.timeout(20):
        while not process.cpu_limits_mb:
            await asyncio.sleep(0.001)

    assert before == []
    assert process.cpu_limits_mb == [FUNCTION.memory_mb]
    engine.api.respond(E1, b"1")
    await running


async def test_an_invocation_on_provisioned_concurrency_waits_for_nothing_and_its_record_says_so(
    engine: Engine,
) -> None:
    engine.invoker.provision(FUNCTION, 1, reserved=False)
    await engine.make_ready(E1)
    running = engine.begin("r1", tail=True)
    await asyncio.sleep(0)
    engine.api.respond(E1, b"1")

    result = await running

    order = engine.launcher.environments[0].order
    (record,) = engine.written()
    (shown,) = engine.invoker.environments()
    allocation = engine.invoker.provisioned(FUNCTION)
    assert order.initialization_type is InitializationType.PROVISIONED
    assert "Init Duration" in result.log_tail.decode(), "the first REPORT line still tells of the init phase"
    assert re.fullmatch(r"INIT_REPORT Init Duration: \d+\.\d\d ms", engine.messages()[0])
    assert (record.provisioned, record.init_ms, record.environment) == (True, None, 1)
    assert shown.provisioned
    assert shown.state in ("idle", "frozen")
    assert allocation is not None
    assert (allocation.available, allocation.invocations, allocation.spillovers) == (1, 1, 0)


async def test_a_provisioned_environment_whose_init_phase_fails_is_tried_again(engine: Engine) -> None:
    engine.invoker.provision(FUNCTION, 1, reserved=False)
    await engine.started(1)

    engine.api.callbacks.init_failed(E1, b"{}", "Runtime.ImportModuleError")
    engine.invoker.provision(FUNCTION, 1, reserved=False)  # asked for afresh, it does not wait
    await engine.make_ready(E2)

    allocation = engine.invoker.provisioned(FUNCTION)
    assert allocation is not None
    assert allocation.status is AllocationStatus.READY


async def test_a_failed_start_is_the_platforms_error(engine: Engine) -> None:
    engine.launcher.failure = EnvironmentStartFailed(function="search", reason="there is no interpreter")

    with pytest.raises(EnvironmentStartFailed, match="there is no interpreter"):
        await engine.begin("r1")

    assert engine.written()[0].status == "platform_error"


async def test_why_an_environment_could_not_be_started_is_in_the_functions_log_and_in_its_last_minute(
    engine: Engine,
) -> None:
    engine.launcher.failure = EnvironmentStartFailed(function="search", reason="there is no interpreter")

    with pytest.raises(EnvironmentStartFailed):
        await engine.begin("r1")

    assert engine.messages() == ["workshape: No environment of search could be started: there is no interpreter"]
    minute = engine.metrics.recent.last_minute(NAME, Clock().wall_s())
    assert (minute.invocations, minute.errors, minute.p50_ms) == (1, 1, None)


async def test_a_caller_that_leaves_does_not_cancel_its_invocation(engine: Engine) -> None:
    running = engine.begin("r1")
    await engine.make_ready(E1)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running

    assert [view.state for view in engine.invoker.environments()] == ["busy"]
    engine.api.respond(E1, b"1")

    assert [record.status for record in engine.written()] == ["success"]


async def test_too_many_invocations_are_refused_with_awss_reason(engine: Engine) -> None:
    engine.reserved["search"] = 1
    first = engine.begin("r1")
    await engine.make_ready(E1)

    with pytest.raises(TooManyRequests, match=r"Rate Exceeded\.") as refusal:
        await engine.begin("r2")

    assert refusal.value.reason_code == "ReservedFunctionConcurrentInvocationLimitExceeded"
    engine.api.respond(E1, b"1")
    await first
    assert [record.status for record in engine.written()] == ["throttled", "success"]


async def test_a_retired_revision_ends_and_the_new_one_starts_its_own(engine: Engine) -> None:
    running = engine.begin("r1")
    await engine.make_ready(E1)
    engine.api.respond(E1, b"1")
    await running

    engine.invoker.retire(NAME, {"2"})
    again = engine.begin("r2", replace(FUNCTION, revision="2"))
    await engine.make_ready(E2)
    engine.api.respond(E2, b"2")

    assert (await again).payload == b"2"
    assert engine.launcher.environments[0].process.history == ["kill"]
    assert [view.id for view in engine.invoker.environments()] == [E2]


async def test_closing_answers_whoever_waits(engine: Engine) -> None:
    busy, waiting = engine.begin("r1"), engine.begin("r2")
    await engine.make_ready(E1)

    await engine.invoker.close()

    for running in (busy, waiting):
        with pytest.raises(BackendUnavailable, match="closing"):
            await running
    with pytest.raises(BackendUnavailable):
        await engine.begin("r3")
    assert engine.api.opened == set()


async def test_functions_are_invoked_by_name_with_an_id_and_a_trace_of_their_own(engine: Engine) -> None:
    asked: list[tuple[str, str | None]] = []

    def resolve(name: str, qualifier: str | None) -> FunctionVersion:
        asked.append((name, qualifier))
        return FUNCTION

    invoke = FunctionInvoker(resolve, engine.invoker, Clock())
    running = asyncio.get_running_loop().create_task(invoke("search", "live", b"[]", "http"))
    await engine.make_ready(E1)
    invocation = engine.api.dispatched[E1]
    engine.api.respond(E1, b"1")

    result = await running

    assert asked == [("search", "live")]
    assert result.request_id == invocation.request_id
    assert len(invocation.request_id) == 36
    assert invocation.invoked_arn == FUNCTION.arn + ":live"
    assert invocation.trace_id.startswith("Root=1-")
    assert engine.written()[0].trigger == "http"
    with pytest.raises(PayloadTooLarge, match="6291457 byte payload is too large"):
        await invoke("search", None, b"x" * 6_291_457, "http")

"""External extensions beside real environments, from their start to the shutdown phase."""

import asyncio
import json
import os
import signal
import socket
import time
import uuid
from base64 import b64decode
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.fakes.extension_layer import Layer
from tests.fakes.live_functions import LiveFunctions, live_functions
from workshape.functions.launch.process_tree import children
from workshape.functions.model import FunctionName

ANSWER = 'POST /2018-06-01/runtime/invocation/{id}/response HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\n"ok"'
NAME = f"extension-{uuid.uuid4()}"
"""Of an extension that can be found among the machine's processes."""
FINE = [["send", ANSWER], ["read"]]


@pytest.fixture
def layer(tmp_path: Path) -> Layer:
    return Layer(tmp_path / "opt")


@pytest.fixture
async def live(tmp_path: Path, layer: Layer) -> AsyncIterator[LiveFunctions]:
    async with live_functions(tmp_path) as live:
        live.opt_folder = str(layer.folder)
        yield live


async def invoke(live: LiveFunctions, steps: list[list[Any]], **more: Any) -> Any:
    """The answer, its payload read."""
    answer = await live.client("invoke", FunctionName="f", Payload=json.dumps(steps).encode(), **more)
    return {**answer, "Payload": answer["Payload"].read()}


async def until_gone(live: LiveFunctions) -> None:
    async with asyncio.timeout(20):
        while live.invoker.environments():
            await asyncio.sleep(0.01)


async def until_idle(live: LiveFunctions) -> None:
    """A caller has its answer as soon as the runtime has given it; the extension may still be at work."""
    async with asyncio.timeout(20):
        while any(environment.state == "busy" for environment in live.invoker.environments()):
            await asyncio.sleep(0.001)


async def test_an_extension_lives_through_init_invoke_and_shutdown(live: LiveFunctions, layer: Layer) -> None:
    layer.add("one")
    await live.create_obedient(Environment={"Variables": {"MINE": "1"}})

    answer = await invoke(live, FINE, LogType="Tail")
    await until_idle(live)
    await invoke(live, FINE)
    live.invoker.retire(FunctionName("f"), ())
    await until_gone(live)

    assert answer["Payload"] == b'"ok"'
    variables, registered, first, second, shutdown = live.heard("one")
    facts = {"functionName": "f", "functionVersion": "$LATEST", "handler": "index.handler"}
    assert registered == [200, {**facts, "accountId": "123456789012"}]
    assert (first["eventType"], first["requestId"]) == ("INVOKE", answer["ResponseMetadata"]["RequestId"])
    assert first["invokedFunctionArn"].endswith(":function:f")
    assert first["tracing"]["type"] == "X-Amzn-Trace-Id"
    assert abs(first["deadlineMs"] - time.time() * 1000) < 60_000
    assert second["requestId"] != first["requestId"]
    assert (shutdown["eventType"], shutdown["shutdownReason"]) == ("SHUTDOWN", "spindown")
    assert "EXTENSION\tName: one\tState: Ready\tEvents: [INVOKE, SHUTDOWN]" in live.messages()
    assert [record.status for record in live.written()] == ["success", "success"]
    assert variables["MINE"] == "1"
    assert not {"_HANDLER", "LAMBDA_TASK_ROOT", "AWS_EXECUTION_ENV"} & variables.keys()


async def test_the_caller_has_its_answer_while_an_extension_still_works(live: LiveFunctions, layer: Layer) -> None:
    with socket.create_server(("127.0.0.1", 0)) as held:
        layer.add("slow", on_invoke=["hold", held.getsockname()[1]])
        await live.create_obedient()

        answer = await invoke(live, FINE, LogType="Tail")
        answered_at = time.monotonic()
        written = live.written()
        held_s = time.monotonic() - answered_at
    async with asyncio.timeout(30):
        while not live.written():
            await asyncio.sleep(0.01)

    assert answer["Payload"] == b'"ok"'
    assert written == [], "the invocation goes on"
    assert b"START" in b64decode(answer["LogResult"])
    assert live.written()[0].duration_ms >= held_s * 1_000, "the extension's work is a part of it"


async def test_an_extension_that_crashes_in_the_init_phase_ends_the_environment(
    live: LiveFunctions, layer: Layer
) -> None:
    layer.add("broken", before=["exit", 7])
    await live.create_obedient()

    answer = await invoke(live, FINE)
    await until_gone(live)

    error = json.loads(answer["Payload"])
    assert answer["FunctionError"] == "Unhandled"
    assert error["errorType"] == "Extension.Crash"
    assert error["errorMessage"].endswith(" Error: exit status 7")
    assert (
        "EXTENSION\tName: broken\tState: Exited\tEvents: [INVOKE, SHUTDOWN]\tError Type: Extension.Crash"
        in live.messages()
    )
    assert next(line for line in live.messages() if line.startswith("INIT_REPORT")).endswith(
        "\tPhase: init\tStatus: error\tError Type: Extension.Crash"
    )


@pytest.mark.parametrize(
    ("plan", "kind", "why"),
    [
        ({"before": ["init/error"]}, "Extension.InitError", "Mine.Broken"),
        ({"before": ["exit/error"]}, "Extension.ExitError", "Mine.Broken"),
        ({"executable": False}, "Extension.LaunchError", "Permission denied"),
    ],
)
async def test_an_extension_that_cannot_begin_is_the_functions_error(
    live: LiveFunctions, layer: Layer, plan: dict[str, Any], kind: str, why: str
) -> None:
    layer.add("broken", **plan)
    await live.create_obedient()

    error = json.loads((await invoke(live, FINE))["Payload"])

    assert error["errorType"] == kind
    assert why in error["errorMessage"]


async def test_an_extension_that_crashes_in_an_invocation_fails_it_and_the_next_one_is_new(
    live: LiveFunctions, layer: Layer
) -> None:
    layer.add("mortal", on_invoke=["exit", 1])
    await live.create_obedient()

    crashed = await invoke(live, [["sleep", 20], *FINE])
    layer.add("mortal")
    fine = await invoke(live, FINE)

    assert json.loads(crashed["Payload"])["errorType"] == "Extension.Crash"
    assert "FunctionError" not in fine


async def test_a_runtime_that_exits_leaves_its_extension_time_to_hear_of_it(live: LiveFunctions, layer: Layer) -> None:
    layer.add("witness")
    await live.create_obedient()

    answer = await invoke(live, [["exit", 3]])
    await until_gone(live)

    assert json.loads(answer["Payload"])["errorMessage"].endswith("exit status 3")
    assert live.heard("witness")[-1]["shutdownReason"] == "failure"


async def test_a_timeout_is_told_to_extensions_and_one_that_does_not_end_is_killed(
    live: LiveFunctions, layer: Layer
) -> None:
    layer.add(NAME, on_shutdown=["sleep", 60])
    await live.create_obedient(Timeout=1)

    answer = await invoke(live, [["sleep", 60]])

    assert json.loads(answer["Payload"])["errorType"] == "Sandbox.Timedout"
    assert live.invoker.environments() == []
    assert live.heard(NAME)[-1]["shutdownReason"] == "timeout"
    assert not [pid for pid in os.listdir("/proc") if pid.isdigit() and _runs(pid, NAME)]


async def test_several_extensions_all_have_to_be_ready(live: LiveFunctions, layer: Layer) -> None:
    layer.add("quick")
    layer.add("slow", before=["sleep", 0.5], events=["INVOKE"])
    layer.add("quiet", events=[])
    await live.create_obedient()

    await invoke(live, FINE)
    async with asyncio.timeout(20):
        while min(len(live.heard(name)) for name in ("quick", "slow")) < 3 or len(live.heard("quiet")) < 2:
            await asyncio.sleep(0.005)  # the answer does not wait for what extensions write
        while not live.written():
            await asyncio.sleep(0.005)

    assert [len(live.heard(name)) for name in ("quick", "slow", "quiet")] == [3, 3, 2]
    assert (live.written()[0].init_ms or 0) >= 500


async def test_nothing_of_an_environment_outlives_the_process_that_made_it(live: LiveFunctions, layer: Layer) -> None:
    layer.add(NAME)
    await live.create_obedient()
    await invoke(live, FINE)
    spawners = [pid for pid in children(os.getpid()) if _runs(str(pid), "launch.spawner")]
    assert spawners

    for spawner in spawners:
        os.kill(spawner, signal.SIGKILL)

    async with asyncio.timeout(20):
        while [pid for pid in os.listdir("/proc") if pid.isdigit() and _runs(pid, NAME)]:
            await asyncio.sleep(0.01)
    await until_gone(live)
    assert (await invoke(live, FINE))["Payload"] == b'"ok"'


def _runs(pid: str, name: str) -> bool:
    try:
        return name in Path(f"/proc/{pid}/cmdline").read_text()
    except OSError:
        return False

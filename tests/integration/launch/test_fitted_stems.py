"""A second environment of a function is a stem that has its code mounted already: it is what any other is."""

import asyncio
import os
import signal
from pathlib import Path
from typing import Any

import pytest

from tests.fakes.runtime_owner import FUNCTION, WAIT_S, RuntimeOwner
from tests.integration.launch.test_environment_process import HERE
from tests.integration.launch.test_node_runtime import NEW, node
from workshape.functions.launch.environment_process import EnvironmentProcess
from workshape.functions.launch.process_tree import children

__all__ = ["node"]
PYTHON = """import os, sys
MARK = open("mark").read()
print("init")
def handler(event, context):
    own = {name: os.environ[name] for name in ("AWS_LAMBDA_RUNTIME_API", "AWS_LAMBDA_LOG_STREAM_NAME", "MINE")}
    module = sys.modules["index"]
    return {"mark": MARK, "folder": os.getcwd(), "own": own, "loader": sorted(vars(module.__loader__))}
"""
NODE = """const mark = require("fs").readFileSync("mark", "utf8");
console.log("init");
exports.handler = async () => ({ mark, folder: process.cwd(), own: {
    AWS_LAMBDA_RUNTIME_API: process.env.AWS_LAMBDA_RUNTIME_API,
    AWS_LAMBDA_LOG_STREAM_NAME: process.env.AWS_LAMBDA_LOG_STREAM_NAME,
    MINE: process.env.MINE,
}});
"""


@pytest.fixture
async def sandboxed(node: RuntimeOwner, code: Path) -> RuntimeOwner:
    """An owner whose environments have a sandbox: without one nothing is fitted."""
    if await node.launcher.why_no_sandbox():
        pytest.skip("without a sandbox nothing is fitted")
    (code / "index.py").write_text(PYTHON)
    (code / "index.js").write_text(NODE)
    (code / "mark").write_text("first")
    return node


async def start(owner: RuntimeOwner, code: Path, runtime: str) -> tuple[Any, EnvironmentProcess]:
    """Start one of the one revision; return what its function says of itself, and its processes."""
    environment, process = await owner.started(code, runtime=runtime, revision="r", MINE="mine")
    error, value = await owner.invoke(environment)
    assert error == ""
    assert value["own"].pop("AWS_LAMBDA_RUNTIME_API") == owner.addresses[environment]
    await owner.until(environment, lambda heard: [line.rpartition("\t")[2] for line in heard.output] == ["init"])
    return value, process


async def one_fitted(owner: RuntimeOwner, process: EnvironmentProcess) -> int:
    """Wait for the one process that waits beside another one with the function's code in sight."""
    spawner = int(Path(f"/proc/{process.pid}/status").read_text().partition("PPid:")[2].split()[0])
    async with asyncio.timeout(WAIT_S):
        while not repr(owner.launcher).endswith("fitted=1>"):
            await asyncio.sleep(0.01)
        while not (found := [pid for pid in children(spawner) if pid != process.pid and _sees_code(pid)]):
            await asyncio.sleep(0.01)  # it may be on its way into its sandbox
    [only] = found
    return only


def _sees_code(pid: int) -> bool:
    try:
        mounts = [line.split() for line in Path(f"/proc/{pid}/mountinfo").read_text().splitlines()]
    except OSError:  # it has just ended
        return False
    return any(place == "/var/task" and shown.endswith("/code") for _, _, _, shown, place, *_ in mounts)


async def gone(pid: int) -> None:
    async with asyncio.timeout(WAIT_S):
        while Path(f"/proc/{pid}").exists():
            await asyncio.sleep(0.01)


@pytest.mark.parametrize("runtime", [HERE, NEW])
async def test_the_next_environment_is_the_stem_that_was_fitted_and_is_like_the_first(
    sandboxed: RuntimeOwner, code: Path, runtime: str
) -> None:
    first, process = await start(sandboxed, code, runtime)
    waits = await one_fitted(sandboxed, process)

    second, another = await start(sandboxed, code, runtime)

    assert another.pid == waits
    assert second == first
    await another.kill()
    await gone(waits)


async def test_one_that_was_killed_while_it_waited_is_no_obstacle(sandboxed: RuntimeOwner, code: Path) -> None:
    first, process = await start(sandboxed, code, HERE)
    waits = await one_fitted(sandboxed, process)

    os.kill(waits, signal.SIGKILL)
    await gone(waits)
    second, another = await start(sandboxed, code, HERE)

    assert another.pid != waits
    assert second == first


async def test_another_folder_in_the_place_of_the_code_is_the_code(sandboxed: RuntimeOwner, code: Path) -> None:
    _, process = await start(sandboxed, code, HERE)
    waits = await one_fitted(sandboxed, process)

    code.rename(code.with_name("before"))
    code.mkdir()
    (code / "index.py").write_text(PYTHON)
    (code / "mark").write_text("second")
    second, another = await start(sandboxed, code, HERE)

    assert another.pid != waits
    assert second["mark"] == "second"


async def test_what_changes_in_the_code_meanwhile_is_seen(sandboxed: RuntimeOwner, code: Path) -> None:
    _, process = await start(sandboxed, code, HERE)
    waits = await one_fitted(sandboxed, process)

    (code / "index.py").write_text(PYTHON.replace('"mark": MARK', '"mark": MARK + " changed"'))
    second, another = await start(sandboxed, code, HERE)

    assert another.pid == waits
    assert second["mark"] == "first changed"


async def test_nothing_is_fitted_to_a_function_that_is_gone(sandboxed: RuntimeOwner, code: Path) -> None:
    _, process = await start(sandboxed, code, HERE)
    waits = await one_fitted(sandboxed, process)

    sandboxed.launcher.retire(FUNCTION.name, ())

    await gone(waits)
    assert (await start(sandboxed, code, HERE))[0]["mark"] == "first"

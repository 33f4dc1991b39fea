"""Stems are there before a function is invoked for the first time."""

import asyncio
from dataclasses import replace

import pytest

from tests.fakes.runtime_owner import ARN, RuntimeOwner
from tests.integration.launch.test_environment_process import HERE, WAIT_S
from workshape.functions.launch.preparation import Preparation
from workshape.functions.model import FunctionName, FunctionVersion
from workshape.settings import FunctionSettings

FUNCTION = FunctionVersion(FunctionName("f"), "$LATEST", ARN, HERE, "index.handler", "/nowhere", 512, 3, "1")


async def test_a_function_finds_stems_and_one_that_cannot_run_is_no_obstacle(owner: RuntimeOwner) -> None:
    versions = {
        "broken": replace(FUNCTION, runtime="cobol", revision="2"),
        "f": FUNCTION,
    }
    preparation = Preparation(owner.launcher, lambda name, _qualifier: versions[name], [FunctionName("broken")])

    working = asyncio.create_task(preparation.run())
    preparation.changed(FunctionName("f"), {"1"})
    preparation.changed(FunctionName("gone"), ())

    if await owner.launcher.why_no_sandbox():
        working.cancel()
        pytest.skip("without a sandbox nothing is prepared")
    async with asyncio.timeout(WAIT_S):
        while not any(len(owner.forked(pid)) == FunctionSettings().stems for pid in owner.launcher.spawners()):
            await asyncio.sleep(0.01)
    assert not working.done()
    working.cancel()

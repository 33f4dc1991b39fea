"""/tmp on disk: what functions have of it, and that nothing of it stays, however its environment ends."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.fakes.runtime_owner import RuntimeOwner
from tests.integration.launch.test_environment_process import HERE
from workshape.functions.launch.process_tree import children

WAIT_S_MAX = 30.0
MORE_THAN_WAIT = 8
"""Environments: the stems that wait have theirs already, the others need those that were ready."""
ROOM = """
import os

def handler(event, context):
    made = os.statvfs("/tmp")
    return made.f_bavail * made.f_frsize
"""
FILL = """
import os

def handler(event, context):
    with open("/tmp/big", "wb") as file:
        try:
            for written in range(event["mib"]):
                file.write(bytes(1 << 20))
                file.flush()
        except OSError as error:
            return error.strerror
    return os.path.getsize("/tmp/big") >> 20
"""


@pytest.fixture
async def disks(owner: RuntimeOwner) -> AsyncIterator[RuntimeOwner]:
    """An owner on a machine that has them; none is left when it is closed."""
    if reason := await owner.launcher.why_no_sandbox() or await owner.launcher.why_no_disks():
        pytest.skip(f"/tmp is not on disk here: {reason}")
    yield owner
    await owner.close()
    await until_none_is_left(owner)


def devices(owner: RuntimeOwner) -> dict[str, str]:
    """The loop devices whose files are this owner's, and those files' names, which were unlinked."""
    found = {}
    for device in Path("/sys/block").glob("loop*"):
        with suppress(OSError):  # it is free
            file = (device / "loop" / "backing_file").read_text()
            if str(owner.folder) in file:
                found[device.name] = file
    return found


async def until_none_is_left(owner: RuntimeOwner) -> None:
    async with asyncio.timeout(WAIT_S_MAX):
        while devices(owner):
            await asyncio.sleep(0.02)


async def test_it_is_not_memory_and_is_full_at_its_size(disks: RuntimeOwner, code: Path) -> None:
    (code / "index.py").write_text(FILL)
    environment, process = await disks.started(code, runtime=HERE, memory_mb=128)

    assert await disks.invoke(environment, {"mib": 400}) == ("", 400)
    assert await disks.invoke(environment, {"mib": 600}) == ("", "No space left on device")
    assert process.max_memory_mb() < 128
    assert devices(disks)


@pytest.mark.parametrize("size_mb", [1_024, 10_240])
async def test_a_function_has_the_size_it_is_configured_with(disks: RuntimeOwner, code: Path, size_mb: int) -> None:
    (code / "index.py").write_text(ROOM)

    environment, _ = await disks.started(code, runtime=HERE, ephemeral_storage_mb=size_mb)

    _, room = await disks.invoke(environment, {})
    assert 0 <= room - (size_mb << 20) < 64 * 1024


async def test_an_environment_that_is_killed_leaves_nothing_of_it(disks: RuntimeOwner, code: Path) -> None:
    (code / "index.py").write_text(FILL)
    environment, process = await disks.started(code, runtime=HERE)
    await disks.invoke(environment, {"mib": 20})
    device = f"loop{os.minor(Path(f'/proc/{process.pid}/root/tmp').stat().st_dev)}"
    file = devices(disks)[device]

    await process.kill()

    assert "(deleted)" in file
    async with asyncio.timeout(WAIT_S_MAX):
        while devices(disks).get(device) == file:
            await asyncio.sleep(0.02)


async def test_a_spawner_that_is_killed_leaves_nothing_of_it(disks: RuntimeOwner, code: Path) -> None:
    (code / "index.py").write_text(FILL)
    environment, _ = await disks.started(code, runtime=HERE)
    await disks.invoke(environment, {"mib": 20})

    for spawner in disks.launcher.spawners():
        os.kill(spawner, signal.SIGKILL)

    await until_none_is_left(disks)


async def test_when_who_makes_them_is_killed_another_one_does(disks: RuntimeOwner, code: Path) -> None:
    (code / "index.py").write_text(ROOM)
    first, _ = await disks.started(code, runtime=HERE)
    for spawner in disks.launcher.spawners():
        for maker in children(spawner):
            if maker not in disks.forked(spawner):
                with suppress(ProcessLookupError):  # it was a stem that has just ended
                    os.kill(maker, signal.SIGKILL)

    started = [await disks.started(code, runtime=HERE) for _ in range(MORE_THAN_WAIT)]

    rooms = [(await disks.invoke(environment, {}))[1] for environment in (first, *(each for each, _ in started))]
    assert all(0 <= room - (512 << 20) < 64 * 1024 for room in rooms)
    assert await disks.launcher.why_no_disks() == ""

"""The snapshots in memory: made once, made again when one is missed, gone with their version."""

import asyncio
from dataclasses import replace

import pytest

from tests.fakes.launch import FakeLauncher, FakeProcess
from workshape.clock import Clock
from workshape.functions.model import EnvironmentId, FunctionName, FunctionVersion
from workshape.functions.snap_start import SnapshotFailure
from workshape.functions.snapshot_keeper import SnapshotKeeper
from workshape.functions.snapshot_taker import Taken
from workshape.settings import FunctionSettings

ONE = FunctionVersion(FunctionName("f"), "1", "arn", "python3.12", "a.b", "/code", 128, 3, "r1", snap_start=True)
TWO, THREE = (replace(ONE, version=number, revision=f"r{number}") for number in ("2", "3"))


class World:
    """What a keeper has around it."""

    def __init__(self) -> None:
        self.launcher = FakeLauncher()
        self.taken: list[str] = []
        self.failure: SnapshotFailure | None = None
        self.keeper = SnapshotKeeper(FunctionSettings(snapshots=2), Clock(), self.launcher, self._take)

    async def _take(self, function: FunctionVersion) -> Taken:
        self.taken.append(function.version)
        if self.failure is not None:
            return Taken(self.failure, None, "")
        return Taken(None, FakeProcess(EnvironmentId(len(self.taken))), "")

    async def settle(self) -> None:
        """Let what has begun come to its end."""
        for _ in range(10):
            await asyncio.sleep(0)


@pytest.fixture
async def world() -> World:
    return World()


async def test_a_published_version_is_kept_and_one_too_many_goes(world: World) -> None:
    for function in (ONE, TWO, THREE):
        assert await world.keeper.take(function) is None

    assert world.launcher.kept == ["r1", "r2", "r3"]
    assert world.launcher.dropped == ["r1"]


async def test_a_missing_one_is_made_once_however_many_miss_it(world: World) -> None:
    for _ in range(3):
        world.launcher.on_missing_snapshot(ONE)
    await world.settle()

    assert (world.taken, world.launcher.kept) == (["1"], ["r1"])


async def test_a_lost_one_is_made_again_when_it_is_missed(world: World) -> None:
    await world.keeper.take(ONE)
    world.launcher.lose("r1")
    before = list(world.taken)

    world.launcher.on_missing_snapshot(ONE)
    await world.settle()

    assert (before, world.taken) == (["1"], ["1", "1"])


async def test_what_cannot_be_kept_is_ended_and_not_tried_again(world: World) -> None:
    world.launcher.why_not = "its init phase has left 2 threads"

    assert await world.keeper.take(ONE) is None, "the version can be invoked all the same"
    world.launcher.on_missing_snapshot(ONE)
    await world.settle()

    assert (world.taken, world.launcher.kept) == (["1"], [])


async def test_an_init_phase_that_fails_is_told_and_not_tried_again_at_once(world: World) -> None:
    world.failure = SnapshotFailure.internal("no process")

    told = await world.keeper.take(ONE)
    world.launcher.on_missing_snapshot(ONE)
    await world.settle()

    assert (told, world.taken) == (world.failure, ["1"])


async def test_a_snapshot_goes_with_its_revision_and_with_the_engine(world: World) -> None:
    await world.keeper.take(ONE)
    await world.keeper.take(TWO)

    world.keeper.retire(ONE.name, {"r2"})
    retired = list(world.launcher.dropped)
    await world.keeper.close()

    assert (retired, world.launcher.dropped) == (["r1"], ["r1", "r2"])

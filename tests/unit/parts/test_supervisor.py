"""The supervisor, with parts that die on command and a clock that moves by its own waiting."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from tests.fakes.parts import FakePart
from workshape.clock import Clock
from workshape.parts.process import PartFailed
from workshape.parts.restart import RestartLimits
from workshape.parts.supervisor import Abandoned, Died, PartAbandoned, Started, Supervisor, SupervisorEvent


class MovedClock(Clock):
    """Moves when somebody sleeps."""

    now = 0.0

    def monotonic_s(self) -> float:
        return self.now

    async def sleep(self, wait_s: float) -> None:
        self.now += wait_s


@asynccontextmanager
async def running(supervisor: Supervisor) -> AsyncIterator[asyncio.Task[None]]:
    task = asyncio.create_task(supervisor.run())
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def settled() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


async def test_parts_start_in_order_and_stop_in_reverse() -> None:
    story: list[str] = []
    clock = MovedClock()
    supervisor = Supervisor(clock, lambda event: None, sleep=clock.sleep)
    for name in ("postgres", "engine", "proxy"):
        await supervisor.start(FakePart(name, story))

    await supervisor.stop()

    assert story == ["start postgres", "start engine", "start proxy", "stop proxy", "stop engine", "stop postgres"]


async def test_what_dies_is_started_again_and_that_is_said() -> None:
    clock = MovedClock()
    events: list[SupervisorEvent] = []
    supervisor = Supervisor(clock, events.append, sleep=clock.sleep)
    part = FakePart("engine")
    await supervisor.start(part)

    async with running(supervisor):
        await settled()
        part.die("killed by SIGKILL")
        await settled()

    assert events == [
        Started("engine", 1, 0.0),
        Died("engine", "killed by SIGKILL", 0.25),
        Started("engine", 1, 0.0),
    ]
    assert part.story == ["start engine", "stop engine", "start engine"]


async def test_a_restart_that_fails_counts_as_a_death() -> None:
    clock = MovedClock()
    events: list[SupervisorEvent] = []
    supervisor = Supervisor(clock, events.append, sleep=clock.sleep)
    part = FakePart("engine")
    await supervisor.start(part)
    part.refusals = 2

    async with running(supervisor):
        await settled()
        part.die()
        await settled()

    delays = [event.delay_s for event in events if isinstance(event, Died)]
    assert delays == [0.25, 0.5, 1.0]
    assert isinstance(events[-1], Started)


async def test_a_part_that_keeps_dying_ends_the_watch() -> None:
    clock = MovedClock()
    events: list[SupervisorEvent] = []
    supervisor = Supervisor(clock, events.append, RestartLimits(deaths_max=3), clock.sleep)
    part, other = FakePart("engine"), FakePart("proxy")
    await supervisor.start(part)
    await supervisor.start(other)
    part.refusals = 99

    async with running(supervisor) as task:
        await settled()
        part.die()
        with pytest.raises(PartAbandoned, match="engine is not started any more: died 3 times in a row"):
            await task

    assert isinstance(events[-1], Abandoned)


async def test_a_first_start_that_fails_is_the_callers_to_handle() -> None:
    clock = MovedClock()
    supervisor = Supervisor(clock, lambda event: None, sleep=clock.sleep)

    with pytest.raises(PartFailed):
        await supervisor.start(FakePart("engine", refusals=1))

    assert supervisor.parts == []

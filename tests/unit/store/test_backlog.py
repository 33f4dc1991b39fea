"""Work on disk: attempted when it is due and not before, so many pieces at once, and over only when forgotten."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path

import msgspec
import pytest

from tests.fakes.shifted_clock import ShiftedClock
from workshape.clock import Clock
from workshape.store.backlog import Backlog
from workshape.store.documents import Documents

WAIT_S_MAX = 30.0
NOON = 1_700_000_000.0
HOUR_S = 3_600.0


class Parcel(msgspec.Struct, frozen=True):
    """A piece of work."""

    name: str
    due_at: float = NOON


@pytest.fixture
def documents(tmp_path: Path) -> Documents:
    return Documents(tmp_path / "store.sqlite")


def opened(documents: Documents, clock: Clock, at_once_max: int = 10) -> Backlog[Parcel]:
    return Backlog(
        documents,
        "parcel",
        Parcel,
        clock,
        key=lambda parcel: parcel.name,
        at_once_max=at_once_max,
        bytes_of=lambda parcel: len(parcel.name),
    )


async def run_until(
    backlog: Backlog[Parcel], attempt: Callable[[Parcel], Awaitable[None]], condition: Callable[[], object]
) -> None:
    running = asyncio.create_task(backlog.run(attempt))
    async with asyncio.timeout(WAIT_S_MAX):
        while not condition():
            await asyncio.sleep(0.001)
    running.cancel()
    with suppress(asyncio.CancelledError):
        await running


async def test_only_what_is_due_is_attempted_the_longest_due_first(documents: Documents) -> None:
    backlog = opened(documents, ShiftedClock(NOON))
    for parcel in (Parcel("due"), Parcel("longer due", NOON - 1), Parcel("later", NOON + HOUR_S)):
        backlog.keep(parcel)
    attempted: list[str] = []

    async def attempt(parcel: Parcel) -> None:
        attempted.append(parcel.name)
        backlog.forget(parcel)

    await run_until(backlog, attempt, lambda: len(backlog) == 1)

    assert attempted == ["longer due", "due"]


async def test_no_more_are_attempted_at_once_than_there_may_be(documents: Documents) -> None:
    backlog = opened(documents, ShiftedClock(NOON), at_once_max=2)
    for number in range(5):
        backlog.keep(Parcel(str(number)))
    seen: list[int] = []

    async def attempt(parcel: Parcel) -> None:
        seen.append(backlog.running)
        await asyncio.sleep(0)
        backlog.forget(parcel)

    await run_until(backlog, attempt, lambda: not len(backlog))

    assert max(seen) == 2


async def test_what_is_kept_for_another_time_is_not_attempted_before(documents: Documents) -> None:
    backlog = opened(documents, ShiftedClock(NOON))
    backlog.keep(Parcel("put off"))
    backlog.keep(Parcel("last", NOON + 0.001))
    attempted: list[str] = []

    async def attempt(parcel: Parcel) -> None:
        attempted.append(parcel.name)
        backlog.keep(Parcel(parcel.name, NOON + HOUR_S))

    await run_until(backlog, attempt, lambda: "last" in attempted)

    assert attempted == ["put off", "last"]
    assert len(backlog) == 2


async def test_what_was_not_forgotten_is_there_after_a_restart(documents: Documents) -> None:
    clock = ShiftedClock(NOON)
    before = opened(documents, clock)
    before.keep(Parcel("done"))
    before.keep(Parcel("left"))
    before.forget(Parcel("done"))

    after = opened(documents, clock)

    assert (len(after), after.size_bytes) == (len(before), before.size_bytes) == (1, len("left"))
    assert "left" in after
    found: list[Parcel] = []

    async def attempt(parcel: Parcel) -> None:
        found.append(parcel)

    await run_until(after, attempt, lambda: found)
    assert found == [Parcel("left")]

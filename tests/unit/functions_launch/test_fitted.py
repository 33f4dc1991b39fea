"""Stems that are fitted to a function ahead: which wait, for how many functions, and what becomes of them."""

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.fakes.spawning import FakeChannel
from workshape.functions.launch.fitted import FITTED_MAX, OF_REVISION_MAX, FittedStem, FittedStems
from workshape.functions.launch.spawn_channel import SpawnOrder, StemKind

WAIT_S = 30.0


@pytest.fixture
async def channel() -> AsyncIterator[FakeChannel]:
    made = FakeChannel()
    yield made
    made.close_all()


@pytest.fixture
async def fitted() -> AsyncIterator[FittedStems]:
    made = FittedStems(is_kept=True)
    yield made
    await made.close()


@pytest.fixture
def order(tmp_path: Path) -> SpawnOrder:
    return SpawnOrder(StemKind(), "{}", code=str(tmp_path), is_whole=False)


async def until(channel: FakeChannel, ordered: int) -> None:
    """Wait until so many stems have been ordered, and have arrived."""
    async with asyncio.timeout(WAIT_S):
        while len(channel.ordered) < ordered:
            await asyncio.sleep(0.01)
    await asyncio.sleep(0)


def taken(fitted: FittedStems, channel: FakeChannel, order: SpawnOrder, revision: str = "1") -> FittedStem:
    stem = fitted.take(revision, channel, order)
    assert stem is not None
    return stem


async def test_after_a_start_a_stem_is_fitted_for_the_next_one_which_tells_it_the_rest(
    fitted: FittedStems, channel: FakeChannel, order: SpawnOrder
) -> None:
    ended: list[int] = []
    assert fitted.take("1", channel, order) is None

    fitted.started("1", channel, order)
    await until(channel, 1)
    spawned = taken(fitted, channel, order).tell('{"variables": {}}', ended.append)

    assert spawned is not None
    assert json.loads(channel.ends[1].recv(1_000)[4:]) == {"variables": {}}
    channel.end(1)
    assert ended == [9]
    assert fitted.take("1", channel, order) is None


async def test_only_what_is_fitted_to_the_very_same_is_taken(
    fitted: FittedStems, channel: FakeChannel, order: SpawnOrder
) -> None:
    fitted.started("1", channel, order)
    await until(channel, 1)

    assert fitted.take("2", channel, order) is None
    assert fitted.take("1", channel, replace(order, tmp_mb=1_024)) is None
    assert fitted.take("1", FakeChannel(), order) is None
    fitted.started("1", channel, replace(order, tmp_mb=1_024))

    assert channel.killed == [1]


async def test_one_that_has_ended_or_whose_code_is_another_now_is_not_told(
    fitted: FittedStems, channel: FakeChannel, order: SpawnOrder, tmp_path: Path
) -> None:
    for revision in ("1", "2"):
        (tmp_path / revision).mkdir()
        fitted.started(revision, channel, replace(order, code=str(tmp_path / revision)))
    await until(channel, 2)
    dead, stale = (taken(fitted, channel, replace(order, code=str(tmp_path / each)), each) for each in ("1", "2"))
    by_code = [Path(each.code).name for each in channel.ordered]

    channel.ends[by_code.index("1") + 1].close()
    (tmp_path / "2").rename(tmp_path / "old")
    (tmp_path / "2").mkdir()

    assert dead.tell("{}", lambda _status: None) is None
    assert stale.tell("{}", lambda _status: None) is None
    dead.end()
    stale.end()
    assert sorted(channel.killed) == [1, 2]


async def test_one_that_ends_while_it_waits_is_forgotten(
    fitted: FittedStems, channel: FakeChannel, order: SpawnOrder
) -> None:
    fitted.started("1", channel, order)
    await until(channel, 1)

    channel.end(1)

    assert fitted.take("1", channel, order) is None
    assert channel.killed == []


async def test_a_revision_that_is_gone_keeps_none(fitted: FittedStems, channel: FakeChannel, order: SpawnOrder) -> None:
    fitted.started("1", channel, order)
    await until(channel, 1)

    fitted.forget("1")

    assert channel.killed == [1]
    assert fitted.take("1", channel, order) is None


async def test_of_a_revision_as_many_wait_as_were_started_at_once_up_to_a_bound(
    fitted: FittedStems, channel: FakeChannel, order: SpawnOrder
) -> None:
    for _ in range(OF_REVISION_MAX + 3):
        fitted.started("1", channel, order)
    await until(channel, OF_REVISION_MAX)

    for _ in range(OF_REVISION_MAX):
        taken(fitted, channel, order).end()
    assert fitted.take("1", channel, order) is None


async def test_of_all_revisions_so_many_wait_and_those_started_longest_ago_make_room(
    fitted: FittedStems, channel: FakeChannel, order: SpawnOrder
) -> None:
    for number in range(FITTED_MAX):
        fitted.started(str(number), channel, order)
    await until(channel, FITTED_MAX)

    fitted.started("new", channel, order)
    await until(channel, FITTED_MAX + 1)

    assert len(channel.killed) == 1
    assert fitted.take("0", channel, order) is None
    for revision in ("1", str(FITTED_MAX - 1), "new"):
        taken(fitted, channel, order, revision).end()


async def test_what_the_machine_refuses_is_not_tried_again_before_the_next_start(
    fitted: FittedStems, channel: FakeChannel, order: SpawnOrder
) -> None:
    channel.refuses = True
    fitted.started("1", channel, order)
    await asyncio.sleep(0.1)
    channel.refuses = False
    await asyncio.sleep(0.1)
    assert channel.ordered == []

    fitted.started("1", channel, order)

    await until(channel, 1)


async def test_where_no_stems_are_kept_none_is_fitted(channel: FakeChannel, order: SpawnOrder) -> None:
    fitted = FittedStems(is_kept=False)

    fitted.started("1", channel, order)
    await asyncio.sleep(0.1)

    assert channel.ordered == []
    await fitted.close()

"""A result that is to come: whoever waits for it, and however often, gets it once."""

import asyncio

import pytest

from workshape.errors import Invalid
from workshape.later import Later


def test_whoever_takes_it_is_told_before_give_returns() -> None:
    later: Later[int] = Later()
    taken: list[int] = []
    later.when_done(lambda given: taken.append(given.result()))
    later.then(lambda value: value + 1).when_done(lambda given: taken.append(given.result()))

    later.give(1)
    later.when_done(lambda given: taken.append(given.result()))

    assert taken == [1, 2, 1]


async def test_it_can_be_awaited_before_and_after_it_is_there() -> None:
    later: Later[int] = Later()

    async def wait() -> int:
        return await later

    waiting = asyncio.create_task(wait())
    await asyncio.sleep(0)
    later.give(1)

    assert (await waiting, await later, await Later.given(2)) == (1, 1, 2)


async def test_who_stops_awaiting_it_stops_nobody_else() -> None:
    later: Later[int] = Later()

    async def wait() -> int:
        return await later

    first, second = asyncio.create_task(wait()), asyncio.create_task(wait())
    await asyncio.sleep(0)
    first.cancel()
    await asyncio.gather(first, return_exceptions=True)
    later.give(1)

    assert first.cancelled()
    assert await second == 1


async def test_a_failure_reaches_everybody_unchanged() -> None:
    later: Later[int] = Later()
    converted = later.then(lambda value: value + 1)

    later.fail(Invalid(reason="it is so"))

    for failed in (later, converted):
        with pytest.raises(Invalid, match="it is so"):
            await failed


def test_what_a_conversion_raises_is_its_failure() -> None:
    later = Later.given(1)

    converted = later.then(lambda value: value // 0)

    with pytest.raises(ZeroDivisionError):
        converted.result()
    assert later.result() == 1


def test_it_is_given_once() -> None:
    later = Later.given(1)

    with pytest.raises(AssertionError, match="given twice"):
        later.give(2)

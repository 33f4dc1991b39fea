"""The gate in front of init phases, on a real event loop."""

import asyncio

from workshape.functions.init_gate import InitGate


async def test_no_more_than_its_places_are_inside_and_who_came_first_goes_first() -> None:
    gate = InitGate(2)
    inside = [await gate.enter(), await gate.enter()]
    order: list[int] = []

    async def enter(number: int) -> None:
        await gate.enter()
        order.append(number)

    waiting = [asyncio.create_task(enter(number)) for number in range(3)]
    await asyncio.sleep(0)
    while_full = list(order)
    inside[0]()
    inside[0]()  # a place is given back once, however often one says so
    await asyncio.sleep(0.01)

    assert while_full == []
    assert order == [0]
    inside[1]()
    await asyncio.sleep(0.01)
    assert order == [0, 1]
    for task in waiting:
        task.cancel()


async def test_who_stops_waiting_takes_no_place() -> None:
    gate = InitGate(1)
    leave = await gate.enter()
    waiting = asyncio.create_task(gate.enter())
    await asyncio.sleep(0)
    waiting.cancel()
    leave()

    async with asyncio.timeout(10):
        (await gate.enter())()


async def test_an_init_phase_that_only_waits_gives_its_place_back_in_time() -> None:
    gate = InitGate(1, place_s_max=0.01)
    leave_late = await gate.enter()

    async with asyncio.timeout(20):
        leave = await gate.enter()

    leave_late()  # its place is another's by now, and stays so
    waiting = asyncio.create_task(gate.enter())
    await asyncio.sleep(0)
    assert not waiting.done()
    leave()
    (await waiting)()

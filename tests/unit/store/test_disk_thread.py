"""The thread that blocks in the event loop's stead."""

import asyncio
import threading

import pytest

from workshape.store.disk_thread import DiskThread


async def test_work_is_done_in_the_order_it_came_and_off_the_event_loops_thread() -> None:
    thread = DiskThread("test")
    done: list[tuple[int, bool]] = []

    def work(number: int) -> int:
        done.append((number, threading.current_thread() is threading.main_thread()))
        return number * 2

    results = [thread.do(lambda number=number: work(number)) for number in range(5)]  # type: ignore[misc]
    values = [await result for result in results]
    thread.close()

    assert values == [0, 2, 4, 6, 8]
    assert done == [(number, False) for number in range(5)]


async def test_what_work_raises_is_told_to_whoever_wanted_it_done_and_the_next_goes_on() -> None:
    thread = DiskThread("test")

    def fail() -> None:
        raise OSError("no space left on device")

    failing, following = thread.do(fail), thread.do(lambda: "done")

    with pytest.raises(OSError, match="no space left"):
        await failing
    assert await following == "done"
    thread.close()


async def test_closing_waits_for_what_is_being_done_and_leaves_no_thread() -> None:
    thread = DiskThread("test-closing")
    begun, may_end, ended = threading.Event(), threading.Event(), []

    def work() -> None:
        begun.set()
        may_end.wait(30)
        ended.append(True)

    thread.do(work)
    await asyncio.to_thread(begun.wait, 30)
    may_end.set()
    thread.close()

    assert ended == [True]
    assert not any(one.name == "test-closing" for one in threading.enumerate())

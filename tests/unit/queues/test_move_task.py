"""Which move tasks there may be, and how fast they go, by advancing `now`."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workshape.queues.model import InvalidParameter, QueueNumber
from workshape.queues.move_task import (
    MovePace,
    MoveStatus,
    MoveTask,
    MoveTaskNotActive,
    MoveTaskNotFound,
    MoveTaskRunning,
    MoveTasks,
    TooManyMoveTasks,
)

NOW = 1_700_000_000.0
DEAD = QueueNumber(1)


def task(task_id: str, source: QueueNumber = DEAD, rate_max: int | None = None) -> MoveTask:
    return MoveTask(task_id, source, "arn:source", "", rate_max, 10, NOW + int(task_id))


def test_one_task_at_a_time_moves_a_queues_messages() -> None:
    tasks = MoveTasks()
    tasks.add(task("1"))

    with pytest.raises(MoveTaskRunning):
        tasks.add(task("2"))
    tasks.put(tasks["1"].became(MoveStatus.COMPLETED))
    tasks.add(task("2"))

    assert [one.id for one in tasks.of(DEAD, 10)] == ["2", "1"]


def test_the_last_ten_tasks_of_a_queue_are_remembered() -> None:
    tasks = MoveTasks()
    forgotten = []

    for number in range(12):
        forgotten += tasks.add(task(str(number)))
        tasks.put(tasks[str(number)].became(MoveStatus.COMPLETED))

    assert forgotten == ["0", "1"]
    assert [one.id for one in tasks.of(DEAD, 10)] == [str(number) for number in range(11, 1, -1)]


def test_a_hundred_tasks_are_active_at_most() -> None:
    tasks = MoveTasks()
    for number in range(100):
        tasks.add(task(str(number), QueueNumber(number)))

    with pytest.raises(TooManyMoveTasks, match="100 message movement tasks"):
        tasks.add(task("100", QueueNumber(100)))


@pytest.mark.parametrize("rate_max", [0, 501, -1])
def test_a_rate_is_one_to_five_hundred_a_second(rate_max: int) -> None:
    with pytest.raises(InvalidParameter, match="between 1 and 500"):
        MoveTasks().add(task("1", rate_max=rate_max))


def test_only_a_running_task_can_be_cancelled() -> None:
    tasks = MoveTasks()
    tasks.add(task("1"))

    assert tasks.cancel("1").status is MoveStatus.CANCELLING
    with pytest.raises(MoveTaskNotActive, match="this one is CANCELLING"):
        tasks.cancel("1")
    with pytest.raises(MoveTaskNotFound, match="message movement task 2 does not exist"):
        tasks.cancel("2")


def test_a_status_follows_only_where_it_may() -> None:
    completed = task("1").became(MoveStatus.COMPLETED)

    with pytest.raises(AssertionError, match="COMPLETED -> RUNNING"):
        completed.became(MoveStatus.RUNNING)
    with pytest.raises(AssertionError):
        task("1").became(MoveStatus.CANCELLED)


def test_a_task_is_overdue_after_36_hours() -> None:
    assert not task("0").is_overdue(NOW + 36 * 3_600 - 1)
    assert task("0").is_overdue(NOW + 36 * 3_600)


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 500), st.lists(st.floats(0, 3), max_size=60))
def test_a_pace_is_never_exceeded_in_any_second_and_nobody_waits_in_vain(rate_max: int, waits: list[float]) -> None:
    now = 0.0
    pace = MovePace(rate_max, now)
    moves: list[tuple[float, int]] = []

    for seconds in waits:
        now += seconds
        count = pace.allowed(now)
        pace.note(count)
        moves.append((now, count))
        in_the_last_second = sum(count for at, count in moves if now - at < 1)
        assert in_the_last_second <= 2 * rate_max, "a second's worth was saved, and a second's worth is due"
        assert pace.allowed(now + pace.wait_s(now) + 1e-6) >= 1

    total = sum(count for _, count in moves)
    assert total <= rate_max * now + 1


def test_without_a_rate_there_is_no_wait() -> None:
    pace = MovePace(None, NOW)
    pace.note(1_000)

    assert pace.allowed(NOW) > 0
    assert pace.wait_s(NOW) == 0

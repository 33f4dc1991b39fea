"""EventBridge Scheduler's schedules, alive: what they invoke and when, to their completion, over restarts."""

import asyncio
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.fakes.shifted_clock import ShiftedClock
from workshape.delivery import Delivered, Delivery, DeliveryOutcome, Undelivered
from workshape.events.event_metrics import EventMetrics
from workshape.events.retry import RetryPolicy
from workshape.events.scheduler.model import (
    GroupNotFound,
    InvalidDates,
    InvalidScheduleExpression,
    InvalidTimeZone,
    Schedule,
    ScheduleExists,
    ScheduleNotFound,
    ScheduleTarget,
)
from workshape.events.scheduler.schedules import Schedules
from workshape.events.target_queue import TargetQueue
from workshape.events.targets import Targets
from workshape.store.documents import Documents

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC).timestamp()
ARN = "arn:aws:scheduler:us-east-1:123456789012:schedule/default/s"
WAIT_S_MAX = 30.0


class Stage:
    """Schedules on a store, and the target queue under them; each is another start."""

    def __init__(self, folder: Path, clock: ShiftedClock) -> None:
        self.store = Documents(folder / "store.sqlite")
        self.delivered: list[tuple[str, Delivery]] = []
        self.outcome: DeliveryOutcome = Delivered()
        self.queue = TargetQueue(self.store, self.deliver, EventMetrics(), clock)
        self.schedules = Schedules(self.store, self.queue, clock, region="us-east-1", account="123456789012")

    async def deliver(self, arn: str, delivery: Delivery) -> DeliveryOutcome:
        """Take what is delivered; dead letters too."""
        self.delivered.append((arn, delivery))
        return Delivered() if arn == "arn:dead" else self.outcome

    async def run_until_delivered(self, count: int) -> None:
        targets = Targets(self.deliver, self._call_api, self._forward, self._forward)
        running = [asyncio.create_task(self.schedules.run()), asyncio.create_task(self.queue.run(targets.send))]
        async with asyncio.timeout(WAIT_S_MAX):
            while len(self.delivered) < count or len(self.queue):
                await asyncio.sleep(0.005)
        for task in running:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    async def _call_api(self, arn: str, text: str) -> DeliveryOutcome:
        return await self.deliver(arn, Delivery(text))

    async def _forward(self, _invocation: object) -> DeliveryOutcome:
        raise AssertionError("schedules forward nothing")


def schedule(expression: str, *, target: dict[str, Any] | None = None, **more: Any) -> Schedule:
    given = {"arn": "arn:aws:sqs:us-east-1:123456789012:q", "role_arn": "arn:r", **(target or {})}
    return Schedule(group="default", name="s", expression=expression, target=ScheduleTarget(**given), **more)


async def test_a_single_time_comes_once_and_then_the_schedule_is_deleted_if_it_is_to_be(tmp_path: Path) -> None:
    clock = ShiftedClock(NOON - 40)
    stage = Stage(tmp_path, clock)
    stage.schedules.create(schedule("at(2026-01-01T12:00:00)", deleted_when_complete=True))
    clock.shift(39.9)

    await stage.run_until_delivered(1)

    assert len(stage.delivered) == 1
    assert clock.wall_s() >= NOON
    with pytest.raises(ScheduleNotFound):
        stage.schedules.schedule("default", "s")


async def test_a_schedule_that_is_not_to_be_deleted_stays_when_it_is_complete(tmp_path: Path) -> None:
    clock = ShiftedClock(NOON - 10)
    stage = Stage(tmp_path, clock)
    made = stage.schedules.create(schedule("at(2026-01-01T11:59:49)"))

    await stage.run_until_delivered(1)

    assert stage.schedules.schedule("default", "s") == made
    assert stage.schedules.next_run_at(made) is None


async def test_a_failure_is_deleted_too_once_it_is_given_up(tmp_path: Path) -> None:
    clock = ShiftedClock(NOON)
    stage = Stage(tmp_path, clock)
    stage.outcome = Undelivered("AWS.SimpleQueueService.NonExistentQueue", "no such queue", retryable=False)
    given = {"dead_letter_arn": "arn:dead", "input": '{"n": 1}'}
    stage.schedules.create(schedule("at(2026-01-01T12:00:00)", target=given, deleted_when_complete=True))

    await stage.run_until_delivered(2)

    letter = dict(stage.delivered)["arn:dead"]
    attributes = {name: value.text for name, value in letter.attributes.items()}
    assert len(attributes.pop("EXECUTION_ID") or "") == 16
    assert letter.body == '{"n": 1}'
    assert attributes == {
        "ERROR_CODE": "AWS.SimpleQueueService.NonExistentQueue",
        "ERROR_MESSAGE": "no such queue",
        "IS_PAYLOAD_TRUNCATED": "false",
        "RETRY_ATTEMPTS": "0",
        "SCHEDULED_TIME": "2026-01-01T12:00:00Z",
        "SCHEDULE_ARN": ARN,
        "TARGET_ARN": "arn:aws:sqs:us-east-1:123456789012:q",
    }
    assert not stage.schedules.schedules()


async def test_keywords_of_the_input_are_replaced_at_each_attempt(tmp_path: Path) -> None:
    clock = ShiftedClock(NOON)
    stage = Stage(tmp_path, clock)
    stage.outcome = Undelivered("ServiceException", "not now", retryable=True, status=500)
    text = (
        "<aws.scheduler.schedule-arn> <aws.scheduler.scheduled-time> "
        "<aws.scheduler.execution-id> <aws.scheduler.attempt-number> <aws.scheduler.other>"
    )
    policy = RetryPolicy(retries_max=1)
    stage.schedules.create(schedule("at(2026-01-01T12:00:00)", target={"input": text, "retry": policy}))

    await stage.run_until_delivered(2)

    (first, second) = [delivery.body.split() for _, delivery in stage.delivered]
    assert first[:2] == [ARN, "2026-01-01T12:00:00Z"]
    assert len(first[2]) == 16
    assert first[2] == second[2]
    assert [first[3], second[3]] == ["1", "2"]
    assert first[4] == "<aws.scheduler.other>"


async def test_a_rate_is_due_at_once_and_without_an_input_the_target_is_told_of_the_schedule(tmp_path: Path) -> None:
    clock = ShiftedClock(NOON)
    stage = Stage(tmp_path, clock)
    made = stage.schedules.create(schedule("rate(5 minutes)"))

    await stage.run_until_delivered(1)

    told = msgspec.json.decode(stage.delivered[0][1].body)
    assert told["source"] == "aws.scheduler"
    assert told["resources"] == [ARN]
    assert told["time"] == "2026-01-01T12:00:00Z"
    assert stage.schedules.next_run_at(made) == made.counts_from + 300


async def test_an_event_bus_gets_the_input_as_the_detail(tmp_path: Path) -> None:
    stage = Stage(tmp_path, ShiftedClock(NOON))
    bus = {"arn": "arn:aws:events:us-east-1:123456789012:event-bus/b", "input": '{"n":1}'}
    target = {**bus, "source": "clock", "detail_type": "Tick"}
    stage.schedules.create(schedule("at(2026-01-01T12:00:00)", target=target))

    await stage.run_until_delivered(1)

    ((_, delivery),) = stage.delivered
    assert delivery.envelope is not None
    assert (delivery.envelope.source, delivery.envelope.detail_type, delivery.body) == ("clock", "Tick", '{"n":1}')


async def test_a_single_time_that_passed_while_nothing_ran_is_late_rather_than_lost(tmp_path: Path) -> None:
    clock = ShiftedClock(NOON - 40)
    Stage(tmp_path, clock).schedules.create(schedule("at(2026-01-01T12:00:00)"))
    clock.shift(5 * 3_600)

    after = Stage(tmp_path, clock)
    await after.run_until_delivered(1)
    once_more = Stage(tmp_path, clock)

    assert len(after.delivered) == 1
    assert once_more.schedules.next_run_at(once_more.schedules.schedule("default", "s")) is None


async def test_a_single_time_older_than_its_policy_keeps_an_event_is_missed(tmp_path: Path) -> None:
    clock = ShiftedClock(NOON - 40)
    target = {"retry": RetryPolicy(age_s_max=60)}
    Stage(tmp_path, clock).schedules.create(schedule("at(2026-01-01T12:00:00)", target=target))
    clock.shift(3_600)

    after = Stage(tmp_path, clock)

    assert after.schedules.next_run_at(after.schedules.schedule("default", "s")) is None


def test_an_update_replaces_everything_and_begins_anew_only_where_the_times_change(tmp_path: Path) -> None:
    clock = ShiftedClock(NOON)
    stage = Stage(tmp_path, clock)
    made = stage.schedules.create(schedule("rate(1 hour)", description="old", starts_at=NOON + 60))
    clock.shift(600)

    same = stage.schedules.update(schedule("rate(1 hour)", starts_at=NOON + 60))
    other = stage.schedules.update(schedule("rate(2 hours)"))

    assert (same.description, same.created_at, same.counts_from) == ("", made.created_at, made.counts_from)
    assert other.counts_from == other.modified_at
    assert stage.schedules.next_run_at(other) == other.counts_from


def test_start_and_end_mean_nothing_to_a_single_time(tmp_path: Path) -> None:
    stage = Stage(tmp_path, ShiftedClock(NOON))

    made = stage.schedules.create(schedule("at(2026-01-01T12:10:00)", starts_at=NOON - 3_600, ends_at=NOON - 1))

    assert stage.schedules.next_run_at(made) == NOON + 600


def test_a_disabled_schedule_is_not_due(tmp_path: Path) -> None:
    stage = Stage(tmp_path, ShiftedClock(NOON))

    made = stage.schedules.create(schedule("rate(1 hour)", state="DISABLED"))

    assert stage.schedules.next_run_at(made) is None


def test_the_same_request_again_is_no_conflict(tmp_path: Path) -> None:
    stage = Stage(tmp_path, ShiftedClock(NOON))
    made = stage.schedules.create(schedule("rate(1 hour)", token="t"))

    again = stage.schedules.create(schedule("rate(1 hour)", token="t"))

    assert again == made
    with pytest.raises(ScheduleExists):
        stage.schedules.create(schedule("rate(1 hour)", token="u"))


def test_the_same_change_or_deletion_again_does_nothing(tmp_path: Path) -> None:
    clock = ShiftedClock(NOON)
    stage = Stage(tmp_path, clock)
    stage.schedules.create_group("g", {}, "")
    stage.schedules.create(schedule("rate(1 hour)"))

    changed = stage.schedules.update(schedule("rate(2 hours)", token="t"))
    clock.shift(60)
    again = stage.schedules.update(schedule("rate(2 hours)", token="t"))
    other = stage.schedules.update(schedule("rate(2 hours)", token="u"))
    stage.schedules.delete(changed.group, changed.name, "gone")
    stage.schedules.delete(changed.group, changed.name, "gone")
    stage.schedules.delete_group("g", "group gone")
    stage.schedules.delete_group("g", "group gone")

    assert again == changed
    assert other.modified_at >= changed.modified_at + 60
    with pytest.raises(ScheduleNotFound):
        stage.schedules.delete(changed.group, changed.name, "another")
    with pytest.raises(ScheduleNotFound):
        stage.schedules.delete(changed.group, changed.name)
    with pytest.raises(GroupNotFound):
        stage.schedules.delete_group("g", "another")


def test_a_group_takes_its_schedules_with_it(tmp_path: Path) -> None:
    clock = ShiftedClock(NOON)
    stage = Stage(tmp_path, clock)
    stage.schedules.create_group("g", {}, "")
    made = stage.schedules.create(msgspec.structs.replace(schedule("rate(1 hour)"), group="g"))

    stage.schedules.delete_group("g")

    assert stage.schedules.next_run_at(made) is None
    with pytest.raises(GroupNotFound):
        stage.schedules.schedules("g")
    assert not Stage(tmp_path, clock).schedules.schedules()


@pytest.mark.parametrize(
    ("given", "error"),
    [
        (schedule("every day"), InvalidScheduleExpression),
        (schedule("at(2026-01-01T11:58:00)"), InvalidScheduleExpression),
        (schedule("rate(1 day)", time_zone="Mars/Olympus"), InvalidTimeZone),
        (schedule("rate(1 day)", starts_at=NOON - 301), InvalidDates),
        (schedule("rate(1 day)", ends_at=NOON - 1), InvalidDates),
        (schedule("rate(1 day)", starts_at=NOON + 10, ends_at=NOON + 10), InvalidDates),
    ],
)
def test_what_will_never_be_due_is_refused(tmp_path: Path, given: Schedule, error: type[Exception]) -> None:
    stage = Stage(tmp_path, ShiftedClock(NOON))

    with pytest.raises(error):
        stage.schedules.create(given)

    assert not stage.schedules.schedules()

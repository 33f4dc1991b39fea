"""Rules with schedules: what they send, once for each time, over restarts and changes."""

import asyncio
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest

from tests.fakes.shifted_clock import ShiftedClock
from workshape.delivery import Delivered, Delivery, DeliveryOutcome
from workshape.events.archives import Archives
from workshape.events.bus import FIRED_KIND, EventBridge
from workshape.events.buses import Buses
from workshape.events.event_metrics import EventMetrics
from workshape.events.model import BusName, Rule, RuleName, Target
from workshape.events.target_queue import DOCUMENT_KIND, TargetQueue
from workshape.store.documents import Documents
from workshape.store.timelines import Timelines

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC).timestamp()
ARN = "arn:aws:events:us-east-1:123456789012:rule/tick"
WAIT_S_MAX = 30.0


async def nowhere(_arn: str, _delivery: Delivery) -> DeliveryOutcome:
    return Delivered()


class Stage:
    """A bus on a store; each is another start."""

    def __init__(self, folder: Path, clock: ShiftedClock) -> None:
        self.store = Documents(folder / "store.sqlite")
        self.buses = Buses(self.store, clock, region="us-east-1", account="123456789012")
        queue = TargetQueue(self.store, nowhere, EventMetrics(), clock)
        archives = Archives(self.store, Timelines(folder / "archives.sqlite"), self.buses, clock)
        self.bridge = EventBridge(self.store, self.buses, archives, queue, EventMetrics(), clock)

    def put_rule(self, schedule: str) -> None:
        rule = Rule(bus=BusName("default"), name=RuleName("tick"), schedule=schedule)
        self.buses.put_rule(rule)
        self.buses.put_targets("default", "tick", [Target(id="1", arn="arn:t")])

    def sent(self) -> list[dict[str, object]]:
        """The events that are on their way."""
        documents = [msgspec.msgpack.decode(document) for _, document in self.store.all(DOCUMENT_KIND)]
        return [msgspec.json.decode(document["body"]) for document in documents]

    async def run_until_sent(self, count: int) -> None:
        running = asyncio.create_task(self.bridge.run())
        async with asyncio.timeout(WAIT_S_MAX):
            while len(self.sent()) < count:
                await asyncio.sleep(0.005)
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running


async def test_a_rule_sends_the_scheduled_event_that_aws_documents(tmp_path: Path) -> None:
    clock = ShiftedClock(NOON - 40)
    stage = Stage(tmp_path, clock)
    stage.put_rule("cron(0 12 * * ? *)")
    clock.shift(39.9)

    await stage.run_until_sent(1)

    (event,) = stage.sent()
    assert event.pop("id")
    assert event == {
        "version": "0",
        "detail-type": "Scheduled Event",
        "source": "aws.events",
        "account": "123456789012",
        "time": "2026-01-01T12:00:00Z",
        "region": "us-east-1",
        "resources": [ARN],
        "detail": {},
    }
    assert clock.wall_s() >= NOON
    assert stage.bridge.next_run_at(ARN) == NOON + 86_400


async def test_what_ran_just_before_a_restart_is_not_run_again(tmp_path: Path) -> None:
    clock = ShiftedClock(NOON - 40)
    before = Stage(tmp_path, clock)
    before.put_rule("cron(* * * * ? *)")
    clock.shift(39.9)
    await before.run_until_sent(1)

    after = Stage(tmp_path, clock)

    assert after.bridge.next_run_at(ARN) == NOON + 60


async def test_what_was_due_during_a_short_restart_is_run_after_it(tmp_path: Path) -> None:
    clock = ShiftedClock(NOON - 30)
    Stage(tmp_path, clock).put_rule("cron(0 12 * * ? *)")
    clock.shift(40)

    after = Stage(tmp_path, clock)
    await after.run_until_sent(1)

    assert [event["time"] for event in after.sent()] == ["2026-01-01T12:00:00Z"]


def test_what_was_due_while_nothing_ran_for_long_waits_for_its_next_time(tmp_path: Path) -> None:
    clock = ShiftedClock(NOON - 30)
    Stage(tmp_path, clock).put_rule("rate(1 hour)")
    clock.shift(10 * 3_600 + 1_800)

    after = Stage(tmp_path, clock)

    assert after.bridge.next_run_at(ARN) == pytest.approx(NOON - 30 + 11 * 3_600, abs=5)


def test_a_change_of_targets_does_not_disturb_a_rate_and_another_schedule_begins_anew(tmp_path: Path) -> None:
    clock = ShiftedClock(NOON)
    stage = Stage(tmp_path, clock)
    stage.put_rule("rate(1 hour)")
    first = stage.bridge.next_run_at(ARN)
    clock.shift(600)

    stage.buses.put_targets("default", "tick", [Target(id="2", arn="arn:t")])
    same = stage.bridge.next_run_at(ARN)
    stage.put_rule("rate(2 hours)")

    assert first == same == pytest.approx(NOON + 3_600, abs=5)
    assert stage.bridge.next_run_at(ARN) == pytest.approx(NOON + 600 + 7_200, abs=5)


def test_a_disabled_rule_is_not_due_and_not_late_when_it_is_enabled(tmp_path: Path) -> None:
    clock = ShiftedClock(NOON - 30)
    stage = Stage(tmp_path, clock)
    stage.put_rule("cron(* * * * ? *)")
    stage.buses.set_state("default", "tick", "DISABLED")
    disabled = stage.bridge.next_run_at(ARN)
    clock.shift(50)

    stage.buses.set_state("default", "tick", "ENABLED")

    assert disabled is None
    assert stage.bridge.next_run_at(ARN) == NOON + 60


async def test_a_rule_that_is_gone_leaves_nothing(tmp_path: Path) -> None:
    clock = ShiftedClock(NOON - 40)
    stage = Stage(tmp_path, clock)
    stage.put_rule("cron(* * * * ? *)")
    clock.shift(39.9)
    await stage.run_until_sent(1)

    stage.buses.remove_targets("default", "tick", ["1"])
    stage.buses.delete_rule("default", "tick")

    assert stage.bridge.next_run_at(ARN) is None
    assert not stage.store.all(FIRED_KIND)

"""Deliveries that are tried again: each ends once, and none that was taken is lost."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.fakes.queue_clock import FakeClock
from workshape.delivery import Delivered, Delivery, DeliveryAttribute, DeliveryOutcome, Undelivered
from workshape.store.documents import Documents
from workshape.triggers.outbox import Outbox, OutboxFull
from workshape.triggers.redelivery import (
    AGE_S_MAX,
    BACKOFF_S_MAX,
    GivenUp,
    Pending,
    Sender,
    SenderKind,
    after_failure,
)

KIND = "pending-delivery"
SENDER = Sender(SenderKind.BUCKET, "pictures")
DELIVERY = Delivery("{}", {"a": DeliveryAttribute("Binary", data=b"\xff")}, subject="s")
BUSY = Undelivered("RequestThrottled", "later", retryable=True)
REFUSED = Undelivered("NoSuchQueue", "never", retryable=False)


class Road:
    """Delivers, or not, as told."""

    def __init__(self) -> None:
        self.outcome: DeliveryOutcome = Delivered()
        self.tried: list[tuple[str, Delivery]] = []

    async def deliver(self, arn: str, delivery: Delivery) -> DeliveryOutcome:
        self.tried.append((arn, delivery))
        return self.outcome


@asynccontextmanager
async def running(outbox: Outbox) -> AsyncIterator[None]:
    task = asyncio.create_task(outbox.run())
    yield
    for _ in range(20):
        await asyncio.sleep(0)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_what_is_delivered_at_once_leaves_nothing_behind(store: Documents) -> None:
    road = Road()
    outbox = Outbox(store, road.deliver, FakeClock())

    await outbox.hand_over(SENDER, "arn:a", DELIVERY)

    assert road.tried == [("arn:a", DELIVERY)]
    assert store.all(KIND) == []


async def test_what_fails_for_now_is_on_disk_and_tried_again_after_a_restart(store: Documents) -> None:
    road, clock = Road(), FakeClock()
    road.outcome = BUSY
    await Outbox(store, road.deliver, clock).hand_over(SENDER, "arn:a", DELIVERY)
    kept = len(store.all(KIND))

    road.outcome = Delivered()
    clock.wall += 1.0
    async with running(Outbox(store, road.deliver, clock)):
        pass

    assert kept == 1
    assert road.tried == [("arn:a", DELIVERY)] * 2, "the very same, attributes and all"
    assert store.all(KIND) == []


async def test_what_fails_for_good_is_told_and_not_kept(store: Documents) -> None:
    road, told = Road(), []
    road.outcome = REFUSED
    outbox = Outbox(store, road.deliver, FakeClock())
    outbox.report(SenderKind.BUCKET, lambda *told_of: told.append(told_of))

    await outbox.hand_over(SENDER, "arn:a", DELIVERY)

    assert told == [(SENDER, REFUSED, True)]
    assert store.all(KIND) == []


async def test_every_failure_on_the_way_is_told(store: Documents) -> None:
    road, clock, told = Road(), FakeClock(), []
    road.outcome = BUSY
    outbox = Outbox(store, road.deliver, clock)
    outbox.report(SenderKind.BUCKET, lambda *told_of: told.append(told_of[-1]))

    await outbox.hand_over(SENDER, "arn:a", DELIVERY)
    for outcome in (BUSY, REFUSED):
        road.outcome = outcome
        clock.wall += 10.0
        async with running(outbox):
            pass

    assert told == [False, False, True]
    assert store.all(KIND) == []


async def test_what_is_given_up_goes_to_its_dead_letter_queue_at_once_or_later(store: Documents) -> None:
    road, clock = Road(), FakeClock()
    subscription = Sender(SenderKind.SUBSCRIPTION, "arn:sub")
    outbox = Outbox(store, road.deliver, clock)

    road.outcome = REFUSED
    await outbox.hand_over(subscription, "arn:a", DELIVERY, dead_letter_arn="arn:dead")
    kept = len(store.all(KIND))
    road.outcome = Delivered()
    async with running(outbox):
        pass

    assert kept == 1
    assert [arn for arn, _ in road.tried] == ["arn:a", "arn:dead"]
    assert store.all(KIND) == []


def test_a_subscription_is_tried_as_often_as_sns_does() -> None:
    pending = Pending("p", Sender(SenderKind.SUBSCRIPTION, "n"), "arn:a", DELIVERY, 0.0, 0.0)
    waits = []

    while isinstance(following := after_failure(pending, BUSY, pending.due_at), Pending):
        waits.append(round(following.due_at - pending.due_at, 3))
        pending = following

    assert waits[:5] == [0.0, 0.0, 0.0, 1.0, 1.0]
    assert waits[5:15] == sorted(waits[5:15])
    assert (waits[5], waits[14], set(waits[15:])) == (1.0, 20.0, {20.0})
    assert len(waits) == 100_015
    assert 23 < pending.due_at / 86_400 < 24


async def test_more_than_can_wait_is_not_taken(store: Documents, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("workshape.triggers.outbox.PENDING_MAX", 1)
    road = Road()
    road.outcome = BUSY
    outbox = Outbox(store, road.deliver, FakeClock())
    await outbox.hand_over(SENDER, "arn:a", DELIVERY)

    with pytest.raises(OutboxFull, match="1 of 1"):
        await outbox.hand_over(SENDER, "arn:a", DELIVERY)


@given(st.lists(st.booleans(), max_size=20), st.sampled_from([SenderKind.BUCKET, SenderKind.DESTINATION]))
def test_every_delivery_ends_once_within_its_time(retryable: list[bool], kind: SenderKind) -> None:
    pending = Pending("p", Sender(kind, "n"), "arn:a", DELIVERY, 0.0, 0.0)
    ends = []

    for is_retryable in [*retryable, *[True] * 200]:
        now = pending.due_at
        following = after_failure(pending, Undelivered("C", "m", retryable=is_retryable), now)
        if isinstance(following, GivenUp):
            ends.append(following)
            break
        assert 1.0 <= round(following.due_at - now, 6) <= BACKOFF_S_MAX
        pending = following

    assert len(ends) == 1
    assert pending.due_at <= AGE_S_MAX

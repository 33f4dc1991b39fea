"""FIFO queues on a broker with a real folder, its clock in the test's hands."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.fakes.queue_clock import FakeClock
from workshape.queues.broker import Broker
from workshape.queues.model import (
    DeduplicationScope,
    FifoThroughputLimit,
    InvalidAttributeName,
    InvalidAttributeValue,
    InvalidParameter,
    MissingParameter,
    NewMessage,
    QueueAttributes,
    QueueDepth,
    QueueName,
    ReceivedMessage,
    RedrivePolicy,
    SentMessage,
    VisibilityChange,
)

ORDERS = QueueName("orders.fifo")
DEAD = QueueName("orders-dead.fifo")


async def open_broker(folder: Path, clock: FakeClock) -> Broker:
    return await Broker.open(folder, clock, region="us-east-1", account="123456789012")


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
async def broker(tmp_path: Path, clock: FakeClock) -> AsyncIterator[Broker]:
    broker = await open_broker(tmp_path, clock)
    await broker.create_queue(ORDERS, QueueAttributes(fifo=True, content_based_deduplication=True))
    yield broker
    await broker.close()


async def reopen(broker: Broker, folder: Path, clock: FakeClock) -> Broker:
    await broker.close()
    return await open_broker(folder, clock)


async def send(broker: Broker, *bodies: str, group: str = "a", queue: QueueName = ORDERS) -> list[SentMessage]:
    return await broker.send(queue, [NewMessage(body, group_id=group) for body in bodies])


async def receive(broker: Broker, queue: QueueName = ORDERS, count_max: int = 10) -> list[ReceivedMessage]:
    return await broker.receive(queue, count_max=count_max, wait_s=0)


def bodies(messages: list[ReceivedMessage]) -> list[str]:
    return [message.body for message in messages]


async def test_a_message_tells_its_group_its_deduplication_id_and_its_sequence_number(broker: Broker) -> None:
    (sent,) = await broker.send(ORDERS, [NewMessage("body", group_id="g", deduplication_id="d")])
    (received,) = await receive(broker)

    assert received.system_attributes["MessageGroupId"] == "g"
    assert received.system_attributes["MessageDeduplicationId"] == "d"
    assert received.system_attributes["SequenceNumber"] == sent.sequence_number
    assert len(sent.sequence_number) == 20


async def test_sequence_numbers_grow(broker: Broker) -> None:
    sent = await send(broker, "1", "2", "3")

    numbers = [int(one.sequence_number) for one in sent]
    assert numbers == sorted(set(numbers))


async def test_a_duplicate_is_accepted_and_not_delivered(broker: Broker) -> None:
    first, second, other = await send(broker, "same", "same", "other")
    (third,) = await send(broker, "same")

    assert first == second == third
    assert other.message_id != first.message_id
    assert bodies(await receive(broker)) == ["same", "other"]


async def test_a_duplicate_of_a_deleted_message_is_not_delivered_for_five_minutes(
    broker: Broker, clock: FakeClock
) -> None:
    await send(broker, "same")
    (received,) = await receive(broker)
    await broker.delete(ORDERS, [received.receipt_handle])

    clock.wall += 299
    await send(broker, "same")
    assert await receive(broker) == []

    clock.wall += 1
    await send(broker, "same")
    assert bodies(await receive(broker)) == ["same"]


async def test_a_deduplication_id_wins_over_the_content(broker: Broker) -> None:
    await broker.send(ORDERS, [NewMessage("same", group_id="g", deduplication_id=one) for one in ("1", "2", "1")])

    assert bodies(await receive(broker)) == ["same", "same"]


async def test_what_was_accepted_is_remembered_over_restarts_and_cleaning(
    broker: Broker, tmp_path: Path, clock: FakeClock
) -> None:
    await send(broker, "same")
    (received,) = await receive(broker)
    await broker.delete(ORDERS, [received.receipt_handle])

    for _ in range(3):
        broker = await reopen(broker, tmp_path, clock)
        await broker.clean()
        await broker.clean()
    clock.wall += 200
    await send(broker, "same")

    assert await receive(broker) == []
    assert broker.depth(ORDERS) == QueueDepth(0, 0, 0)
    clock.wall += 100
    broker = await reopen(broker, tmp_path, clock)
    await send(broker, "same")
    assert bodies(await receive(broker)) == ["same"]
    await broker.close()


async def test_a_purge_does_not_forget_what_was_accepted(broker: Broker, tmp_path: Path, clock: FakeClock) -> None:
    await send(broker, "same")
    await broker.purge_queue(ORDERS)

    broker = await reopen(broker, tmp_path, clock)
    await send(broker, "same")

    assert await receive(broker) == []
    await broker.close()


async def test_order_and_blocked_groups_outlive_a_restart(broker: Broker, tmp_path: Path, clock: FakeClock) -> None:
    await send(broker, "a1", "a2", "a3")
    await send(broker, "b1", group="b")
    (first,) = await receive(broker, count_max=1)

    broker = await reopen(broker, tmp_path, clock)

    assert bodies(await receive(broker)) == ["b1"]
    assert await broker.delete(ORDERS, [first.receipt_handle]) == [None]
    assert bodies(await receive(broker)) == ["a2", "a3"]
    await broker.close()


async def test_a_long_poll_wakes_when_a_group_becomes_free(broker: Broker) -> None:
    await send(broker, "a1", "a2")
    (first,) = await receive(broker, count_max=1)
    waiting = asyncio.create_task(broker.receive(ORDERS, count_max=10, wait_s=20))
    await asyncio.sleep(0)

    await broker.delete(ORDERS, [first.receipt_handle])

    async with asyncio.timeout(10):
        assert bodies(await waiting) == ["a2"]


async def test_groups_are_received_in_parallel(broker: Broker) -> None:
    waiting = [asyncio.create_task(broker.receive(ORDERS, count_max=10, wait_s=20)) for _ in "abc"]
    await asyncio.sleep(0)

    for group in "abc":
        await send(broker, f"{group}1", f"{group}2", group=group)

    async with asyncio.timeout(10):
        received = await asyncio.gather(*waiting)
    assert [bodies(messages) for messages in received] == [["a1", "a2"], ["b1", "b2"], ["c1", "c2"]]


async def test_a_receiver_that_went_away_blocks_no_group(broker: Broker) -> None:
    await send(broker, "a1")
    receiving = asyncio.create_task(broker.receive(ORDERS, count_max=1, wait_s=0))
    await asyncio.sleep(0)  # it waits for the disk now

    receiving.cancel()
    await asyncio.gather(receiving, return_exceptions=True)

    (again,) = await receive(broker)
    assert again.system_attributes["ApproximateReceiveCount"] == "1"


async def test_a_dead_letter_queue_has_the_message_as_a_new_one_of_its_group(
    broker: Broker, tmp_path: Path, clock: FakeClock
) -> None:
    dead = await broker.create_queue(DEAD, QueueAttributes(fifo=True))
    redrive = RedrivePolicy(dead.arn, 1)
    await broker.set_queue_attributes(ORDERS, QueueAttributes(fifo=True, visibility_timeout_s=10, redrive=redrive))
    await broker.send(ORDERS, [NewMessage(body, group_id="g", deduplication_id=body) for body in ("1", "2")])
    first, _ = await receive(broker)
    clock.wall += 10

    assert await receive(broker) == []
    broker = await reopen(broker, tmp_path, clock)
    moved, second = await receive(broker, DEAD)

    assert (moved.body, second.body) == ("1", "2")
    assert moved.message_id == first.message_id
    attributes = moved.system_attributes
    assert attributes["MessageDeduplicationId"] == moved.message_id
    assert attributes["DeadLetterQueueSourceArn"] == broker.queue(ORDERS).arn
    assert attributes["MessageGroupId"] == "g"
    assert attributes["ApproximateReceiveCount"] == "2"
    assert attributes["SentTimestamp"] == str(int(clock.wall * 1000)), "retention starts anew"
    assert int(attributes["SequenceNumber"]) > int(first.system_attributes["SequenceNumber"])
    await broker.close()


async def test_source_and_dead_letter_queue_are_of_one_kind(broker: Broker) -> None:
    standard = await broker.create_queue(QueueName("standard"))
    attributes = QueueAttributes(fifo=True, redrive=RedrivePolicy(standard.arn, 1))

    with pytest.raises(InvalidParameter, match="same type"):
        await broker.set_queue_attributes(ORDERS, attributes)
    with pytest.raises(InvalidParameter, match="same type"):
        await broker.set_queue_attributes(
            QueueName("standard"), QueueAttributes(redrive=RedrivePolicy(broker.queue(ORDERS).arn, 1))
        )


async def test_throughput_per_group_wants_deduplication_per_group(broker: Broker) -> None:
    per_group = FifoThroughputLimit.PER_MESSAGE_GROUP_ID
    scope = DeduplicationScope.MESSAGE_GROUP

    with pytest.raises(InvalidAttributeValue, match="allowed only when the value for DeduplicationScope"):
        await broker.set_queue_attributes(ORDERS, QueueAttributes(fifo=True, fifo_throughput_limit=per_group))
    await broker.set_queue_attributes(
        ORDERS, QueueAttributes(fifo=True, fifo_throughput_limit=per_group, deduplication_scope=scope)
    )

    for group in ("a", "b", "a"):
        await broker.send(ORDERS, [NewMessage("x", group_id=group, deduplication_id="same")])
    assert len(await receive(broker)) == 2


async def test_attributes_of_fifo_queues_are_none_of_a_standard_queue(broker: Broker) -> None:
    with pytest.raises(InvalidAttributeName, match="ContentBasedDeduplication"):
        await broker.create_queue(QueueName("standard"), QueueAttributes(content_based_deduplication=True))


async def test_a_batch_sends_what_a_fifo_queue_accepts(broker: Broker) -> None:
    outcomes = await broker.send_each(
        ORDERS, [NewMessage("1", group_id="a"), NewMessage("no group"), NewMessage("2", group_id="a")]
    )

    assert [type(outcome) for outcome in outcomes] == [SentMessage, MissingParameter, SentMessage]
    assert bodies(await receive(broker)) == ["1", "2"]


async def test_an_attempt_made_again_over_the_broker_gets_the_same_receipt_handles(broker: Broker) -> None:
    await send(broker, "1", "2")
    first = await broker.receive(ORDERS, count_max=10, wait_s=0, attempt_id="once")

    assert await broker.receive(ORDERS, count_max=10, wait_s=0, attempt_id="once") == first
    change = VisibilityChange(first[0].receipt_handle, 60)
    assert broker.change_visibility(ORDERS, [change]) == [None]
    assert await broker.receive(ORDERS, count_max=10, wait_s=0, attempt_id="once") == []


@pytest.mark.parametrize("cleanings", [0, 3])
async def test_an_attempt_can_be_made_again_over_a_restart(
    broker: Broker, tmp_path: Path, clock: FakeClock, cleanings: int
) -> None:
    await send(broker, "1", "2")
    first = await attempt(broker)
    clock.wall += 20
    for _ in range(cleanings):
        broker = await reopen(broker, tmp_path, clock)
        await broker.clean()
    again = await attempt(broker)
    for _ in range(cleanings):
        broker = await reopen(broker, tmp_path, clock)
        await broker.clean()
    broker = await reopen(broker, tmp_path, clock)
    clock.wall += 20

    restarted = await attempt(broker)
    await broker.delete(ORDERS, [first[0].receipt_handle])
    changed = await attempt(broker)
    await broker.close()

    assert bodies(first) == ["1", "2"]
    assert restarted == again == first
    assert changed == []


async def test_an_attempt_is_forgotten_five_minutes_after_it_was_first_made(
    broker: Broker, tmp_path: Path, clock: FakeClock
) -> None:
    await send(broker, "1")
    await attempt(broker, visibility_timeout_s=1_000)
    clock.wall += 200
    await attempt(broker, visibility_timeout_s=1_000)
    clock.wall += 100

    broker = await reopen(broker, tmp_path, clock)
    late = await attempt(broker)
    await broker.close()

    assert late == []


async def attempt(broker: Broker, visibility_timeout_s: int | None = None) -> list[ReceivedMessage]:
    return await broker.receive(
        ORDERS, count_max=10, wait_s=0, visibility_timeout_s=visibility_timeout_s, attempt_id="once"
    )

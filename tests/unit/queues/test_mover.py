"""Message move tasks on a broker with a real folder."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.fakes.queue_clock import FakeClock
from workshape.queues.broker import Broker
from workshape.queues.model import (
    InvalidParameter,
    NewMessage,
    QueueAttributes,
    QueueName,
    RedrivePolicy,
)
from workshape.queues.move_task import MoveStatus, MoveTask
from workshape.queues.mover import MoveQueueNotFound

DEAD, EVENTS, OTHER = QueueName("dead"), QueueName("events"), QueueName("other")
FIFO_DEAD, FIFO = QueueName("dead.fifo"), QueueName("orders.fifo")


async def open_broker(folder: Path, clock: FakeClock) -> Broker:
    return await Broker.open(folder, clock, region="us-east-1", account="123456789012")


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
async def broker(tmp_path: Path, clock: FakeClock) -> AsyncIterator[Broker]:
    broker = await open_broker(tmp_path, clock)
    for dead, names, fifo in ((DEAD, (EVENTS, OTHER), False), (FIFO_DEAD, (FIFO,), True)):
        arn = (await broker.create_queue(dead, QueueAttributes(fifo=fifo, content_based_deduplication=fifo))).arn
        redrive = RedrivePolicy(arn, 1)
        attributes = QueueAttributes(
            visibility_timeout_s=0, redrive=redrive, fifo=fifo, content_based_deduplication=fifo
        )
        for name in names:
            await broker.create_queue(name, attributes)
    yield broker
    await broker.close()


def arn(broker: Broker, name: QueueName) -> str:
    return broker.queue(name).arn


async def bodies(broker: Broker, name: QueueName) -> list[str]:
    messages = await broker.receive(name, count_max=1_000, wait_s=0, visibility_timeout_s=100)
    return [message.body for message in messages]


async def fail(broker: Broker, name: QueueName, *texts: str, group: str = "") -> None:
    """Send messages, and let them end in the dead-letter queue."""
    await broker.send(name, [NewMessage(text, group_id=group) for text in texts])
    for _ in range(2):
        await broker.receive(name, count_max=1_000, wait_s=0)


async def ended(broker: Broker, task: MoveTask) -> MoveTask:
    async with asyncio.timeout(30):
        while (now := broker.moves.list(task.source_arn, 1)[0]).is_active:
            await asyncio.sleep(0.001)
    return now


async def test_messages_go_back_to_where_each_came_from(broker: Broker, clock: FakeClock) -> None:
    await fail(broker, EVENTS, "a", "b")
    await fail(broker, OTHER, "c")
    clock.wall += 100

    task = await ended(broker, await broker.moves.start(arn(broker, DEAD)))

    assert (task.status, task.moved, task.to_move) == (MoveStatus.COMPLETED, 3, 3)
    assert await bodies(broker, EVENTS) == ["a", "b"]
    assert await bodies(broker, OTHER) == ["c"]
    assert await bodies(broker, DEAD) == []


async def test_a_moved_message_is_a_new_one(broker: Broker, clock: FakeClock) -> None:
    await fail(broker, EVENTS, "a")
    (dead,) = await broker.receive(DEAD, count_max=1, wait_s=0, visibility_timeout_s=0)
    clock.wall += 100

    await ended(broker, await broker.moves.start(arn(broker, DEAD)))
    (moved,) = await broker.receive(EVENTS, count_max=1, wait_s=0)

    assert moved.message_id != dead.message_id
    assert moved.system_attributes["SentTimestamp"] == str(int(clock.wall * 1000))
    assert moved.system_attributes["ApproximateReceiveCount"] == "1"
    assert "DeadLetterQueueSourceArn" not in moved.system_attributes


async def test_messages_go_to_one_destination_where_it_is_given(broker: Broker) -> None:
    await fail(broker, EVENTS, "a")
    await broker.send(DEAD, [NewMessage("sent here directly")])

    task = await ended(broker, await broker.moves.start(arn(broker, DEAD), arn(broker, OTHER)))

    assert task.status is MoveStatus.COMPLETED
    assert await bodies(broker, OTHER) == ["a", "sent here directly"]


async def test_a_message_of_no_source_ends_the_task_and_stays(broker: Broker) -> None:
    await fail(broker, EVENTS, "a")
    await broker.send(DEAD, [NewMessage("sent here directly")])

    task = await ended(broker, await broker.moves.start(arn(broker, DEAD)))

    assert (task.status, task.moved) == (MoveStatus.FAILED, 1)
    assert "CouldNotDetermineMessageSource" in task.failure_reason
    assert await bodies(broker, DEAD) == ["sent here directly"]


async def test_a_source_that_is_gone_ends_the_task(broker: Broker) -> None:
    await fail(broker, EVENTS, "a")
    await broker.delete_queue(EVENTS)

    task = await ended(broker, await broker.moves.start(arn(broker, DEAD)))

    assert task.status is MoveStatus.FAILED
    assert "arn:aws:sqs:us-east-1:123456789012:events, does not exist any more" in task.failure_reason
    assert await bodies(broker, DEAD) == ["a"]


async def test_groups_keep_their_order_on_the_way_back(broker: Broker) -> None:
    await fail(broker, FIFO, "a1", "a2", group="a")
    await fail(broker, FIFO, "b1", group="b")

    await ended(broker, await broker.moves.start(arn(broker, FIFO_DEAD)))

    assert await bodies(broker, FIFO) == ["a1", "a2", "b1"]


async def test_messages_in_flight_are_not_moved(broker: Broker) -> None:
    await fail(broker, EVENTS, "a", "b")
    (held,) = await broker.receive(DEAD, count_max=1, wait_s=0)

    task = await ended(broker, await broker.moves.start(arn(broker, DEAD)))

    assert (held.body, task.moved) == ("a", 1)
    assert await broker.delete(DEAD, [held.receipt_handle]) == [None]


async def test_a_rate_holds_a_task_back_and_cancelling_ends_it_at_once(broker: Broker) -> None:
    await fail(broker, EVENTS, *map(str, range(50)))
    task = await broker.moves.start(arn(broker, DEAD), rate_max=1)
    async with asyncio.timeout(30):
        while not broker.moves.list(task.source_arn, 1)[0].moved:
            await asyncio.sleep(0.001)

    cancelled = await broker.moves.cancel(task.id)
    last = await ended(broker, task)

    assert cancelled.status is MoveStatus.CANCELLING
    assert last.status is MoveStatus.CANCELLED
    assert last.moved == cancelled.moved < 50
    assert broker.depth(DEAD).visible + broker.depth(EVENTS).visible == 50


async def test_a_task_goes_on_after_a_restart_and_is_remembered(
    broker: Broker, tmp_path: Path, clock: FakeClock
) -> None:
    await fail(broker, EVENTS, *map(str, range(50)))
    slow = await broker.moves.start(arn(broker, DEAD), rate_max=1)
    async with asyncio.timeout(30):
        while not broker.moves.list(slow.source_arn, 1)[0].moved:
            await asyncio.sleep(0.001)
    await broker.close()

    broker = await open_broker(tmp_path, clock)
    for _ in range(2):
        await broker.clean()
    (going_on,) = broker.moves.list(slow.source_arn, 10)
    await broker.moves.cancel(slow.id)
    await ended(broker, slow)
    await ended(broker, await broker.moves.start(arn(broker, DEAD)))

    assert (going_on.id, going_on.status) == (slow.id, MoveStatus.RUNNING)
    assert going_on.moved >= 1
    assert sorted(await bodies(broker, EVENTS), key=int) == list(map(str, range(50)))
    await broker.close()
    broker = await open_broker(tmp_path, clock)
    statuses = [task.status for task in broker.moves.list(slow.source_arn, 10)]
    assert statuses == [MoveStatus.COMPLETED, MoveStatus.CANCELLED]
    await broker.close()


async def test_what_cannot_be_moved_is_refused(broker: Broker) -> None:
    missing = "arn:aws:sqs:us-east-1:123456789012:missing"

    with pytest.raises(MoveQueueNotFound, match="for the SourceArn parameter doesn't exist"):
        await broker.moves.start(missing)
    with pytest.raises(MoveQueueNotFound, match="for the DestinationArn parameter doesn't exist"):
        await broker.moves.start(arn(broker, DEAD), missing)
    with pytest.raises(InvalidParameter, match="must be configured as a Dead Letter Queue"):
        await broker.moves.start(arn(broker, EVENTS))
    with pytest.raises(InvalidParameter, match="cannot be the same"):
        await broker.moves.start(arn(broker, DEAD), arn(broker, DEAD))
    with pytest.raises(InvalidParameter, match="same type"):
        await broker.moves.start(arn(broker, DEAD), arn(broker, FIFO))
    with pytest.raises(MoveQueueNotFound):
        broker.moves.list(missing, 1)


async def test_a_queues_tasks_go_with_it(broker: Broker) -> None:
    await fail(broker, EVENTS, *map(str, range(5)))
    await broker.moves.start(arn(broker, DEAD), rate_max=1)

    await broker.delete_queue(DEAD)

    with pytest.raises(MoveQueueNotFound):
        broker.moves.list("arn:aws:sqs:us-east-1:123456789012:dead", 1)

"""The broker on a real folder, its clock in the test's hands."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from msgspec.structs import replace

from tests.fakes.queue_clock import FakeClock
from workshape.errors import CallerError
from workshape.queues import cleaning as cleaning_module
from workshape.queues import journal as journal_module
from workshape.queues import ledger as ledger_module
from workshape.queues import queue as queue_module
from workshape.queues.broker import Broker
from workshape.queues.model import (
    InvalidMessage,
    InvalidParameter,
    MessageAttribute,
    NewMessage,
    OverLimit,
    PurgeQueueInProgress,
    QueueAttributes,
    QueueDeletedRecently,
    QueueDepth,
    QueueDoesNotExist,
    QueueName,
    QueueNameExists,
    ReceiptHandleIsInvalid,
    ReceivedMessage,
    RedrivePolicy,
    VisibilityChange,
)

EVENTS = QueueName("events")
DEAD = QueueName("events-dlq")


async def open_broker(folder: Path, clock: FakeClock) -> Broker:
    return await Broker.open(folder, clock, region="us-east-1", account="123456789012")


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
async def broker(tmp_path: Path, clock: FakeClock) -> AsyncIterator[Broker]:
    broker = await open_broker(tmp_path, clock)
    await broker.create_queue(EVENTS)
    yield broker
    await broker.close()


async def reopen(broker: Broker, folder: Path, clock: FakeClock) -> Broker:
    await broker.close()
    return await open_broker(folder, clock)


async def send(broker: Broker, *bodies: str, queue: QueueName = EVENTS) -> None:
    await broker.send(queue, [NewMessage(body) for body in bodies])


async def receive(broker: Broker, queue: QueueName = EVENTS, count_max: int = 10) -> list[ReceivedMessage]:
    return await broker.receive(queue, count_max=count_max, wait_s=0)


async def with_dead_letters(broker: Broker, receive_count_max: int = 1) -> None:
    dead = await broker.create_queue(DEAD)
    redrive = RedrivePolicy(dead.arn, receive_count_max)
    await broker.set_queue_attributes(EVENTS, QueueAttributes(visibility_timeout_s=0, redrive=redrive))


async def test_a_message_comes_out_as_it_went_in(broker: Broker) -> None:
    attribute = MessageAttribute("Number.int", string_value="7")
    message = NewMessage("body", {"size": attribute}, group_id="tenant", trace_header="Root=1", sender_id="me")

    (sent,) = await broker.send(EVENTS, [message])
    (received,) = await receive(broker)

    assert received.message_id == sent.message_id
    assert received.body == "body"
    assert received.md5_of_body == sent.md5_of_body == "841a2d689ad86bd1611447453c22c6fc"
    assert received.message_attributes == {"size": attribute}
    assert received.md5_of_message_attributes == sent.md5_of_message_attributes
    assert received.system_attributes == {
        "SenderId": "me",
        "SentTimestamp": "1700000000000",
        "ApproximateReceiveCount": "1",
        "ApproximateFirstReceiveTimestamp": "1700000000000",
        "MessageGroupId": "tenant",
        "AWSTraceHeader": "Root=1",
    }


async def test_everything_is_found_again_after_a_restart(broker: Broker, tmp_path: Path, clock: FakeClock) -> None:
    await broker.tag_queue(EVENTS, {"team": "search"})
    await send(broker, "first", "second", "third")
    first, _ = await receive(broker, count_max=2)
    await broker.delete(EVENTS, [first.receipt_handle])

    again = await reopen(broker, tmp_path, clock)

    assert again.queue(EVENTS).tags == {"team": "search"}
    assert again.depth(EVENTS) == QueueDepth(visible=1, in_flight=1, delayed=0)
    assert [one.body for one in await receive(again)] == ["third"]
    clock.wall += 30
    assert [one.body for one in await receive(again)] == ["second", "third"]
    await again.close()


async def test_a_receipt_handle_works_across_a_restart(broker: Broker, tmp_path: Path, clock: FakeClock) -> None:
    await send(broker, "one")
    (received,) = await receive(broker)

    again = await reopen(broker, tmp_path, clock)
    assert again.change_visibility(EVENTS, [VisibilityChange(received.receipt_handle, 60)]) == [None]
    assert await again.delete(EVENTS, [received.receipt_handle]) == [None]

    clock.wall += 1_000
    assert await receive(again) == []
    await again.close()


async def test_a_handle_never_issued_is_refused_and_the_others_are_not(broker: Broker) -> None:
    await send(broker, "one")
    (received,) = await receive(broker)
    forged = received.receipt_handle[:-2] + ("AA" if received.receipt_handle[-2:] != "AA" else "BB")

    outcomes = await broker.delete(EVENTS, [forged, "nonsense", "ä", received.receipt_handle])

    assert [type(outcome) for outcome in outcomes] == [ReceiptHandleIsInvalid] * 3 + [type(None)]
    assert broker.depth(EVENTS) == QueueDepth(0, 0, 0)


async def test_deleting_twice_succeeds(broker: Broker) -> None:
    await send(broker, "one")
    (received,) = await receive(broker)

    assert await broker.delete(EVENTS, [received.receipt_handle, received.receipt_handle]) == [None, None]
    assert await broker.delete(EVENTS, [received.receipt_handle]) == [None]


async def test_a_long_poll_wakes_at_once_when_a_message_is_sent(broker: Broker) -> None:
    waiting = asyncio.create_task(broker.receive(EVENTS, count_max=10, wait_s=20))
    await asyncio.sleep(0)

    await send(broker, "now")

    async with asyncio.timeout(10):
        assert [one.body for one in await waiting] == ["now"]


async def test_who_waits_longest_is_served_first(broker: Broker) -> None:
    waiting = [asyncio.create_task(broker.receive(EVENTS, count_max=1, wait_s=20)) for _ in range(3)]
    await asyncio.sleep(0)

    await send(broker, "a", "b")

    async with asyncio.timeout(10):
        assert [(await one)[0].body for one in waiting[:2]] == ["a", "b"]
    assert not waiting[2].done()
    waiting[2].cancel()


async def test_an_empty_long_poll_ends_with_nothing(broker: Broker) -> None:
    assert await broker.receive(EVENTS, count_max=1, wait_s=0.01) == []


async def test_a_long_poll_wakes_when_a_visibility_timeout_is_cut_short(broker: Broker) -> None:
    await send(broker, "one")
    (received,) = await receive(broker)
    waiting = asyncio.create_task(broker.receive(EVENTS, count_max=1, wait_s=20))
    await asyncio.sleep(0)

    broker.change_visibility(EVENTS, [VisibilityChange(received.receipt_handle, 0)])

    async with asyncio.timeout(10):
        (again,) = await waiting
    assert again.system_attributes["ApproximateReceiveCount"] == "2"


async def test_messages_on_their_way_to_a_cancelled_receiver_go_to_the_next(broker: Broker) -> None:
    waiting = asyncio.create_task(broker.receive(EVENTS, count_max=1, wait_s=20))
    await asyncio.sleep(0)
    sending = asyncio.create_task(send(broker, "one"))
    await asyncio.sleep(0)

    waiting.cancel()
    await sending

    (received,) = await receive(broker)
    assert received.system_attributes["ApproximateReceiveCount"] == "1"


async def test_whoever_waits_on_a_deleted_queue_learns_of_it(broker: Broker) -> None:
    waiting = asyncio.create_task(broker.receive(EVENTS, count_max=1, wait_s=20))
    await asyncio.sleep(0)

    await broker.delete_queue(EVENTS)

    with pytest.raises(QueueDoesNotExist):
        await waiting
    assert broker.list_queues() == []


async def test_a_message_received_too_often_is_in_the_dead_letter_queue(
    broker: Broker, tmp_path: Path, clock: FakeClock
) -> None:
    await with_dead_letters(broker, receive_count_max=2)
    await send(broker, "poison")
    assert len(await receive(broker)) == 1
    assert len(await receive(broker)) == 1

    assert await receive(broker) == []

    again = await reopen(broker, tmp_path, clock)
    assert again.depth(EVENTS) == QueueDepth(0, 0, 0)
    (dead,) = await receive(again, DEAD)
    assert dead.body == "poison"
    assert dead.system_attributes["DeadLetterQueueSourceArn"] == again.queue(EVENTS).arn
    assert dead.system_attributes["ApproximateReceiveCount"] == "3"
    assert again.dead_letter_sources(DEAD) == [EVENTS]
    await again.close()


async def test_retention_in_a_dead_letter_queue_counts_from_the_original_sending(
    broker: Broker, clock: FakeClock
) -> None:
    await with_dead_letters(broker)
    await broker.set_queue_attributes(DEAD, QueueAttributes(retention_s=100))
    await send(broker, "poison")
    await receive(broker)
    clock.wall += 90
    assert await receive(broker) == []
    assert broker.depth(DEAD).visible == 1

    clock.wall += 10

    assert broker.depth(DEAD).visible == 0


async def test_a_redrive_wakes_whoever_waits_on_the_dead_letter_queue(broker: Broker) -> None:
    await with_dead_letters(broker)
    waiting = asyncio.create_task(broker.receive(DEAD, count_max=1, wait_s=20))
    await send(broker, "poison")
    await receive(broker)

    await receive(broker)

    async with asyncio.timeout(10):
        assert [one.body for one in await waiting] == ["poison"]


async def test_a_send_is_all_or_nothing_and_send_each_is_not(broker: Broker) -> None:
    messages = [NewMessage("fine"), NewMessage("x" * 1_048_577)]

    with pytest.raises(InvalidMessage, match="shorter than 1048576 bytes"):
        await broker.send(EVENTS, messages)
    assert broker.depth(EVENTS).visible == 0
    outcomes = await broker.send_each(EVENTS, messages)

    assert [isinstance(outcome, CallerError) for outcome in outcomes] == [False, True]
    assert broker.depth(EVENTS).visible == 1


async def test_creating_a_queue_again_is_harmless_unless_it_differs(broker: Broker) -> None:
    await broker.create_queue(EVENTS, QueueAttributes())

    with pytest.raises(QueueNameExists, match="DelaySeconds"):
        await broker.create_queue(EVENTS, QueueAttributes(delay_s=1))

    await broker.create_queue(EVENTS, QueueAttributes(delay_s=1), given={"visibility_timeout_s"})


async def test_a_deleted_queues_name_rests_for_a_minute(broker: Broker, tmp_path: Path, clock: FakeClock) -> None:
    await send(broker, "one")
    await broker.delete_queue(EVENTS)
    again = await reopen(broker, tmp_path, clock)

    with pytest.raises(QueueDeletedRecently):
        await again.create_queue(EVENTS)
    clock.wall += 60
    await again.create_queue(EVENTS)

    assert again.depth(EVENTS) == QueueDepth(0, 0, 0)
    await again.close()


async def test_purging_empties_a_queue_once_a_minute(broker: Broker, tmp_path: Path, clock: FakeClock) -> None:
    await send(broker, "a", "b")
    await receive(broker, count_max=1)

    await broker.purge_queue(EVENTS)

    with pytest.raises(PurgeQueueInProgress):
        await broker.purge_queue(EVENTS)
    again = await reopen(broker, tmp_path, clock)
    assert again.depth(EVENTS) == QueueDepth(0, 0, 0)
    await again.close()


async def test_a_short_poll_beyond_the_in_flight_limit_is_refused_and_a_long_one_waits(
    broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(queue_module, "IN_FLIGHT_MAX", 1)
    await send(broker, "a", "b")
    (first,) = await receive(broker)

    with pytest.raises(OverLimit):
        await receive(broker)
    waiting = asyncio.create_task(broker.receive(EVENTS, count_max=1, wait_s=20))
    await asyncio.sleep(0)
    await broker.delete(EVENTS, [first.receipt_handle])

    async with asyncio.timeout(10):
        assert [one.body for one in await waiting] == ["b"]


async def test_the_name_tells_a_fifo_queue_and_only_that(broker: Broker) -> None:
    with pytest.raises(InvalidParameter, match="belongs to a queue with FifoQueue=true"):
        await broker.create_queue(QueueName("orders.fifo"))
    with pytest.raises(InvalidParameter, match=r"must end with \.fifo"):
        await broker.create_queue(QueueName("orders"), QueueAttributes(fifo=True))


@pytest.mark.parametrize("name", ["", "a b", "x" * 81, "a.b"])
async def test_a_bad_name_is_refused(broker: Broker, name: str) -> None:
    with pytest.raises(InvalidParameter):
        await broker.create_queue(QueueName(name))


async def test_a_queue_whose_dead_letter_queue_is_gone_can_be_changed(broker: Broker) -> None:
    await with_dead_letters(broker)
    await broker.delete_queue(DEAD)
    attributes = broker.queue(EVENTS).attributes

    await broker.set_queue_attributes(EVENTS, replace(attributes, visibility_timeout_s=7))
    await broker.add_permission(EVENTS, "label", ["123456789012"], ["SendMessage"])

    assert broker.queue(EVENTS).attributes.visibility_timeout_s == 7
    assert attributes.redrive is not None
    with pytest.raises(InvalidParameter, match="does not exist"):
        await broker.set_queue_attributes(
            EVENTS, replace(attributes, redrive=replace(attributes.redrive, receive_count_max=9))
        )


async def test_a_dead_letter_queue_must_be_there(broker: Broker) -> None:
    missing = RedrivePolicy("arn:aws:sqs:us-east-1:123456789012:missing", 3)

    with pytest.raises(InvalidParameter, match="Dead letter target does not exist"):
        await broker.set_queue_attributes(EVENTS, QueueAttributes(redrive=missing))


async def test_retention_drops_messages_for_good(broker: Broker, tmp_path: Path, clock: FakeClock) -> None:
    await broker.set_queue_attributes(EVENTS, QueueAttributes(retention_s=60))
    await send(broker, "old")
    clock.wall += 60
    assert broker.depth(EVENTS).visible == 0

    await broker.set_queue_attributes(EVENTS, QueueAttributes(retention_s=1_000))
    again = await reopen(broker, tmp_path, clock)

    assert again.depth(EVENTS).visible == 0
    await again.close()


async def test_cleaning_keeps_what_is_there_and_drops_what_is_not(
    broker: Broker, tmp_path: Path, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal_module, "SEGMENT_BYTES", 2_000)
    monkeypatch.setattr(ledger_module, "JOURNAL_BYTES_MIN", 4_000)
    await with_dead_letters(broker)
    await broker.set_queue_attributes(EVENTS, QueueAttributes(redrive=RedrivePolicy(broker.queue(DEAD).arn, 1)))
    await send(broker, "kept")
    assert len(await receive(broker)) == 1
    for number in range(300):
        await send(broker, f"passing {number}")
        (passing,) = await receive(broker)
        await broker.delete(EVENTS, [passing.receipt_handle])
    clock.wall += 30
    assert await receive(broker) == []  # moves the kept one to the dead-letter queue
    await send(broker, "late")

    while broker._ledger.needs_cleaning:
        await broker.clean()

    on_disk = 0
    for path in tmp_path.glob("*.journal"):
        with contextlib.suppress(FileNotFoundError):  # cleaning goes on by itself, too
            on_disk += path.stat().st_size
    assert on_disk < 8_000
    again = await reopen(broker, tmp_path, clock)
    assert [one.body for one in await receive(again)] == ["late"]
    assert [one.body for one in await receive(again, DEAD)] == ["kept"]
    await again.close()


async def test_a_crash_at_any_moment_of_cleaning_loses_nothing_and_doubles_nothing(
    broker: Broker, tmp_path: Path, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal_module, "SEGMENT_BYTES", 1_500)
    monkeypatch.setattr(ledger_module, "CLEANED_BYTES_AT_ONCE", 300)
    await send(broker, *(f"kept {number}" for number in range(10)))
    for number in range(20):
        await send(broker, f"gone {number}")
    everything = [one for _ in range(3) for one in await receive(broker)]
    gone = [received.receipt_handle for received in everything if received.body.startswith("gone")]
    await broker.delete(EVENTS, gone)
    monkeypatch.setattr(cleaning_module, "INTERVAL_S", 3_600)

    images: list[dict[str, bytes]] = []
    real_write = journal_module._Files.write
    real_remove = journal_module._Files.remove_segment

    def snapshot() -> None:
        images.append({path.name: path.read_bytes() for path in tmp_path.glob("*.journal")})

    def write(*arguments: object) -> None:
        real_write(*arguments)  # type: ignore[arg-type]  # passed through as they came
        snapshot()

    def remove(*arguments: object) -> None:
        snapshot()
        real_remove(*arguments)  # type: ignore[arg-type]  # passed through as they came
        snapshot()

    monkeypatch.setattr(journal_module._Files, "write", write)
    monkeypatch.setattr(journal_module._Files, "remove_segment", remove)
    for _ in range(3):
        await broker.clean()
    monkeypatch.undo()

    assert len(images) > 8
    clock.wall += 60
    for number, image in enumerate(images):
        folder = tmp_path / f"crash-{number}"
        folder.mkdir()
        for name, data in image.items():
            folder.joinpath(name).write_bytes(data)
        recovered = await open_broker(folder, clock)
        found = sorted([one.body for one in await recovered.receive(EVENTS, count_max=100, wait_s=0)])
        await recovered.close()
        assert found == sorted(f"kept {kept}" for kept in range(10))

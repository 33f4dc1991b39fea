"""A bucket's notifications: on disk before its request is answered, and its configuration after a restart."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.fakes.invocations import FakeInvoke
from tests.fakes.queue_clock import FakeClock
from workshape.buckets.notification import (
    Cause,
    NotificationConfiguration,
    NotificationTarget,
    ObjectChange,
    ObjectEvent,
)
from workshape.delivery import Delivered, Delivery, DeliveryOutcome
from workshape.functions.async_queue import DOCUMENT_KIND, AsyncQueue
from workshape.functions.function_metrics import FunctionMetrics
from workshape.queues.broker import Broker
from workshape.queues.model import QueueName
from workshape.store.documents import Documents
from workshape.triggers.destinations import Destinations
from workshape.triggers.outbox import Outbox
from workshape.triggers.s3 import BucketNotifier, NoEventBuses, Place

WAIT_S_MAX = 10.0
CAUSE = Cause("127.0.0.1", "R", "H", 1_700_000_000.0)
FUNCTION = NotificationTarget(
    id="f", arn="arn:aws:lambda:us-east-1:123456789012:function:f", events=("ObjectCreated:*",), prefix="f/"
)
QUEUE = NotificationTarget(id="q", arn="arn:aws:sqs:us-east-1:123456789012:q", events=("ObjectCreated:*",), prefix="q/")


@pytest.fixture
async def notifier(tmp_path: Path) -> AsyncIterator[BucketNotifier]:
    store, clock = Documents(tmp_path / "store.sqlite"), FakeClock()
    broker = await Broker.open(tmp_path / "queues", clock, region="us-east-1", account="123456789012")
    await broker.create_queue(QueueName("q"))
    events = AsyncQueue(store, FakeInvoke(lambda _name, _qualifier: None), clock, FunctionMetrics())
    destinations = Destinations(
        broker, events.accept, lambda _name, _qualifier: None, region="us-east-1", account="123456789012"
    )
    outbox = Outbox(store, destinations.deliver, clock)
    yield BucketNotifier(store, destinations, outbox, clock, Place("us-east-1", "123456789012"))
    await broker.close()
    store.close()


async def test_a_functions_event_is_on_disk_when_the_upload_is_answered(
    notifier: BucketNotifier, tmp_path: Path
) -> None:
    await notifier.configure("b", NotificationConfiguration((FUNCTION, QUEUE)), CAUSE)

    await notifier.notify("b", [ObjectChange(ObjectEvent.PUT, "f/1", 5)], CAUSE)

    another = Documents(tmp_path / "store.sqlite")  # as the next process would find it
    kept = another.all(DOCUMENT_KIND)
    another.close()
    assert len(kept) == 1
    assert b"f/1" in kept[0][1]


async def test_what_one_request_did_to_many_objects_is_told_at_once(notifier: BucketNotifier, tmp_path: Path) -> None:
    waiting: list[str] = []
    all_here = asyncio.Event()

    async def deliver(arn: str, delivery: Delivery) -> DeliveryOutcome:
        waiting.append(json.loads(delivery.body)["Records"][0]["s3"]["object"]["key"])
        if len(waiting) == 3:
            all_here.set()
        await all_here.wait()
        return Delivered()

    await notifier.configure("b", NotificationConfiguration((FUNCTION, QUEUE)), CAUSE)
    store = Documents(tmp_path / "others.sqlite")
    outbox = Outbox(store, deliver, FakeClock())
    told = BucketNotifier(notifier._documents, notifier._destinations, outbox, FakeClock(), notifier._place)

    async with asyncio.timeout(WAIT_S_MAX):
        await told.notify("b", [ObjectChange(ObjectEvent.PUT, key) for key in ("f/1", "q/1", "f/2")], CAUSE)

    assert waiting == ["f/1", "q/1", "f/2"]
    store.close()


async def test_a_configuration_is_found_again(notifier: BucketNotifier, tmp_path: Path) -> None:
    configuration = NotificationConfiguration((FUNCTION, QUEUE))
    await notifier.configure("b", configuration, CAUSE)
    await notifier.configure("c", configuration, CAUSE)
    notifier.drop("c")

    another = Documents(tmp_path / "store.sqlite")
    again = BucketNotifier(
        another, notifier._destinations, notifier._outbox, FakeClock(), Place("us-east-1", "123456789012")
    )

    assert again.configuration("b") == configuration
    assert not again.wants("c")
    another.close()


async def test_an_event_bus_is_told_only_where_there_is_one(notifier: BucketNotifier) -> None:
    with pytest.raises(NoEventBuses):
        await notifier.configure("b", NotificationConfiguration(to_event_bridge=True), CAUSE)

    assert not notifier.wants("b")

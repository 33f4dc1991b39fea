"""A topic's mapping at work, on a topic in memory: order, commits, failures, partitions that change hands."""

import asyncio
import functools
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fakes.fast_time import FastClock, run_fast
from tests.fakes.topics import FakeReader, FakeTopic
from workshape.delivery import Delivered, Delivery, DeliveryOutcome, Undelivered
from workshape.errors import NotFound
from workshape.functions.batch_items import BatchItemFact
from workshape.functions.concurrency import TooManyRequests
from workshape.functions.model import LATEST, InvocationResult, RequestId
from workshape.streams.model import KafkaTopic, StartingPosition, TopicNotFound
from workshape.triggers.failure_delivery import FailureDelivery
from workshape.triggers.kafka import KafkaPoller
from workshape.triggers.model import EventSourceMapping, FailurePolicy, Pollers
from workshape.triggers.poller import Notes

TOPIC = KafkaTopic(("127.0.0.1:9092",), "orders", "group", StartingPosition.TRIM_HORIZON)
QUEUE = "arn:aws:sqs:us-east-1:123456789012:failed"
DONE_S_MAX = 2_000.0
"""In the time of `fast_time`: twenty seconds."""

Answer = Callable[[list[str]], Any]


class FunctionFails(Exception):
    """Raised by an answer."""


@dataclass
class Stage:
    """A topic, a function, and what they saw of each other."""

    topic: FakeTopic = field(default_factory=FakeTopic)
    answer: Answer = lambda _values: None
    batches: list[list[str]] = field(default_factory=list)
    """The values of each invocation, partition by partition."""
    seen: dict[int, list[int]] = field(default_factory=lambda: defaultdict(list))
    """The offsets of each partition, in the order in which they came."""
    busy: Counter[int] = field(default_factory=Counter)
    results: list[str] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    facts: list[BatchItemFact] = field(default_factory=list)
    told: list[dict[str, Any]] = field(default_factory=list)
    """What the on-failure destination got."""
    delivery: Callable[[], DeliveryOutcome] = Delivered
    reader: FakeReader = field(init=False)

    async def invoke(
        self, name: str, qualifier: str | None, payload: bytes, trigger: str, *, trace_id: str = ""
    ) -> InvocationResult:
        records = [each for those in msgspec.json.decode(payload)["records"].values() for each in those]
        partitions = {record["partition"] for record in records}
        assert not any(self.busy[partition] for partition in partitions), "one batch of a partition at a time"
        self.busy.update(partitions)
        try:
            await asyncio.sleep(0)
            values = [msgspec.json.decode(f'"{record["value"]}"', type=bytes).decode() for record in records]
            answer = self.answer(values)
            self.batches.append(values)
            for record in records:
                self.seen[record["partition"]].append(record["offset"])
            return InvocationResult(RequestId("r"), msgspec.json.encode(answer), LATEST)
        except FunctionFails:
            self.batches.append(values)
            for record in records:
                self.seen[record["partition"]].append(record["offset"])
            return InvocationResult(RequestId("r"), b"{}", LATEST, "Unhandled")
        finally:
            self.busy.subtract(partitions)

    async def deliver(self, arn: str, delivery: Delivery) -> DeliveryOutcome:
        assert arn == QUEUE
        outcome = self.delivery()
        if isinstance(outcome, Delivered):
            self.told.append(msgspec.json.decode(delivery.body))
        return outcome

    def poller(self, **changes: Any) -> KafkaPoller:
        plain = {"id": "m", "kafka": TOPIC, "function": "f", "function_arn": "arn", "batch_size": 100}
        mapping = EventSourceMapping(**{**plain, "batch_window_s": 0, **changes})
        self.reader = FakeReader(self.topic)
        notes = Notes(
            batch=lambda *_: None,
            items=self.facts.extend,
            result=self.results.append,
            count=lambda metric, value: self.counts.update({metric.value: value}),
        )
        failures = FailureDelivery(mapping, TOPIC, self.deliver, self.reader, FastClock())
        return KafkaPoller(mapping, TOPIC, self.reader, self.invoke, FastClock(), notes=notes, failures=failures)

    @asynccontextmanager
    async def polling(self, **changes: Any) -> AsyncIterator[KafkaPoller]:
        poller = self.poller(**changes)
        running = asyncio.create_task(poller.run())
        try:
            yield poller
        finally:
            poller.stop()
            await asyncio.wait((running,), timeout=DONE_S_MAX)
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
            assert self.reader.closed

    async def settled(self, condition: Callable[[], object]) -> None:
        async with asyncio.timeout(DONE_S_MAX):
            while not condition():
                await asyncio.sleep(0.001)


def fast(test: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., None]:
    """Run a test in fast time."""

    @functools.wraps(test)
    def run(**arguments: Any) -> None:
        run_fast(test(**arguments))

    return run


def reports(*bad: str) -> Answer:
    """Report these values as batch item failures; they stand at their place in partition 0."""

    def answer(values: list[str]) -> Any:
        named = [{"partition": "orders-0", "offset": int(value[1:])} for value in values if value in bad]
        return {"batchItemFailures": [{"itemIdentifier": each} for each in named]}

    return answer


@fast
async def test_records_come_in_order_by_partition_and_are_committed_when_they_are_done() -> None:
    stage = Stage(FakeTopic(partitions=3))
    for partition in range(3):
        stage.topic.write(partition, *(f"v{number}" for number in range(50)))

    async with stage.polling(batch_size=7):
        await stage.settled(lambda: stage.topic.is_finished)

    assert dict(stage.seen) == {partition: list(range(50)) for partition in range(3)}
    assert max(map(len, stage.batches)) == 7
    assert stage.counts["PolledEventCount"] == stage.counts["CommittedEventCount"] == 150
    assert stage.results[-1] == "OK"


@fast
async def test_what_filters_hold_back_is_committed_unseen() -> None:
    stage = Stage()
    stage.topic.write(0, '{"kind": "note"}', '{"kind": "order"}', "plain", '{"kind": "note"}')

    async with stage.polling(filters=('{"value": {"kind": ["order"]}}',)):
        await stage.settled(lambda: stage.topic.is_finished)

    assert stage.batches == [['{"kind": "order"}', "plain"]]
    assert stage.counts["FilteredOutEventCount"] == 2


@fast
async def test_a_failing_batch_stops_its_partitions_and_nothing_is_committed_past_it() -> None:
    stage = Stage(FakeTopic(partitions=2))
    stage.topic.write(0, "ok", "bad", "behind")
    stage.topic.write(1, "other")

    def answer(values: list[str]) -> None:
        if "bad" in values:
            raise FunctionFails

    stage.answer = answer
    async with stage.polling(batch_size=1, pollers=Pollers(1, 1)):
        await stage.settled(lambda: stage.batches.count(["bad"]) == 2 and stage.topic.committed.get(1) == 1)
        assert stage.topic.committed[0] == 1
        stage.answer = lambda _values: None
        await stage.settled(lambda: stage.topic.is_finished)

    assert stage.seen[0] == [0, *[1] * stage.batches.count(["bad"]), 2]
    assert any("Function call failed" in result for result in stage.results)


@fast
async def test_records_given_up_are_told_of_and_committed() -> None:
    stage = Stage()
    stage.topic.write(0, *(f"v{number}" for number in range(6)))

    def answer(values: list[str]) -> None:
        if "v3" in values:
            raise FunctionFails

    stage.answer = answer
    failures = FailurePolicy(QUEUE, retries_max=0, bisect=True)
    async with stage.polling(failures=failures, pollers=Pollers(1, 1)):
        await stage.settled(lambda: stage.topic.is_finished)

    (told,) = stage.told
    assert told["requestContext"]["condition"] == "RetryAttemptsExhausted"
    assert told["KafkaBatchInfo"]["recordsInfo"]["orders-0"]["firstRecordOffset"] == "3"
    assert stage.counts["OnFailureDestinationDeliveredEventCount"] == 1
    assert stage.counts["DroppedEventCount"] == 0


@fast
async def test_what_no_destination_takes_is_dropped_and_counted() -> None:
    stage = Stage(delivery=lambda: Undelivered("QueueDoesNotExist", "gone", retryable=False))
    stage.topic.write(0, "v0")

    def answer(_values: list[str]) -> None:
        raise FunctionFails

    stage.answer = answer
    async with stage.polling(failures=FailurePolicy(QUEUE, retries_max=0), pollers=Pollers(1, 1)):
        await stage.settled(lambda: stage.topic.is_finished)

    assert (stage.counts["DroppedEventCount"], stage.counts["OnFailureDestinationDeliveryErrorCount"]) == (1, 1)


@fast
async def test_a_topic_as_destination_gets_each_record_under_its_key() -> None:
    stage = Stage()
    stage.topic.write(0, "v0", "v1", key="k")

    def answer(_values: list[str]) -> None:
        raise FunctionFails

    stage.answer = answer
    async with stage.polling(failures=FailurePolicy("kafka://failed", retries_max=0), pollers=Pollers(1, 1)):
        await stage.settled(lambda: stage.topic.is_finished)

    assert [(topic, key) for topic, key, _ in stage.topic.produced] == [("failed", b"k")] * 2


@fast
async def test_only_what_is_reported_comes_again() -> None:
    stage = Stage()
    stage.topic.write(0, "v0", "v1", "v2")
    stage.answer = reports("v1")

    async with stage.polling(report_batch_item_failures=True, pollers=Pollers(1, 1)):
        await stage.settled(lambda: len(stage.batches) == 2)
        assert stage.topic.committed.get(0, 0) == 0
        stage.answer = lambda _values: None
        await stage.settled(lambda: stage.topic.is_finished)

    assert stage.batches[:2] == [["v0", "v1", "v2"], ["v1"]]
    assert [fact.receive_count for fact in stage.facts if fact.message_id == "orders-0@1"][:2] == [1, 2]


@fast
async def test_partitions_that_change_hands_are_read_from_what_is_committed() -> None:
    stage = Stage(FakeTopic(partitions=2))
    stage.topic.write(0, "a0", "a1")
    stage.topic.write(1, "b0")

    async with stage.polling():
        await stage.settled(lambda: stage.topic.is_finished)
        stage.reader.rebalance([1])
        stage.topic.write(0, "a2")
        stage.topic.write(1, "b1")
        await stage.settled(lambda: stage.topic.committed[1] == 2)
        assert stage.topic.committed[0] == 2
        stage.reader.rebalance([0, 1])
        await stage.settled(lambda: stage.topic.is_finished)

    assert dict(stage.seen) == {0: [0, 1, 2], 1: [0, 1]}


@fast
async def test_a_commit_that_fails_is_made_good_by_the_next() -> None:
    stage = Stage(FakeTopic(refuses_commits=1))
    stage.topic.write(0, "v0")

    async with stage.polling():
        await stage.settled(lambda: stage.counts["CommitErrorCount"] == 1)
        await stage.settled(lambda: stage.topic.is_finished)

    assert stage.batches == [["v0"]]


@pytest.mark.parametrize("missing", ["topic", "function"])
@fast
async def test_what_is_missing_ends_polling_with_its_name(missing: str) -> None:
    stage = Stage(FakeTopic(exists=missing == "function"))
    stage.topic.write(0, "v0")

    def answer(_values: list[str]) -> None:
        raise NotFound(kind="function", name="f")

    stage.answer = answer

    with pytest.raises(TopicNotFound if missing == "topic" else NotFound):
        await asyncio.wait_for(stage.poller().run(), DONE_S_MAX)

    assert stage.topic.committed == {}


@fast
async def test_what_is_committed_while_partitions_change_hands_is_not_read_again() -> None:
    stage = Stage()
    stage.topic.write(0, "a", "b", "c", "d")

    def answer(_values: list[str]) -> None:
        if not stage.batches:
            stage.reader.rebalance([0])

    stage.answer = answer
    async with stage.polling(batch_size=2):
        await stage.settled(lambda: stage.topic.is_finished)

    assert stage.seen[0] == [0, 1, 2, 3]


@given(
    partitions=st.integers(1, 3),
    written=st.lists(st.integers(0, 2), min_size=1, max_size=25),
    batch_size=st.integers(1, 5),
    policy=st.builds(FailurePolicy, st.sampled_from(["", QUEUE]), st.integers(0, 2), st.just(-1), st.booleans()),
    endings=st.lists(st.sampled_from(["ok", "ok", "fails", "throttled", "reports", "rebalance"]), max_size=12),
)
@settings(deadline=None, max_examples=40)
def test_every_record_is_done_or_told_of_whatever_goes_wrong(
    partitions: int, written: list[int], batch_size: int, policy: FailurePolicy, endings: list[str]
) -> None:
    """Failures, throttles, partial responses, rebalances: each record is done or given up, and all are committed."""

    async def run() -> None:
        stage = Stage(FakeTopic(partitions=partitions))
        for at, partition in enumerate(written):
            stage.topic.write(partition % partitions, f"{partition % partitions}:{at}")
        script, succeeded = iter(endings), Counter[str]()

        def answer(values: list[str]) -> Any:
            ending = next(script, "ok")
            if ending == "throttled":
                raise TooManyRequests(reason="Rate Exceeded.", reason_code="x")
            if ending == "rebalance":
                stage.reader.rebalance(range(partitions))
            if ending == "fails":
                raise FunctionFails
            if ending == "reports":
                value = values[0]
                place = [record.value for record in stage.topic.log[int(value[0])]].index(value.encode())
                named = {"partition": f"orders-{value[0]}", "offset": place}
                succeeded.update(values[1:])
                return {"batchItemFailures": [{"itemIdentifier": named}]}
            succeeded.update(values)
            return None

        stage.answer = answer
        changes = {"batch_size": batch_size, "failures": policy, "pollers": Pollers(1, 1)}
        async with stage.polling(**changes, report_batch_item_failures=True):
            await stage.settled(lambda: stage.topic.is_finished)

        given_up = stage.counts["OnFailureDestinationDeliveredEventCount"] + stage.counts["DroppedEventCount"]
        every = {record.value.decode() for log in stage.topic.log.values() for record in log if record.value}
        assert len({fact.message_id for fact in stage.facts}) == len(every)
        # What was done may be given again after a rebalance, and fail then: that is no loss.
        assert len(every - succeeded.keys()) <= given_up

    run_fast(run())

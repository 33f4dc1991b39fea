"""Messages on their way from a real queue through a mapping to a function: each is accounted for."""

import asyncio
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from tests.fakes.batch_function import FunctionFails, Records, report
from tests.integration.triggers.conftest import DEAD, EVENTS, Stage
from workshape.functions.batch_items import ItemOutcome
from workshape.functions.concurrency import TooManyRequests
from workshape.queues.model import MessageAttribute, NewMessage, QueueAttributes, RedrivePolicy
from workshape.triggers.model import EventSourceMapping, MappingState
from workshape.triggers.supervisor import MappingSupervisor

MakeMapping = Callable[..., EventSourceMapping]


async def hide_for(stage: Stage, visibility_timeout_s: int, receive_count_max: int = 3) -> None:
    redrive = RedrivePolicy(stage.broker.queue(DEAD).arn, receive_count_max)
    stage.timeout_s = 1
    await stage.broker.set_queue_attributes(
        EVENTS, QueueAttributes(visibility_timeout_s=visibility_timeout_s, redrive=redrive)
    )


async def test_every_message_reaches_the_function_once_and_is_deleted(
    stage: Stage, running: MappingSupervisor, make_mapping: MakeMapping
) -> None:
    bodies = [f"event {number}" for number in range(500)]
    running.create(make_mapping())

    await stage.send(*bodies)
    await stage.settled(lambda: stage.left() == 0)

    assert stage.function.deliveries == dict.fromkeys(bodies, 1)
    assert sum(items for items, _ in stage.batches) == 500
    assert stage.left(DEAD) == 0


async def test_exactly_the_poison_ends_in_the_dead_letter_queue(
    stage: Stage, running: MappingSupervisor, make_mapping: MakeMapping
) -> None:
    await hide_for(stage, 2)
    good = [f"good {number}" for number in range(200)]
    poison = [f"poison {number}" for number in range(7)]
    stage.function.answer = report(lambda body: body.startswith("poison"))

    running.create(make_mapping(report_batch_item_failures=True))
    await stage.send(*(good[:100] + poison + good[100:]))
    await stage.settled(lambda: stage.left() == 0 and stage.left(DEAD) == 7)

    assert await stage.bodies(DEAD) == poison
    assert {body: stage.function.deliveries[body] for body in good} == dict.fromkeys(good, 1)
    assert {body: stage.function.deliveries[body] for body in poison} == dict.fromkeys(poison, 3)
    assert sum(failures for _, failures in stage.batches) == 21
    assert [fact.outcome for fact in stage.facts].count(ItemOutcome.REPORTED) == 21


async def test_an_exception_brings_the_whole_batch_back(
    stage: Stage, running: MappingSupervisor, make_mapping: MakeMapping
) -> None:
    await hide_for(stage, 1, receive_count_max=2)

    def fail_with_poison(records: Records) -> None:
        if any(record["body"] == "poison" for record in records):
            raise FunctionFails("cannot")

    stage.function.answer = fail_with_poison
    await stage.send("good", "poison")
    view = running.create(make_mapping(report_batch_item_failures=True))
    await stage.settled(lambda: stage.left() == 0)

    assert await stage.bodies(DEAD) == ["good", "poison"]
    assert stage.function.deliveries == {"good": 2, "poison": 2}
    assert running.get(view.mapping.id).last_processing_result.startswith("PROBLEM: Function call failed")


async def test_without_partial_responses_a_reported_failure_is_success(
    stage: Stage, running: MappingSupervisor, make_mapping: MakeMapping
) -> None:
    stage.function.answer = report(lambda body: True)

    view = running.create(make_mapping())
    await stage.send("a", "b")
    await stage.settled(lambda: stage.left() == 0)

    assert stage.function.deliveries == {"a": 1, "b": 1}
    assert running.get(view.mapping.id).last_processing_result == "OK"


async def test_a_throttled_batch_is_tried_again_without_another_receive(
    stage: Stage, running: MappingSupervisor, make_mapping: MakeMapping
) -> None:
    refusals = iter([TooManyRequests(reason_code="ConcurrentInvocationLimitExceeded")] * 3)
    stage.function.refuse = lambda: next(refusals, None)
    stage.function.answer = lambda records: seen.extend(records)
    seen: Records = []

    running.create(make_mapping())
    await stage.send("one")
    await stage.settled(lambda: stage.left() == 0)

    assert stage.function.refused == 3
    assert [record["attributes"]["ApproximateReceiveCount"] for record in seen] == ["1"]


async def test_a_batch_throttled_past_its_visibility_timeout_is_dropped_and_comes_again(
    stage: Stage, running: MappingSupervisor, make_mapping: MakeMapping
) -> None:
    await hide_for(stage, 1, receive_count_max=50)
    throttled_until = time.monotonic() + 1.5
    stage.function.refuse = lambda: (
        TooManyRequests(reason_code="ConcurrentInvocationLimitExceeded") if time.monotonic() < throttled_until else None
    )
    seen: Records = []
    stage.function.answer = lambda records: seen.extend(records)

    running.create(make_mapping())
    await stage.send("one")
    await stage.settled(lambda: stage.left() == 0)

    assert [record["body"] for record in seen] == ["one"]
    assert int(seen[0]["attributes"]["ApproximateReceiveCount"]) > 1


async def test_a_window_gathers_what_comes_within_it(
    stage: Stage, running: MappingSupervisor, make_mapping: MakeMapping
) -> None:
    running.create(make_mapping(batch_size=100, batch_window_s=1, concurrency_max=2))
    await asyncio.sleep(0.05)

    for number in range(6):
        await stage.send(f"event {number}")
        await asyncio.sleep(0.03)
    await stage.settled(lambda: stage.left() == 0)

    assert len(stage.batches) <= 2  # as many as poll
    assert sum(items for items, _ in stage.batches) == 6


async def test_no_more_batches_are_under_way_than_the_mapping_allows(
    stage: Stage, running: MappingSupervisor, make_mapping: MakeMapping
) -> None:
    stage.function.takes_s = 0.02

    running.create(make_mapping(batch_size=1, concurrency_max=3))
    await stage.send(*(f"event {number}" for number in range(60)))
    await stage.settled(lambda: stage.left() == 0)

    assert stage.function.running_max == 3


async def test_more_batches_get_under_way_while_messages_wait(
    stage: Stage, running: MappingSupervisor, make_mapping: MakeMapping
) -> None:
    stage.function.takes_s = 0.1

    running.create(make_mapping(batch_size=1))
    await stage.send(*(f"event {number}" for number in range(150)))
    await stage.settled(lambda: stage.left() == 0)

    assert 6 <= stage.function.running_max <= 5 + 5 * 4  # five at first, five more a second
    assert set(stage.function.deliveries.values()) == {1}


async def test_records_are_shaped_as_lambda_shapes_them(
    stage: Stage, running: MappingSupervisor, make_mapping: MakeMapping
) -> None:
    attributes = {
        "kind": MessageAttribute("String", string_value="post"),
        "raw": MessageAttribute("Binary", binary_value=b"\x00\xff"),
    }
    running.create(make_mapping())

    await stage.broker.send(EVENTS, [NewMessage("body é", attributes)])
    await stage.settled(lambda: stage.left() == 0)

    (record,) = msgspec.json.decode(stage.function.payloads[0])["Records"]
    assert set(record) == {
        "messageId",
        "receiptHandle",
        "body",
        "attributes",
        "messageAttributes",
        "md5OfBody",
        "md5OfMessageAttributes",
        "eventSource",
        "eventSourceARN",
        "awsRegion",
    }
    assert (record["body"], record["eventSource"], record["awsRegion"]) == ("body é", "aws:sqs", "us-east-1")
    assert record["eventSourceARN"] == "arn:aws:sqs:us-east-1:123456789012:events"
    assert record["messageAttributes"] == {
        "kind": {"stringValue": "post", "stringListValues": [], "binaryListValues": [], "dataType": "String"},
        "raw": {"binaryValue": "AP8=", "stringListValues": [], "binaryListValues": [], "dataType": "Binary"},
    }
    assert {"ApproximateReceiveCount", "SentTimestamp", "SenderId", "ApproximateFirstReceiveTimestamp"} <= set(
        record["attributes"]
    )


async def test_a_queue_that_hands_out_no_more_for_now_ends_no_batch_under_way(
    stage: Stage, running: MappingSupervisor, make_mapping: MakeMapping, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("workshape.queues.queue.IN_FLIGHT_MAX", 3)
    stage.function.takes_s = 0.2
    bodies = [str(number) for number in range(15)]
    await stage.send(*bodies)

    view = running.create(make_mapping(batch_size=1))
    await stage.settled(lambda: stage.left() == 0)

    assert stage.function.deliveries == dict.fromkeys(bodies, 1)
    assert running.get(view.mapping.id).last_processing_result == "OK"


async def test_a_queue_with_too_many_receivers_is_asked_again(
    stage: Stage, running: MappingSupervisor, make_mapping: MakeMapping, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("workshape.queues.live.WAITERS_MAX", 2)
    stage.function.takes_s = 0.2

    running.create(make_mapping(batch_size=1))
    for body in ("one", "two", "three"):
        await stage.send(body)
        await stage.settled(lambda: stage.left() == 0)

    assert stage.function.deliveries == {"one": 1, "two": 1, "three": 1}
    assert "PROBLEM" not in running.list()[0].last_processing_result


@pytest.mark.parametrize("change", [{"batch_size": 5}, {"enabled": False}])
async def test_a_batch_under_way_may_take_its_time_when_its_mapping_is_changed(
    stage: Stage,
    running: MappingSupervisor,
    make_mapping: MakeMapping,
    monkeypatch: pytest.MonkeyPatch,
    change: dict[str, Any],
) -> None:
    monkeypatch.setattr("workshape.triggers.supervisor.DRAIN_S_MAX", 0.05)
    stage.function.takes_s = 1.0
    view = running.create(make_mapping())
    await stage.send("one")
    await stage.settled(lambda: stage.function.running == 1)

    running.update(msgspec.structs.replace(view.mapping, **change))
    await stage.settled(lambda: stage.batches)

    assert stage.batches == [(1, 0)]
    await stage.settled(lambda: stage.left() == 0)
    assert stage.function.deliveries == {"one": 1}


@pytest.mark.parametrize("enabled", [True, False])
async def test_a_batch_under_way_ends_when_its_mapping_is_deleted_or_disabled(
    stage: Stage, running: MappingSupervisor, make_mapping: MakeMapping, enabled: bool
) -> None:
    stage.function.takes_s = 0.3
    view = running.create(make_mapping())
    await stage.send("one")
    await stage.settled(lambda: stage.function.running == 1)

    if enabled:
        running.delete(view.mapping.id)
    else:
        running.update(msgspec.structs.replace(view.mapping, enabled=False))
    await stage.settled(lambda: stage.left() == 0)

    assert stage.function.deliveries == {"one": 1}
    if not enabled:
        await stage.settled(lambda: running.get(view.mapping.id).state is MappingState.DISABLED)


async def test_every_message_is_accounted_for_when_everything_goes_wrong_at_once(
    stage: Stage, running: MappingSupervisor, make_mapping: MakeMapping
) -> None:
    """Poison, duplicates, throttles, and functions that fail a whole batch once."""
    await hide_for(stage, 2)
    good = [f"good {number}" for number in range(150)]
    twice = [f"twice {number}" for number in range(25)]
    poison = [f"poison {number}" for number in range(5)]
    flaky = [f"flaky {number}" for number in range(5)]
    failed_once: set[str] = set()
    done: Counter[str] = Counter()

    def answer(records: Records) -> Any:
        bodies = [record["body"] for record in records]
        first_failures = {body for body in bodies if body.startswith("flaky")} - failed_once
        if first_failures:
            failed_once.update(first_failures)
            raise FunctionFails("the first time")
        done.update(body for body in bodies if not body.startswith("poison"))
        return report(lambda body: body.startswith("poison"))(records)

    throttles = iter([TooManyRequests(reason_code="ConcurrentInvocationLimitExceeded"), None] * 10)
    stage.function.answer = answer
    stage.function.refuse = lambda: next(throttles, None)

    running.create(make_mapping(report_batch_item_failures=True))
    await stage.send(*good[:75], *poison, *twice, *flaky, *twice, *good[75:])
    await stage.settled(lambda: stage.left() == 0)

    assert done == {**dict.fromkeys(good + flaky, 1), **dict.fromkeys(twice, 2)}
    assert await stage.bodies(DEAD) == poison
    settled = Counter(fact.message_id for fact in stage.facts if fact.outcome is ItemOutcome.SUCCEEDED)
    assert len(settled) == 150 + 50 + 5
    assert set(settled.values()) == {1}

"""A FIFO queue through a mapping: each group in its order, groups side by side, nothing past a failure."""

from collections import defaultdict
from collections.abc import Callable
from typing import Any

import pytest

from tests.fakes.batch_function import FunctionFails, Records
from tests.integration.triggers.conftest import ACCOUNT, REGION, Stage
from workshape.queues.model import NewMessage, QueueAttributes, QueueName, RedrivePolicy
from workshape.triggers.model import EventSourceMapping, MappingInvalid
from workshape.triggers.supervisor import MappingSupervisor

MakeMapping = Callable[..., EventSourceMapping]
ORDERS, DEAD_ORDERS = QueueName("orders.fifo"), QueueName("orders-dlq.fifo")
ARN = f"arn:aws:sqs:{REGION}:{ACCOUNT}:{ORDERS}"


@pytest.fixture
async def orders(stage: Stage) -> Stage:
    """A FIFO queue, whose messages come back after a second and are given up at the third receive."""
    stage.timeout_s = 1
    dead = await stage.broker.create_queue(DEAD_ORDERS, QueueAttributes(fifo=True))
    redrive = RedrivePolicy(dead.arn, 3)
    attributes = QueueAttributes(fifo=True, content_based_deduplication=True, visibility_timeout_s=1, redrive=redrive)
    await stage.broker.create_queue(ORDERS, attributes)
    return stage


async def send(stage: Stage, *bodies: str) -> None:
    """Send messages whose group is what stands before the dash."""
    for start in range(0, len(bodies), 10):
        messages = [NewMessage(body, group_id=body.partition("-")[0]) for body in bodies[start : start + 10]]
        await stage.broker.send(ORDERS, messages)


def by_group(bodies: list[str]) -> dict[str, list[str]]:
    """The numbers of each group, in the order they came."""
    groups = defaultdict(list)
    for body in bodies:
        group, _, number = body.partition("-")
        groups[group].append(number)
    return dict(groups)


def group_of(body: str) -> str:
    return body.partition("-")[0]


async def test_each_group_is_seen_in_order_and_groups_side_by_side(
    orders: Stage, running: MappingSupervisor, make_mapping: MakeMapping
) -> None:
    orders.function.takes_s = 0.005
    running.create(make_mapping(queue_arn=ARN))

    await send(orders, *(f"{group}-{number:02}" for number in range(30) for group in "abcdefgh"))
    await orders.settled(lambda: orders.left(ORDERS) == 0)

    assert by_group(orders.function.started) == {
        group: [f"{number:02}" for number in range(30)] for group in "abcdefgh"
    }
    assert orders.function.side_by_side
    for one, other in orders.function.side_by_side:
        assert {group_of(body) for body in one}.isdisjoint(group_of(body) for body in other)


async def test_no_more_batches_are_under_way_than_there_are_groups(
    orders: Stage, running: MappingSupervisor, make_mapping: MakeMapping
) -> None:
    orders.function.takes_s = 0.01
    running.create(make_mapping(queue_arn=ARN, batch_size=1))

    await send(orders, *(f"{group}-{number:02}" for number in range(10) for group in "ab"))
    await orders.settled(lambda: orders.left(ORDERS) == 0)

    assert orders.function.running_max == 2


async def test_a_failed_group_stops_until_it_has_been_given_up_and_the_others_go_on(
    orders: Stage, running: MappingSupervisor, make_mapping: MakeMapping
) -> None:
    def answer(records: Records) -> None:
        if any(record["body"] == "bad-01" for record in records):
            raise FunctionFails("cannot")

    orders.function.answer = answer
    running.create(make_mapping(queue_arn=ARN, batch_size=1))
    await send(orders, *(f"{group}-{number:02}" for number in range(4) for group in ("bad", "good")))
    await orders.settled(lambda: orders.left(ORDERS) == 0)

    seen = by_group(orders.function.started)
    assert seen["bad"] == ["00", "01", "01", "01", "02", "03"]
    assert seen["good"] == ["00", "01", "02", "03"]
    assert orders.function.started.index("good-03") < len(seen["good"]) + 3, "nobody waited for the failed group"
    assert [message.body for message in await orders.broker.receive(DEAD_ORDERS, count_max=10, wait_s=0)] == ["bad-01"]


async def test_reported_from_the_first_failure_on_a_group_is_seen_again_in_order(
    orders: Stage, running: MappingSupervisor, make_mapping: MakeMapping
) -> None:
    failures = iter([True])

    def answer(records: Records) -> Any:
        if not next(failures, False):
            return None
        return {"batchItemFailures": [{"itemIdentifier": record["messageId"]} for record in records[2:]]}

    orders.function.answer = answer
    await send(orders, *(f"a-{number:02}" for number in range(5)))
    running.create(make_mapping(queue_arn=ARN, report_batch_item_failures=True))
    await orders.settled(lambda: orders.left(ORDERS) == 0)

    assert by_group(orders.function.started)["a"] == ["00", "01", "02", "03", "04", "02", "03", "04"]
    assert orders.batches == [(5, 3), (3, 0)]


async def test_what_did_not_fit_behind_a_failure_is_not_handed_over_before_it(
    orders: Stage, running: MappingSupervisor, make_mapping: MakeMapping
) -> None:
    failures = iter([True])

    def answer(_records: Records) -> None:
        if next(failures, False):
            raise FunctionFails("cannot")

    orders.function.answer = answer
    large = "x" * 1_000_000
    await send(orders, *(f"a-{number:02}{large}" for number in range(8)))  # two batches of at most 6 MB
    running.create(make_mapping(queue_arn=ARN))
    await orders.settled(lambda: orders.left(ORDERS) == 0)

    numbers = [number[:2] for number in by_group(orders.function.started)["a"]]
    again = numbers.index("00", 1)
    assert numbers[:again] == [f"{number:02}" for number in range(again)]
    assert numbers[again:] == [f"{number:02}" for number in range(8)]


async def test_a_fifo_queue_has_no_window_and_small_batches(
    orders: Stage, running: MappingSupervisor, make_mapping: MakeMapping
) -> None:
    for changes in ({"batch_size": 11}, {"batch_window_s": 1}):
        with pytest.raises(MappingInvalid, match="FIFO"):
            running.create(make_mapping(queue_arn=ARN, **changes))

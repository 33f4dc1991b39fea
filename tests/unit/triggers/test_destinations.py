"""Deliveries by ARN: to real queues, to functions and to what is connected."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.fakes.queue_clock import FakeClock
from workshape.delivery import (
    Delivered,
    Delivery,
    DeliveryAttribute,
    DeliveryOutcome,
    DestinationKind,
    DestinationRefused,
    Undelivered,
    text_attribute,
)
from workshape.errors import BackendUnavailable
from workshape.functions.async_queue import EventsFull
from workshape.functions.function_name import FunctionNotFound
from workshape.functions.function_state import FunctionNotActive
from workshape.queues.broker import Broker
from workshape.queues.model import QueueName
from workshape.triggers.destinations import Destinations

QUEUE = "arn:aws:sqs:us-east-1:123456789012:results"
FUNCTION = "arn:aws:lambda:us-east-1:123456789012:function:notify"
TOPIC = "arn:aws:sns:us-east-1:123456789012:alerts"


@dataclass
class Functions:
    """The functions there are, and the events they were given."""

    names: frozenset[str] = frozenset({"notify"})
    error: Exception | None = None
    given: list[tuple[str, str | None, bytes, str]] = field(default_factory=list)

    def find(self, name: str, qualifier: str | None) -> object:
        if name not in self.names:
            raise FunctionNotFound(kind="function", name=name)
        return name

    async def put(self, function: str, qualifier: str | None, payload: bytes, *, trace_id: str = "") -> None:
        if self.error is not None:
            raise self.error
        self.given.append((function, qualifier, payload, trace_id))


@pytest.fixture
async def broker(tmp_path: Path) -> AsyncIterator[Broker]:
    broker = await Broker.open(tmp_path, FakeClock(), region="us-east-1", account="123456789012")
    await broker.create_queue(QueueName("results"))
    yield broker
    await broker.close()


@pytest.fixture
def functions() -> Functions:
    return Functions()


@pytest.fixture
def destinations(broker: Broker, functions: Functions) -> Destinations:
    return Destinations(broker, functions.put, functions.find, region="us-east-1", account="123456789012")


async def test_a_queue_gets_the_body_with_its_attributes(destinations: Destinations, broker: Broker) -> None:
    attributes = {"RequestID": text_attribute("r-1"), "ErrorCode": DeliveryAttribute("Number", "200")}

    outcome = await destinations.deliver(QUEUE, Delivery('{"a":1}', attributes))

    (message,) = await broker.receive(QueueName("results"), count_max=10, wait_s=0)
    assert outcome == Delivered()
    assert message.body == '{"a":1}'
    assert message.message_attributes["ErrorCode"].data_type == "Number"
    assert message.message_attributes["RequestID"].string_value == "r-1"


async def test_a_function_gets_the_body_as_an_event_at_the_arns_qualifier(
    destinations: Destinations, functions: Functions
) -> None:
    outcome = await destinations.deliver(f"{FUNCTION}:live", Delivery("{}", trace_header="Root=1-a"))

    assert outcome == Delivered()
    assert functions.given == [("notify", "live", b"{}", "Root=1-a")]


async def test_what_is_not_there_is_a_failure_for_good_with_awss_code(destinations: Destinations) -> None:
    queue = await destinations.deliver(f"{QUEUE}-gone", Delivery("{}"))
    function = await destinations.deliver(f"{FUNCTION}-gone", Delivery("{}"))

    assert isinstance(queue, Undelivered)
    assert isinstance(function, Undelivered)
    assert (queue.code, queue.retryable) == ("AWS.SimpleQueueService.NonExistentQueue", False)
    assert (function.code, function.retryable, function.status) == ("ResourceNotFoundException", False, 404)


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (EventsFull(count=1, count_max=1, size_bytes=0, bytes_max=1), "TooManyRequestsException"),
        (FunctionNotActive(state="Pending"), "ResourceConflictException"),
        (BackendUnavailable(backend="the store", address="x", reason="full"), "ServiceException"),
        (RuntimeError("a bug"), "ServiceException"),
    ],
)
async def test_what_may_pass_is_told_from_what_will_not(
    destinations: Destinations, functions: Functions, error: Exception, code: str
) -> None:
    functions.error = error

    outcome = await destinations.deliver(FUNCTION, Delivery("{}"))

    assert isinstance(outcome, Undelivered)
    assert (outcome.code, outcome.retryable) == (code, True)


async def test_what_a_destination_cannot_hold_is_a_failure_for_good(destinations: Destinations) -> None:
    function = await destinations.deliver(FUNCTION, Delivery("x" * (1024 * 1024 + 1)))
    queue = await destinations.deliver(QUEUE, Delivery("x" * (2 * 1024 * 1024)))

    assert isinstance(function, Undelivered)
    assert (function.code, function.retryable, function.status) == ("RequestTooLargeException", False, 413)
    assert isinstance(queue, Undelivered)
    assert (queue.code, queue.retryable) == ("InvalidParameterValue", False)


@pytest.mark.parametrize(
    ("arn", "why"),
    [
        ("results", "it is not an ARN"),
        (TOPIC, "sns is no destination"),
        ("arn:aws:kinesis:us-east-1:123456789012:stream/s", "kinesis is no destination"),
        ("arn:aws:sqs:eu-west-1:123456789012:results", "it is not of the region us-east-1"),
        ("arn:aws:sqs:us-east-1:999999999999:results", "it is not of the region us-east-1 and the account"),
        ("arn:aws:lambda:us-east-1:123456789012:layer:l:1", "it does not name a Lambda function"),
        (f"{QUEUE}.fifo", "FIFO queues"),
    ],
)
def test_an_arn_that_cannot_be_delivered_to_is_refused_with_what_can(
    destinations: Destinations, arn: str, why: str
) -> None:
    with pytest.raises(DestinationRefused) as refused:
        destinations.accepts(arn, fifo=False)

    assert why in str(refused.value)
    assert "arn:aws:sqs:REGION:ACCOUNT:NAME" in str(refused.value)


async def test_a_kind_that_was_connected_is_delivered_to_by_its_owner(destinations: Destinations) -> None:
    handed = []

    async def take(arn: str, delivery: Delivery) -> DeliveryOutcome:
        handed.append((arn, delivery))
        return Delivered()

    destinations.connect(DestinationKind.TOPIC, take, lambda arn: arn == TOPIC)
    outcome = await destinations.deliver(TOPIC, Delivery("{}", subject="hello"))

    assert outcome == Delivered()
    assert handed == [(TOPIC, Delivery("{}", subject="hello"))]
    assert destinations.exists(destinations.accepts(TOPIC))
    assert not destinations.exists(destinations.accepts(f"{TOPIC}-gone"))


def test_one_can_ask_whether_a_destination_is_there(destinations: Destinations) -> None:
    there = [destinations.exists(destinations.accepts(arn)) for arn in (QUEUE, FUNCTION)]
    gone = [destinations.exists(destinations.accepts(f"{arn}-gone")) for arn in (QUEUE, FUNCTION)]

    assert there == [True, True]
    assert gone == [False, False]


def test_a_sender_may_allow_fewer_kinds_than_there_are(destinations: Destinations) -> None:
    with pytest.raises(DestinationRefused, match=r"Possible here: arn:aws:sqs:REGION:ACCOUNT:NAME\."):
        destinations.accepts(FUNCTION, among=(DestinationKind.QUEUE, DestinationKind.TOPIC))

"""SQS's operations, called directly: what the service model's input becomes, and what comes back."""

from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import botocore.session
import pytest

from tests.fakes.queue_clock import FakeClock
from workshape.aws.operation import Call
from workshape.aws.sqs.errors import (
    ERRORS,
    BatchEntryIdsNotDistinct,
    BatchRequestTooLong,
    EmptyBatchRequest,
    InvalidAddress,
    InvalidBatchEntryId,
    TooManyEntriesInBatchRequest,
)
from workshape.aws.sqs.service import sqs_service
from workshape.queues.broker import Broker
from workshape.queues.model import (
    InvalidAttributeName,
    InvalidAttributeValue,
    InvalidParameter,
    MissingParameter,
    PolicyOverLimit,
    QueueDoesNotExist,
    QueueNameExists,
    ReceiptHandleIsInvalid,
)

URL = "http://127.0.0.1:4566/123456789012/events"
CALL = Call("123456789012", "us-east-1", "request", "http://127.0.0.1:4566")

Sqs = Callable[..., Awaitable[dict[str, Any]]]


@pytest.fixture
async def sqs(tmp_path: Path) -> AsyncIterator[Sqs]:
    broker = await Broker.open(tmp_path, FakeClock(), region=CALL.region, account=CALL.account)
    service = sqs_service(broker)

    async def call(operation: str, **parameters: Any) -> dict[str, Any]:
        if operation not in ("CreateQueue", "ListQueues", "GetQueueUrl"):
            parameters.setdefault("QueueUrl", URL)
        return await service.operations[operation](CALL, parameters)

    await call("CreateQueue", QueueName="events")
    yield call
    await broker.close()


async def receive_handle(sqs: Sqs) -> str:
    (message,) = (await sqs("ReceiveMessage"))["Messages"]
    handle: str = message["ReceiptHandle"]
    return handle


def test_every_operation_of_the_service_model_is_answered() -> None:
    model = botocore.session.get_session().get_service_model("sqs")

    service = sqs_service(None)  # type: ignore[arg-type]  # no operation is called

    assert set(service.operations) == set(model.operation_names)


def test_every_modelled_error_has_the_models_name() -> None:
    model = botocore.session.get_session().get_service_model("sqs")
    shapes = {shape.name for shape in model.error_shapes}
    common = {"InvalidParameterValueException", "MissingParameterException"}

    assert {error.code for error in ERRORS.values()} <= shapes | common


async def test_a_queue_is_found_by_its_url(sqs: Sqs) -> None:
    assert await sqs("CreateQueue", QueueName="events") == {"QueueUrl": URL}
    assert await sqs("GetQueueUrl", QueueName="events") == {"QueueUrl": URL}
    assert await sqs("ListQueues") == {"QueueUrls": [URL]}
    assert await sqs("ListQueues", QueueNamePrefix="x") == {}


async def test_the_host_in_a_queue_url_does_not_matter(sqs: Sqs) -> None:
    sent = await sqs("SendMessage", QueueUrl="https://sqs.us-east-1.amazonaws.com/123456789012/events", MessageBody="a")

    assert sent["MD5OfMessageBody"] == "0cc175b9c0f1b6a831c399e269772661"


@pytest.mark.parametrize(
    ("url", "error"),
    [
        ("nonsense", InvalidAddress),
        ("http://127.0.0.1:4566/123456789012/missing", QueueDoesNotExist),
        ("http://127.0.0.1:4566/999999999999/events", QueueDoesNotExist),
        (None, MissingParameter),
    ],
)
async def test_a_url_of_no_queue_is_refused(sqs: Sqs, url: str | None, error: type[Exception]) -> None:
    with pytest.raises(error):
        await sqs("SendMessage", QueueUrl=url, MessageBody="a")


async def test_queues_are_listed_in_pages(sqs: Sqs) -> None:
    for letter in "abcd":
        await sqs("CreateQueue", QueueName=f"page-{letter}")
    seen: list[str] = []
    token: dict[str, str] = {}

    while True:
        answer = await sqs("ListQueues", QueueNamePrefix="page-", MaxResults=3, **token)
        seen += answer["QueueUrls"]
        if "NextToken" not in answer:
            break
        token = {"NextToken": answer["NextToken"]}

    assert [url[-1] for url in seen] == list("abcd")


async def test_attributes_are_strings_on_the_wire(sqs: Sqs) -> None:
    await sqs("SetQueueAttributes", Attributes={"VisibilityTimeout": "45", "Policy": '{"Version":"2012-10-17"}'})
    await sqs("SendMessage", MessageBody="a")
    await sqs("SendMessage", MessageBody="b", DelaySeconds=10)
    await receive_handle(sqs)

    everything = (await sqs("GetQueueAttributes", AttributeNames=["All"]))["Attributes"]

    assert everything == {
        "QueueArn": "arn:aws:sqs:us-east-1:123456789012:events",
        "ApproximateNumberOfMessages": "0",
        "ApproximateNumberOfMessagesNotVisible": "1",
        "ApproximateNumberOfMessagesDelayed": "1",
        "CreatedTimestamp": "1700000000",
        "LastModifiedTimestamp": "1700000000",
        "VisibilityTimeout": "45",
        "MaximumMessageSize": "1048576",
        "MessageRetentionPeriod": "345600",
        "DelaySeconds": "0",
        "ReceiveMessageWaitTimeSeconds": "0",
        "SqsManagedSseEnabled": "true",
        "Policy": '{"Version":"2012-10-17"}',
    }
    assert await sqs("GetQueueAttributes", AttributeNames=["DelaySeconds"]) == {"Attributes": {"DelaySeconds": "0"}}
    assert await sqs("GetQueueAttributes") == {}


@pytest.mark.parametrize(
    ("attributes", "error"),
    [
        ({"Nonsense": "1"}, InvalidAttributeName),
        ({"QueueArn": "arn"}, InvalidAttributeName),
        ({"ContentBasedDeduplication": "true"}, InvalidAttributeName),
        ({"VisibilityTimeout": "43201"}, InvalidAttributeValue),
        ({"VisibilityTimeout": "soon"}, InvalidAttributeValue),
        ({"MaximumMessageSize": "1023"}, InvalidAttributeValue),
        ({"RedrivePolicy": "{"}, InvalidAttributeValue),
        ({"RedrivePolicy": '{"maxReceiveCount":1}'}, InvalidAttributeValue),
        ({"RedrivePolicy": '{"deadLetterTargetArn":"x","maxReceiveCount":1}'}, InvalidParameter),
        ({"RedriveAllowPolicy": '{"redrivePermission":"byQueue"}'}, InvalidAttributeValue),
        ({"SqsManagedSseEnabled": "yes"}, InvalidAttributeValue),
        ({"SqsManagedSseEnabled": "true", "KmsMasterKeyId": "alias/MyAlias"}, InvalidAttributeValue),
        ({"DeduplicationScope": "everywhere"}, InvalidAttributeValue),
        ({"FifoThroughputLimit": "perMessageGroupId"}, InvalidAttributeName),
        ({"Policy": '{"Statement":[{"Action":["1","2","3","4","5","6","7","8"]}]}'}, PolicyOverLimit),
    ],
)
async def test_bad_attributes_are_refused(sqs: Sqs, attributes: dict[str, str], error: type[Exception]) -> None:
    with pytest.raises(error):
        await sqs("CreateQueue", QueueName="other", Attributes=attributes)
    with pytest.raises(error):
        await sqs("SetQueueAttributes", Attributes=attributes)


async def test_creating_a_queue_again_compares_only_what_is_given(sqs: Sqs) -> None:
    await sqs("CreateQueue", QueueName="slow", Attributes={"DelaySeconds": "5", "VisibilityTimeout": "9"})

    await sqs("CreateQueue", QueueName="slow", Attributes={"DelaySeconds": "5"})
    with pytest.raises(QueueNameExists, match="VisibilityTimeout"):
        await sqs("CreateQueue", QueueName="slow", Attributes={"VisibilityTimeout": "10"})


async def test_a_redrive_policy_can_be_set_shown_and_taken_away(sqs: Sqs) -> None:
    await sqs("CreateQueue", QueueName="dead")
    policy = '{"deadLetterTargetArn":"arn:aws:sqs:us-east-1:123456789012:dead","maxReceiveCount":"3"}'

    await sqs("SetQueueAttributes", Attributes={"RedrivePolicy": policy})
    shown = await sqs("GetQueueAttributes", AttributeNames=["RedrivePolicy"])
    sources = await sqs("ListDeadLetterSourceQueues", QueueUrl=URL.replace("events", "dead"))
    await sqs("SetQueueAttributes", Attributes={"RedrivePolicy": ""})

    assert shown == {"Attributes": {"RedrivePolicy": policy.replace('"3"', "3")}}
    assert sources == {"queueUrls": [URL]}
    assert await sqs("GetQueueAttributes", AttributeNames=["RedrivePolicy"]) == {}


async def test_a_dead_letter_queue_may_refuse_sources(sqs: Sqs) -> None:
    await sqs("CreateQueue", QueueName="dead", Attributes={"RedriveAllowPolicy": '{"redrivePermission":"denyAll"}'})
    policy = '{"deadLetterTargetArn":"arn:aws:sqs:us-east-1:123456789012:dead","maxReceiveCount":3}'

    with pytest.raises(InvalidParameter, match="does not allow"):
        await sqs("SetQueueAttributes", Attributes={"RedrivePolicy": policy})


async def test_a_message_comes_back_with_what_was_asked_for(sqs: Sqs) -> None:
    attributes = {
        "order.id": {"DataType": "Number", "StringValue": "7"},
        "order.blob": {"DataType": "Binary", "BinaryValue": b"\x00\xff"},
        "other": {"DataType": "String", "StringValue": "x"},
    }
    trace = {"AWSTraceHeader": {"DataType": "String", "StringValue": "Root=1-2-3"}}
    sent = await sqs("SendMessage", MessageBody="a", MessageAttributes=attributes, MessageSystemAttributes=trace)

    (plain,) = (await sqs("ReceiveMessage", VisibilityTimeout=0))["Messages"]
    (full,) = (
        await sqs(
            "ReceiveMessage",
            AttributeNames=["SentTimestamp"],
            MessageSystemAttributeNames=["ApproximateReceiveCount", "AWSTraceHeader"],
            MessageAttributeNames=["All"],
            VisibilityTimeout=0,
        )
    )["Messages"]
    (some,) = (await sqs("ReceiveMessage", MessageAttributeNames=["order.*"]))["Messages"]

    assert set(plain) == {"MessageId", "ReceiptHandle", "MD5OfBody", "Body"}
    assert full["Attributes"] == {
        "SentTimestamp": "1700000000000",
        "ApproximateReceiveCount": "2",
        "AWSTraceHeader": "Root=1-2-3",
    }
    assert full["MessageAttributes"] == attributes
    assert full["MD5OfMessageAttributes"] == sent["MD5OfMessageAttributes"]
    assert set(some["MessageAttributes"]) == {"order.id", "order.blob"}
    assert some["MD5OfMessageAttributes"] != sent["MD5OfMessageAttributes"]


@pytest.mark.parametrize(
    ("parameters", "reason"),
    [
        ({"MaxNumberOfMessages": 0}, "Must be between 1 and 10"),
        ({"MaxNumberOfMessages": 11}, "Must be between 1 and 10"),
        ({"WaitTimeSeconds": 21}, "Must be between 0 and 20"),
        ({"VisibilityTimeout": -1}, "Must be between 0 and 43200"),
    ],
)
async def test_a_receive_out_of_range_is_refused(sqs: Sqs, parameters: dict[str, int], reason: str) -> None:
    with pytest.raises(InvalidParameter, match=reason):
        await sqs("ReceiveMessage", **parameters)


async def test_a_message_is_deleted_by_its_handle(sqs: Sqs) -> None:
    await sqs("SendMessage", MessageBody="a")
    handle = await receive_handle(sqs)

    assert await sqs("DeleteMessage", ReceiptHandle=handle) == {}

    with pytest.raises(ReceiptHandleIsInvalid):
        await sqs("DeleteMessage", ReceiptHandle="nonsense")
    with pytest.raises(InvalidParameter, match="not available for visibility timeout change"):
        await sqs("ChangeMessageVisibility", ReceiptHandle=handle, VisibilityTimeout=0)


async def test_a_batch_succeeds_and_fails_entry_by_entry(sqs: Sqs) -> None:
    sent = await sqs(
        "SendMessageBatch",
        Entries=[
            {"Id": "good", "MessageBody": "a"},
            {"Id": "bad", "MessageBody": "\x00"},
            {"Id": "fifo", "MessageBody": "a", "MessageDeduplicationId": "x"},
        ],
    )
    handle = await receive_handle(sqs)
    entries = [{"Id": "good", "ReceiptHandle": handle}, {"Id": "bad", "ReceiptHandle": "nonsense"}]
    changed = await sqs("ChangeMessageVisibilityBatch", Entries=[{**one, "VisibilityTimeout": 60} for one in entries])
    deleted = await sqs("DeleteMessageBatch", Entries=entries)

    assert [one["Id"] for one in sent["Successful"]] == ["good"]
    assert [(one["Id"], one["SenderFault"], one["Code"]) for one in sent["Failed"]] == [
        ("bad", True, "InvalidMessageContents"),
        ("fifo", True, "InvalidParameterValue"),
    ]
    for answer in (changed, deleted):
        assert answer["Successful"] == [{"Id": "good"}]
        assert [one["Code"] for one in answer["Failed"]] == ["ReceiptHandleIsInvalid"]


@pytest.mark.parametrize(
    ("ids", "error"),
    [
        ([], EmptyBatchRequest),
        ([str(number) for number in range(11)], TooManyEntriesInBatchRequest),
        (["a", "a"], BatchEntryIdsNotDistinct),
        (["a b"], InvalidBatchEntryId),
        (["x" * 81], InvalidBatchEntryId),
    ],
)
async def test_a_bad_batch_is_refused_whole(sqs: Sqs, ids: list[str], error: type[Exception]) -> None:
    for operation in ("SendMessageBatch", "DeleteMessageBatch", "ChangeMessageVisibilityBatch"):
        entry = {"MessageBody": "a", "ReceiptHandle": "a", "VisibilityTimeout": 1}
        with pytest.raises(error):
            await sqs(operation, Entries=[{"Id": entry_id, **entry} for entry_id in ids])


async def test_a_batch_is_at_most_a_mebibyte_in_all(sqs: Sqs) -> None:
    entries = [{"Id": str(number), "MessageBody": "x" * 600_000} for number in range(2)]

    with pytest.raises(BatchRequestTooLong, match="1200000"):
        await sqs("SendMessageBatch", Entries=entries)


async def test_tags_are_added_and_taken_away(sqs: Sqs) -> None:
    await sqs("CreateQueue", QueueName="tagged", tags={"a": "1"})
    url = URL.replace("events", "tagged")
    await sqs("TagQueue", QueueUrl=url, Tags={"b": "2", "a": "3"})
    await sqs("UntagQueue", QueueUrl=url, TagKeys=["b", "missing"])

    assert await sqs("ListQueueTags", QueueUrl=url) == {"Tags": {"a": "3"}}
    assert await sqs("ListQueueTags") == {}

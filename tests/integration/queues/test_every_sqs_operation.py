"""Every operation of SQS in both its protocols: JSON, as boto3 speaks it, and the older query protocol."""

import asyncio
import hashlib
import itertools
import json
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.fakes.sqs_clients import SqsClient
from tests.integration.queues.conftest import Served

pytestmark = pytest.mark.asyncio(loop_scope="module")

FIFO = {"FifoQueue": "true", "ContentBasedDeduplication": "true"}
_numbers = itertools.count()


@pytest.fixture(params=["json", "query"])
def sqs(served: Served, request: pytest.FixtureRequest) -> SqsClient:
    return served.client(request.param)


async def make(sqs: SqsClient, suffix: str = "", **attributes: str) -> str:
    """A queue of this test's own; returns its URL."""
    name = f"queue-{next(_numbers)}{suffix}"
    url: str = (await sqs.call("CreateQueue", QueueName=name, Attributes=attributes))["QueueUrl"]
    return url


async def attributes_of(sqs: SqsClient, url: str) -> dict[str, str]:
    found: dict[str, str] = (await sqs.call("GetQueueAttributes", QueueUrl=url, AttributeNames=["All"]))["Attributes"]
    return found


async def arn_of(sqs: SqsClient, url: str) -> str:
    return (await attributes_of(sqs, url))["QueueArn"]


async def messages_of(sqs: SqsClient, url: str, **parameters: Any) -> list[dict[str, Any]]:
    answer = await sqs.call("ReceiveMessage", QueueUrl=url, MaxNumberOfMessages=10, **parameters)
    found: list[dict[str, Any]] = answer.get("Messages", [])
    return found


async def dead_letters(sqs: SqsClient) -> tuple[str, str]:
    """A queue and its dead-letter queue, which holds three of its messages."""
    dead = await make(sqs)
    policy = json.dumps({"deadLetterTargetArn": await arn_of(sqs, dead), "maxReceiveCount": 1})
    source = await make(sqs, VisibilityTimeout="0", RedrivePolicy=policy)
    for body in "abc":
        await sqs.call("SendMessage", QueueUrl=source, MessageBody=body)
    for _ in range(2):
        await messages_of(sqs, source)
    return source, dead


async def refused(sqs: SqsClient, operation: str, **parameters: Any) -> str:
    with pytest.raises(ClientError) as raised:
        await sqs.call(operation, **parameters)
    assert raised.value.response["ResponseMetadata"]["HTTPStatusCode"] == 400
    code: str = raised.value.response["Error"]["Code"]
    return code


async def test_a_queue_is_made_found_listed_and_deleted(served: Served, sqs: SqsClient) -> None:
    name = f"made-{next(_numbers)}"
    url = (await sqs.call("CreateQueue", QueueName=name, Attributes={"DelaySeconds": "3"}))["QueueUrl"]

    assert url == f"{served.endpoint}/123456789012/{name}"
    again = await sqs.call("CreateQueue", QueueName=name, Attributes={"DelaySeconds": "3"})
    assert again == await sqs.call("GetQueueUrl", QueueName=name) == {"QueueUrl": url}
    assert await sqs.call("ListQueues", QueueNamePrefix=name) == {"QueueUrls": [url]}
    assert await refused(sqs, "CreateQueue", QueueName=name, Attributes={"DelaySeconds": "4"}) == "QueueAlreadyExists"

    await sqs.call("DeleteQueue", QueueUrl=url)
    assert await refused(sqs, "GetQueueUrl", QueueName=name) == "AWS.SimpleQueueService.NonExistentQueue"


async def test_lists_come_in_pages(sqs: SqsClient) -> None:
    prefix = f"paged-{next(_numbers)}-"
    urls = [(await sqs.call("CreateQueue", QueueName=f"{prefix}{one}"))["QueueUrl"] for one in range(3)]

    first = await sqs.call("ListQueues", QueueNamePrefix=prefix, MaxResults=2)
    rest = await sqs.call("ListQueues", QueueNamePrefix=prefix, MaxResults=2, NextToken=first["NextToken"])

    assert first["QueueUrls"] == urls[:2]
    assert rest == {"QueueUrls": urls[2:]}


async def test_attributes_are_set_and_shown(sqs: SqsClient) -> None:
    url = await make(sqs)

    await sqs.call(
        "SetQueueAttributes",
        QueueUrl=url,
        Attributes={"VisibilityTimeout": "7", "MaximumMessageSize": "1048576", "KmsMasterKeyId": "alias/MyAlias"},
    )

    shown = await attributes_of(sqs, url)
    assert shown["VisibilityTimeout"] == "7"
    assert shown["MaximumMessageSize"] == "1048576"
    assert (shown["KmsMasterKeyId"], shown["SqsManagedSseEnabled"]) == ("alias/MyAlias", "false")
    assert await refused(sqs, "SetQueueAttributes", QueueUrl=url, Attributes={"FifoQueue": "true"}) == (
        "InvalidAttributeName"
    )
    assert await refused(sqs, "SetQueueAttributes", QueueUrl=url, Attributes={"DelaySeconds": "901"}) == (
        "InvalidAttributeValue"
    )


async def test_tags_are_added_listed_and_taken_away(sqs: SqsClient) -> None:
    url = (await sqs.call("CreateQueue", QueueName=f"tagged-{next(_numbers)}", tags={"a": "1"}))["QueueUrl"]

    await sqs.call("TagQueue", QueueUrl=url, Tags={"b": "2", "c": "3"})
    await sqs.call("UntagQueue", QueueUrl=url, TagKeys=["a", "c"])

    assert await sqs.call("ListQueueTags", QueueUrl=url) == {"Tags": {"b": "2"}}


async def test_permissions_are_statements_of_the_policy(sqs: SqsClient) -> None:
    url = await make(sqs)

    await sqs.call(
        "AddPermission",
        QueueUrl=url,
        Label="AliceSendMessage",
        AWSAccountIds=["111122223333"],
        Actions=["SendMessage", "ReceiveMessage"],
    )
    (statement,) = json.loads((await attributes_of(sqs, url))["Policy"])["Statement"]
    await sqs.call("RemovePermission", QueueUrl=url, Label="AliceSendMessage")

    assert statement["Sid"] == "AliceSendMessage"
    assert statement["Action"] == ["SQS:SendMessage", "SQS:ReceiveMessage"]
    assert "Policy" not in await attributes_of(sqs, url)
    grant = {"QueueUrl": url, "Label": "a", "AWSAccountIds": ["111122223333"]}
    assert await refused(sqs, "AddPermission", **grant, Actions=["Sing"]) == "InvalidParameterValue"
    assert await refused(sqs, "AddPermission", **grant, Actions=["SendMessage"] * 8) == "OverLimit"


async def test_a_message_is_sent_received_hidden_and_deleted(sqs: SqsClient) -> None:
    url = await make(sqs)
    attributes = {"n": {"DataType": "Number", "StringValue": "7"}, "s.x": {"DataType": "String", "StringValue": "y"}}
    trace = {"AWSTraceHeader": {"DataType": "String", "StringValue": "Root=1-5759e988-bd862e3fe1be46a994272793"}}

    sent = await sqs.call(
        "SendMessage",
        QueueUrl=url,
        MessageBody="grüße <&>",
        MessageAttributes=attributes,
        MessageSystemAttributes=trace,
        MessageGroupId="tenant",
    )
    (message,) = await messages_of(
        sqs, url, MessageAttributeNames=["s.*"], MessageSystemAttributeNames=["All"], VisibilityTimeout=30
    )
    handle = message["ReceiptHandle"]
    await sqs.call("ChangeMessageVisibility", QueueUrl=url, ReceiptHandle=handle, VisibilityTimeout=0)
    (again,) = await messages_of(sqs, url, AttributeNames=["ApproximateReceiveCount"])
    await sqs.call("DeleteMessage", QueueUrl=url, ReceiptHandle=again["ReceiptHandle"])

    assert message["Body"] == "grüße <&>"
    assert message["MD5OfBody"] == sent["MD5OfMessageBody"] == hashlib.md5("grüße <&>".encode()).hexdigest()
    assert message["MessageAttributes"] == {"s.x": attributes["s.x"]}
    assert message["Attributes"]["AWSTraceHeader"] == trace["AWSTraceHeader"]["StringValue"]
    assert message["Attributes"]["MessageGroupId"] == "tenant"
    assert sent["MD5OfMessageSystemAttributes"]
    assert again["Attributes"] == {"ApproximateReceiveCount": "2"}
    assert "MessageAttributes" not in again
    assert await messages_of(sqs, url) == []
    assert await refused(sqs, "DeleteMessage", QueueUrl=url, ReceiptHandle="x") == "ReceiptHandleIsInvalid"
    late = {"QueueUrl": url, "ReceiptHandle": handle, "VisibilityTimeout": 1}
    assert await refused(sqs, "ChangeMessageVisibility", **late) == "InvalidParameterValue"


async def test_batches_fail_entry_by_entry(sqs: SqsClient) -> None:
    url = await make(sqs)
    entries = [{"Id": "good", "MessageBody": "a"}, {"Id": "late", "MessageBody": "b", "DelaySeconds": 901}]

    sent = await sqs.call("SendMessageBatch", QueueUrl=url, Entries=entries)
    (message,) = await messages_of(sqs, url)
    handles = [{"Id": "good", "ReceiptHandle": message["ReceiptHandle"]}, {"Id": "bad", "ReceiptHandle": "x"}]
    hidden = [{**one, "VisibilityTimeout": 60} for one in handles]
    changed = await sqs.call("ChangeMessageVisibilityBatch", QueueUrl=url, Entries=hidden)
    deleted = await sqs.call("DeleteMessageBatch", QueueUrl=url, Entries=handles)

    assert [one["Id"] for one in sent["Successful"]] == ["good"]
    assert [(one["Id"], one["Code"]) for one in sent["Failed"]] == [("late", "InvalidParameterValue")]
    for answer in (changed, deleted):
        assert [one["Id"] for one in answer["Successful"]] == ["good"]
        assert [(one["Id"], one["Code"]) for one in answer["Failed"]] == [("bad", "ReceiptHandleIsInvalid")]


@pytest.mark.parametrize(
    ("entries", "code"),
    [
        ([{"Id": str(number), "MessageBody": "a"} for number in range(11)], "TooManyEntriesInBatchRequest"),
        ([{"Id": "a", "MessageBody": "a"}] * 2, "BatchEntryIdsNotDistinct"),
        ([{"Id": "a b", "MessageBody": "a"}], "InvalidBatchEntryId"),
        ([{"Id": str(number), "MessageBody": "x" * 600_000} for number in range(2)], "BatchRequestTooLong"),
    ],
)
async def test_a_batch_can_be_refused_as_a_whole(sqs: SqsClient, entries: list[dict[str, str]], code: str) -> None:
    url = await make(sqs)

    assert await refused(sqs, "SendMessageBatch", QueueUrl=url, Entries=entries) == f"AWS.SimpleQueueService.{code}"


async def test_a_queue_is_purged_once_a_minute(sqs: SqsClient) -> None:
    url = await make(sqs)
    await sqs.call("SendMessage", QueueUrl=url, MessageBody="a")

    await sqs.call("PurgeQueue", QueueUrl=url)

    assert await messages_of(sqs, url) == []
    assert await refused(sqs, "PurgeQueue", QueueUrl=url) == "AWS.SimpleQueueService.PurgeQueueInProgress"


async def test_a_long_poll_wakes_at_once(sqs: SqsClient) -> None:
    url = await make(sqs)
    waiting = asyncio.create_task(messages_of(sqs, url, WaitTimeSeconds=20))
    await asyncio.sleep(0)

    await sqs.call("SendMessage", QueueUrl=url, MessageBody="now")

    async with asyncio.timeout(15):
        assert [message["Body"] for message in await waiting] == ["now"]


async def test_dead_letters_are_moved_back(sqs: SqsClient) -> None:
    source, dead = await dead_letters(sqs)
    arn = await arn_of(sqs, dead)
    (letter, *_) = await messages_of(sqs, dead, MessageSystemAttributeNames=["All"], VisibilityTimeout=0)

    await sqs.call("StartMessageMoveTask", SourceArn=arn)
    async with asyncio.timeout(30):
        while (task := (await sqs.call("ListMessageMoveTasks", SourceArn=arn))["Results"][0])["Status"] == "RUNNING":
            await asyncio.sleep(0.01)

    assert letter["Attributes"]["DeadLetterQueueSourceArn"] == await arn_of(sqs, source)
    assert await sqs.call("ListDeadLetterSourceQueues", QueueUrl=dead) == {"QueueUrls": [source]}
    assert task["Status"] == "COMPLETED"
    assert (int(task["ApproximateNumberOfMessagesMoved"]), int(task["ApproximateNumberOfMessagesToMove"])) == (3, 3)
    assert "TaskHandle" not in task
    assert [message["Body"] for message in await messages_of(sqs, source)] == ["a", "b", "c"]


async def test_a_move_is_held_to_its_rate_and_can_be_cancelled(sqs: SqsClient) -> None:
    _, dead = await dead_letters(sqs)
    target = await make(sqs)
    arn, target_arn = await arn_of(sqs, dead), await arn_of(sqs, target)

    started = await sqs.call(
        "StartMessageMoveTask", SourceArn=arn, DestinationArn=target_arn, MaxNumberOfMessagesPerSecond=1
    )
    (running,) = (await sqs.call("ListMessageMoveTasks", SourceArn=arn, MaxResults=10))["Results"]
    busy = await refused(sqs, "StartMessageMoveTask", SourceArn=arn)
    cancelled = await sqs.call("CancelMessageMoveTask", TaskHandle=started["TaskHandle"])

    assert running["TaskHandle"] == started["TaskHandle"]
    assert running["DestinationArn"] == target_arn
    assert int(running["MaxNumberOfMessagesPerSecond"]) == 1
    assert busy == "InvalidParameterValue"
    assert int(cancelled["ApproximateNumberOfMessagesMoved"]) < 3
    assert await refused(sqs, "CancelMessageMoveTask", TaskHandle="x") == "ResourceNotFoundException"
    missing = "arn:aws:sqs:us-east-1:123456789012:missing"
    assert await refused(sqs, "StartMessageMoveTask", SourceArn=missing) == "ResourceNotFoundException"


async def test_a_dead_letter_queue_says_who_may_use_it(sqs: SqsClient) -> None:
    dead = await make(sqs, RedriveAllowPolicy='{"redrivePermission":"denyAll"}')
    policy = json.dumps({"deadLetterTargetArn": await arn_of(sqs, dead), "maxReceiveCount": 1})
    source = await make(sqs)

    assert await refused(sqs, "SetQueueAttributes", QueueUrl=source, Attributes={"RedrivePolicy": policy}) == (
        "InvalidParameterValue"
    )
    by_queue = {"redrivePermission": "byQueue", "sourceQueueArns": [await arn_of(sqs, source)]}
    await sqs.call("SetQueueAttributes", QueueUrl=dead, Attributes={"RedriveAllowPolicy": json.dumps(by_queue)})
    await sqs.call("SetQueueAttributes", QueueUrl=source, Attributes={"RedrivePolicy": policy})


async def test_a_fifo_queue_keeps_order_and_takes_each_message_once(sqs: SqsClient) -> None:
    url = await make(sqs, ".fifo", **FIFO)
    entries = [{"Id": one, "MessageBody": one, "MessageGroupId": one[0]} for one in ("a1", "b1", "a2")]

    sent = await sqs.call("SendMessageBatch", QueueUrl=url, Entries=entries)
    repeated = await sqs.call("SendMessage", QueueUrl=url, MessageBody="a1", MessageGroupId="a")
    receive = {"QueueUrl": url, "MaxNumberOfMessages": 1, "ReceiveRequestAttemptId": "once"}
    (first,) = (await sqs.call("ReceiveMessage", **receive, MessageSystemAttributeNames=["All"]))["Messages"]
    (retried,) = (await sqs.call("ReceiveMessage", **receive))["Messages"]
    others = await messages_of(sqs, url)
    await sqs.call("DeleteMessage", QueueUrl=url, ReceiptHandle=first["ReceiptHandle"])

    assert repeated["MessageId"] == sent["Successful"][0]["MessageId"]
    assert repeated["SequenceNumber"] == sent["Successful"][0]["SequenceNumber"]
    assert (first["Body"], first["Attributes"]["MessageGroupId"]) == ("a1", "a")
    assert first["Attributes"]["SequenceNumber"] == repeated["SequenceNumber"]
    assert first["Attributes"]["MessageDeduplicationId"] == hashlib.sha256(b"a1").hexdigest()
    assert retried["ReceiptHandle"] == first["ReceiptHandle"]
    assert [message["Body"] for message in others] == ["b1"]
    assert [message["Body"] for message in await messages_of(sqs, url)] == ["a2"]


async def test_a_fifo_queue_refuses_what_is_not_for_it(sqs: SqsClient) -> None:
    url = await make(sqs, ".fifo", FifoQueue="true")
    message = {"QueueUrl": url, "MessageBody": "a"}

    assert await refused(sqs, "SendMessage", **message, MessageDeduplicationId="1") == "MissingParameter"
    assert await refused(sqs, "SendMessage", **message, MessageGroupId="g") == "InvalidParameterValue"
    whole = {**message, "MessageGroupId": "g", "MessageDeduplicationId": "1"}
    assert await refused(sqs, "SendMessage", **whole, DelaySeconds=1) == "InvalidParameterValue"
    assert (await attributes_of(sqs, url))["FifoThroughputLimit"] == "perQueue"

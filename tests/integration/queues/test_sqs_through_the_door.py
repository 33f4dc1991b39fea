"""SQS as clients see it: boto3 (JSON), and the query protocol as older clients write it."""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlencode
from xml.etree import ElementTree

import boto3
import httpx
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from workshape.aws.door import Door
from workshape.aws.sqs.service import sqs_service
from workshape.aws.upstream import Upstream
from workshape.clock import Clock
from workshape.http1.message import Request, Response
from workshape.queues.broker import Broker
from workshape.settings import Settings

NAMESPACE = "{http://queue.amazonaws.com/doc/2012-11-05/}"


@dataclass
class Clients:
    """A boto3 client and a bare HTTP client of the same door."""

    boto: Any
    http: httpx.AsyncClient
    endpoint: str

    async def call(self, operation: str, **parameters: Any) -> dict[str, Any]:
        """Call boto3 in a thread: the door runs on this loop."""
        answer: dict[str, Any] = await asyncio.to_thread(partial(getattr(self.boto, operation), **parameters))
        return answer

    async def query(self, path: str = "/", **fields: str) -> tuple[int, ElementTree.Element]:
        """Send a form as the query protocol has it."""
        headers = {"Content-Type": "application/x-www-form-urlencoded; charset=utf-8", **self.credential}
        answer = await self.http.post(path, content=urlencode(fields), headers=headers)
        assert answer.headers["content-type"].startswith("text/xml")
        root = ElementTree.fromstring(answer.content)
        for element in root.iter():
            assert element.tag.startswith(NAMESPACE)
            element.tag = element.tag.removeprefix(NAMESPACE)
        return answer.status_code, root

    credential = {  # noqa: RUF012 - a constant of this test
        "Authorization": "AWS4-HMAC-SHA256 Credential=test/20260101/us-east-1/sqs/aws4_request, "
        "SignedHeaders=host, Signature=0"
    }


async def _no_admin(_request: Request) -> Response:
    return Response(404)


@pytest.fixture
async def clients(tmp_path: Path) -> AsyncIterator[Clients]:
    settings = Settings()
    broker = await Broker.open(tmp_path, Clock(), region=settings.region, account=settings.account)
    door = Door([sqs_service(broker)], Upstream({}), settings=settings, admin=_no_admin, clock=Clock())
    server = await door.start("127.0.0.1", 0)
    endpoint = f"http://127.0.0.1:{server.port}"
    boto = boto3.client(
        "sqs",
        endpoint_url=endpoint,
        region_name="us-east-1",
        aws_access_key_id="test",
        aws_secret_access_key="test",
        config=Config(retries={"total_max_attempts": 1}),
    )
    async with httpx.AsyncClient(base_url=endpoint) as http:
        yield Clients(boto, http, endpoint)
    boto.close()
    await server.close()
    await broker.close()


def text(root: ElementTree.Element, path: str) -> str:
    found = root.find(path)
    assert found is not None, ElementTree.tostring(root)
    return found.text or ""


async def test_boto3_sends_receives_and_deletes(clients: Clients) -> None:
    url = (await clients.call("create_queue", QueueName="events"))["QueueUrl"]
    attributes = {"n": {"DataType": "Number", "StringValue": "7"}, "b": {"DataType": "Binary", "BinaryValue": b"\x00"}}

    sent = await clients.call("send_message", QueueUrl=url, MessageBody="grüße", MessageAttributes=attributes)
    received = await clients.call(
        "receive_message", QueueUrl=url, MessageAttributeNames=["All"], MessageSystemAttributeNames=["All"]
    )
    (message,) = received["Messages"]
    await clients.call("delete_message", QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])

    assert url == f"{clients.endpoint}/123456789012/events"
    assert message["Body"] == "grüße"
    assert message["MD5OfBody"] == sent["MD5OfMessageBody"] == hashlib.md5("grüße".encode()).hexdigest()
    assert message["MessageAttributes"] == attributes
    assert message["Attributes"]["ApproximateReceiveCount"] == "1"
    assert "Messages" not in await clients.call("receive_message", QueueUrl=url)
    shown = await clients.call("get_queue_attributes", QueueUrl=url, AttributeNames=["All"])
    assert shown["Attributes"]["ApproximateNumberOfMessagesNotVisible"] == "0"


async def test_boto3_works_in_batches(clients: Clients) -> None:
    url = (await clients.call("create_queue", QueueName="events", tags={"team": "search"}))["QueueUrl"]
    entries = [{"Id": str(number), "MessageBody": f"body {number}"} for number in range(10)]

    sent = await clients.call("send_message_batch", QueueUrl=url, Entries=entries)
    messages = (await clients.call("receive_message", QueueUrl=url, MaxNumberOfMessages=10))["Messages"]
    handles = [{"Id": str(number), "ReceiptHandle": one["ReceiptHandle"]} for number, one in enumerate(messages)]
    changed = await clients.call(
        "change_message_visibility_batch", QueueUrl=url, Entries=[{**one, "VisibilityTimeout": 60} for one in handles]
    )
    deleted = await clients.call("delete_message_batch", QueueUrl=url, Entries=handles)

    assert [len(answer["Successful"]) for answer in (sent, changed, deleted)] == [10, 10, 10]
    assert (await clients.call("list_queue_tags", QueueUrl=url))["Tags"] == {"team": "search"}


async def test_boto3_long_polls(clients: Clients) -> None:
    url = (await clients.call("create_queue", QueueName="events"))["QueueUrl"]
    waiting = asyncio.create_task(clients.call("receive_message", QueueUrl=url, WaitTimeSeconds=20))
    await asyncio.sleep(0.1)

    await clients.call("send_message", QueueUrl=url, MessageBody="now")

    async with asyncio.timeout(15):
        assert (await waiting)["Messages"][0]["Body"] == "now"


async def test_a_client_that_hangs_up_takes_no_message_with_it(clients: Clients) -> None:
    url = (await clients.call("create_queue", QueueName="events"))["QueueUrl"]
    headers = {"Content-Type": "application/x-amz-json-1.0", "X-Amz-Target": "AmazonSQS.ReceiveMessage"}
    poll = {"QueueUrl": url, "WaitTimeSeconds": 20}
    short = httpx.Timeout(20, read=0.2)
    with pytest.raises(httpx.ReadTimeout):
        await clients.http.post("/", json=poll, headers={**clients.credential, **headers}, timeout=short)
    await asyncio.sleep(0.1)  # for the door to see the connection closed

    await clients.call("send_message", QueueUrl=url, MessageBody="a")
    received = await clients.call("receive_message", QueueUrl=url, MessageSystemAttributeNames=["All"])

    assert received["Messages"][0]["Attributes"]["ApproximateReceiveCount"] == "1"


@pytest.mark.parametrize(
    ("call", "code", "exception"),
    [
        (
            lambda url: ("get_queue_url", {"QueueName": "missing"}),
            "AWS.SimpleQueueService.NonExistentQueue",
            "QueueDoesNotExist",
        ),
        (
            lambda url: ("send_message", {"QueueUrl": url, "MessageBody": "\x00"}),
            "InvalidMessageContents",
            "InvalidMessageContents",
        ),
        (
            lambda url: ("delete_message", {"QueueUrl": url, "ReceiptHandle": "x"}),
            "ReceiptHandleIsInvalid",
            "ReceiptHandleIsInvalid",
        ),
        (
            lambda url: ("create_queue", {"QueueName": "events", "Attributes": {"DelaySeconds": "1"}}),
            "QueueAlreadyExists",
            "QueueNameExists",
        ),
        (
            lambda url: ("send_message_batch", {"QueueUrl": url, "Entries": []}),
            "AWS.SimpleQueueService.EmptyBatchRequest",
            "EmptyBatchRequest",
        ),
        (
            lambda url: ("set_queue_attributes", {"QueueUrl": url, "Attributes": {"Nonsense": "1"}}),
            "InvalidAttributeName",
            "InvalidAttributeName",
        ),
        (
            lambda url: ("receive_message", {"QueueUrl": url, "MaxNumberOfMessages": 11}),
            "InvalidParameterValue",
            "ClientError",
        ),
        (
            lambda url: ("create_queue", {"QueueName": "orders.fifo"}),
            "InvalidParameterValue",
            "ClientError",
        ),
    ],
)
async def test_boto3_knows_the_errors(
    clients: Clients, call: Callable[[str], tuple[str, dict[str, Any]]], code: str, exception: str
) -> None:
    url = (await clients.call("create_queue", QueueName="events"))["QueueUrl"]
    operation, parameters = call(url)

    with pytest.raises(ClientError) as raised:
        await clients.call(operation, **parameters)

    assert raised.value.response["Error"]["Code"] == code
    assert raised.value.response["ResponseMetadata"]["HTTPStatusCode"] == 400
    assert raised.type.__name__ == exception


async def test_the_query_protocol_sends_and_receives(clients: Clients) -> None:
    _, created = await clients.query(Action="CreateQueue", QueueName="events", Version="2012-11-05")
    url = text(created, ".//QueueUrl")

    status, sent = await clients.query(
        Action="SendMessage",
        QueueUrl=url,
        MessageBody="a <b> & c",
        **{
            "MessageAttribute.1.Name": "n",
            "MessageAttribute.1.Value.DataType": "Number",
            "MessageAttribute.1.Value.StringValue": "7",
        },
    )
    _, received = await clients.query(
        Action="ReceiveMessage",
        QueueUrl=url,
        **{"AttributeName.1": "ApproximateReceiveCount", "MessageAttributeName.1": "All"},
    )

    assert status == 200
    assert text(received, ".//Message/Body") == "a <b> & c"
    assert text(received, ".//Message/Attribute/Name") == "ApproximateReceiveCount"
    assert text(received, ".//Message/Attribute/Value") == "1"
    assert text(received, ".//Message/MessageAttribute/Value/StringValue") == "7"
    assert text(received, ".//Message/MD5OfBody") == text(sent, ".//MD5OfMessageBody")
    assert text(received, ".//Message/MD5OfMessageAttributes") == text(sent, ".//MD5OfMessageAttributes")


async def test_the_query_protocol_takes_the_queue_from_the_path(clients: Clients) -> None:
    await clients.query(
        Action="CreateQueue", QueueName="events", **{"Attribute.1.Name": "DelaySeconds"} | {"Attribute.1.Value": "0"}
    )
    path = "/123456789012/events"

    await clients.query(path, Action="SendMessage", MessageBody="a")
    _, received = await clients.query(path, Action="ReceiveMessage", MaxNumberOfMessages="10", WaitTimeSeconds="0")
    handle = text(received, ".//Message/ReceiptHandle")
    _, changed = await clients.query(
        path, Action="ChangeMessageVisibility", ReceiptHandle=handle, VisibilityTimeout="60"
    )
    _, deleted = await clients.query(
        path,
        Action="DeleteMessageBatch",
        **{
            "DeleteMessageBatchRequestEntry.1.Id": "good",
            "DeleteMessageBatchRequestEntry.1.ReceiptHandle": handle,
            "DeleteMessageBatchRequestEntry.2.Id": "bad",
            "DeleteMessageBatchRequestEntry.2.ReceiptHandle": "nonsense",
        },
    )
    _, shown = await clients.query(path, Action="GetQueueAttributes", **{"AttributeName.1": "All"})

    assert changed.tag == "ChangeMessageVisibilityResponse"
    assert text(deleted, ".//DeleteMessageBatchResultEntry/Id") == "good"
    assert text(deleted, ".//BatchResultErrorEntry/Code") == "ReceiptHandleIsInvalid"
    values = {text(one, "./Name"): text(one, "./Value") for one in shown.findall(".//Attribute")}
    assert values["QueueArn"] == "arn:aws:sqs:us-east-1:123456789012:events"


async def test_the_query_protocol_answers_errors_in_xml(clients: Clients) -> None:
    status, missing = await clients.query(Action="GetQueueUrl", QueueName="missing")
    _, nothing = await clients.query(Action="SendMessage", MessageBody="a")

    assert status == 400
    assert text(missing, ".//Error/Code") == "AWS.SimpleQueueService.NonExistentQueue"
    assert text(missing, ".//Error/Type") == "Sender"
    assert text(nothing, ".//Error/Code") == "MissingParameter"


async def test_odd_json_is_refused_and_does_not_break_the_door(clients: Clients) -> None:
    url = (await clients.call("create_queue", QueueName="events"))["QueueUrl"]
    headers = {"Content-Type": "application/x-amz-json-1.0", "X-Amz-Target": "AmazonSQS.SendMessage"}
    bodies = [
        b'{"QueueUrl": "%s", "MessageBody": "\\ud800"}' % url.encode(),
        b'{"QueueUrl": "%s", "MessageBody": "a", "MessageGroupId": "\\ud800"}' % url.encode(),
        b'{"QueueUrl": "%s", "MessageBody": "a", "DelaySeconds": "1"}' % url.encode(),
        b'{"QueueUrl": "%s"}' % url.encode(),
        b'{"QueueUrl": "http://[::1/123456789012/events", "MessageBody": "a"}',
        b"[" * 100_000,
        b'{"a":' * 100_000 + b"1" + b"}" * 100_000,
        b"{",
        b"[]",
        b"",
    ]

    for body in bodies:
        answer = await clients.http.post("/", content=body, headers={**headers, **clients.credential})
        assert answer.status_code == 400, (body, answer.text)
        assert answer.json()["__type"]


async def test_odd_values_are_refused_and_do_not_break_the_door(clients: Clients) -> None:
    deep = '{"a":' * 100_000
    named = {"QueueUrl": (await clients.call("create_queue", QueueName="events"))["QueueUrl"]}
    number = "9" * 5_000
    asked = [
        {"Action": "CreateQueue", "QueueName": "a", "Attribute.1.Name": "Policy", "Attribute.1.Value": deep},
        {"Action": "CreateQueue", "QueueName": "b", "Attribute.1.Name": "RedrivePolicy", "Attribute.1.Value": deep},
        {"Action": "CreateQueue", "QueueName": "c", "Attribute.1.Name": "DelaySeconds", "Attribute.1.Value": "1_0"},
        {"Action": "CreateQueue", "QueueName": "d", "Attribute.1.Name": "DelaySeconds", "Attribute.1.Value": "\u0661"},
        {"Action": "ReceiveMessage", "MaxNumberOfMessages": "1_0", **named},
        {"Action": "ReceiveMessage", "MaxNumberOfMessages": number, **named},
        {"Action": "DeleteMessageBatch", f"DeleteMessageBatchRequestEntry.{number}.Id": "a", **named},
        {"Action": "DeleteMessageBatch", "DeleteMessageBatchRequestEntry.\u0661.Id": "a", **named},
    ]

    for fields in asked:
        status, answer = await clients.query(**fields)
        assert status == 400, (str(fields)[:200], ElementTree.tostring(answer))

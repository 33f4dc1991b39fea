"""SNS over boto3: fan-out to queues and functions, filters, dead letters, FIFO topics."""

import json
import urllib.request
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.fakes.live_engine import LiveEngine


def refused(error: "pytest.ExceptionInfo[ClientError]") -> tuple[str, str]:
    """An error's code and message."""
    found = error.value.response["Error"]
    return found["Code"], found["Message"]


def test_a_message_reaches_a_queue_and_a_function(engine: LiveEngine) -> None:
    client = engine.client("sns")
    url, queue = engine.create_queue("orders-queue")
    function = engine.create_function("orders-function")
    topic = client.create_topic(Name="orders", Tags=[{"Key": "team", "Value": "a"}])["TopicArn"]
    client.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=queue)
    client.subscribe(TopicArn=topic, Protocol="lambda", Endpoint=function)

    published = client.publish(
        TopicArn=topic,
        Message='{"order": 7}',
        Subject="paid",
        MessageAttributes={"shop": {"DataType": "String", "StringValue": "a"}},
    )
    (message,) = engine.receive(url)
    (event,) = engine.events("orders-function")

    told = json.loads(message["Body"])
    assert (told["MessageId"], told["Message"], told["Subject"]) == (published["MessageId"], '{"order": 7}', "paid")
    record = event["Records"][0]
    assert record["Sns"]["MessageId"] == published["MessageId"]
    assert record["Sns"]["MessageAttributes"] == {"shop": {"Type": "String", "Value": "a"}}
    with urllib.request.urlopen(told["SigningCertURL"], timeout=30) as answer:
        assert answer.read().startswith(b"-----BEGIN CERTIFICATE-----")
    assert client.list_tags_for_resource(ResourceArn=topic)["Tags"] == [{"Key": "team", "Value": "a"}]
    assert client.get_topic_attributes(TopicArn=topic)["Attributes"]["SubscriptionsConfirmed"] == "2"
    urllib.request.urlopen(told["UnsubscribeURL"], timeout=30).close()
    assert len(client.list_subscriptions_by_topic(TopicArn=topic)["Subscriptions"]) == 1


def test_filters_and_raw_delivery_are_set_on_a_subscription(engine: LiveEngine) -> None:
    client = engine.client("sns")
    url, queue = engine.create_queue("filtered")
    topic = client.create_topic(Name="filtered")["TopicArn"]
    arn = client.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=queue, ReturnSubscriptionArn=True)[
        "SubscriptionArn"
    ]
    for name, value in (
        ("RawMessageDelivery", "true"),
        ("FilterPolicyScope", "MessageBody"),
        ("FilterPolicy", '{"state": ["paid"]}'),
    ):
        client.set_subscription_attributes(SubscriptionArn=arn, AttributeName=name, AttributeValue=value)

    answer = client.publish_batch(
        TopicArn=topic,
        PublishBatchRequestEntries=[
            {"Id": "1", "Message": '{"state": "open"}'},
            {
                "Id": "2",
                "Message": '{"state": "paid"}',
                "MessageAttributes": {"n": {"DataType": "Number", "StringValue": "5"}},
            },
            {"Id": "3", "Message": '{"state": "paid"}', "Subject": "a\nb"},
        ],
    )
    (message,) = engine.receive(url)

    assert [entry["Id"] for entry in answer["Successful"]] == ["1", "2"]
    assert [(entry["Id"], entry["Code"]) for entry in answer["Failed"]] == [("3", "InvalidParameter")]
    assert message["Body"] == '{"state": "paid"}'
    assert message["MessageAttributes"]["n"] == {"StringValue": "5", "DataType": "Number"}
    shown = client.get_subscription_attributes(SubscriptionArn=arn)["Attributes"]
    assert (shown["RawMessageDelivery"], shown["FilterPolicyScope"]) == ("true", "MessageBody")
    assert shown["FilterPolicy"] == '{"state": ["paid"]}'


def test_a_topic_and_a_subscription_are_asked_for_again_with_less_or_with_the_same(engine: LiveEngine) -> None:
    client = engine.client("sns")
    _, queue = engine.create_queue("asked-again")
    attributes = {"DisplayName": "Orders", "KmsMasterKeyId": "alias/a"}
    topic = client.create_topic(Name="asked-again", Attributes=attributes, Tags=[{"Key": "a", "Value": "b"}])[
        "TopicArn"
    ]
    fifo = client.create_topic(Name="asked-again.fifo", Attributes={"FifoTopic": "true"})["TopicArn"]
    to_queue = {"TopicArn": topic, "Protocol": "sqs", "Endpoint": queue}
    wanted = {"RawMessageDelivery": "true", "FilterPolicy": '{"a": ["1"]}'}
    made = client.subscribe(**to_queue, Attributes=wanted)["SubscriptionArn"]

    assert client.create_topic(Name="asked-again")["TopicArn"] == topic
    assert client.create_topic(Name="asked-again", Attributes={"DisplayName": "Orders"})["TopicArn"] == topic
    assert client.create_topic(Name="asked-again.fifo")["TopicArn"] == fifo
    assert client.subscribe(**to_queue)["SubscriptionArn"] == made
    assert client.subscribe(**to_queue, Attributes={"RawMessageDelivery": "True"})["SubscriptionArn"] == made
    for other in ({"DisplayName": "Others"}, {"TracingConfig": "Active"}):
        with pytest.raises(ClientError) as refusal:
            client.create_topic(Name="asked-again", Attributes=other)
        assert "Topic already exists with different attributes" in refused(refusal)[1]
    for other in ({"RawMessageDelivery": "false"}, {"FilterPolicyScope": "MessageBody"}):
        with pytest.raises(ClientError) as refusal:
            client.subscribe(**to_queue, Attributes=other)
        assert "Subscription already exists with different attributes" in refused(refusal)[1]


def test_what_a_subscriber_no_longer_takes_goes_to_its_dead_letter_queue(engine: LiveEngine) -> None:
    client, queues = engine.client("sns"), engine.client("sqs")
    gone_url, gone = engine.create_queue("subscriber-gone")
    dead_url, dead = engine.create_queue("subscriber-dead")
    topic = client.create_topic(Name="redriven")["TopicArn"]
    client.subscribe(
        TopicArn=topic,
        Protocol="sqs",
        Endpoint=gone,
        Attributes={"RedrivePolicy": json.dumps({"deadLetterTargetArn": dead}), "RawMessageDelivery": "true"},
    )
    queues.delete_queue(QueueUrl=gone_url)

    client.publish(TopicArn=topic, Message="hello")
    (message,) = engine.receive(dead_url)

    assert message["Body"] == "hello"


def test_a_fifo_topic_keeps_the_order_into_a_fifo_queue(engine: LiveEngine) -> None:
    client, queues = engine.client("sns"), engine.client("sqs")
    url = queues.create_queue(QueueName="ordered.fifo", Attributes={"FifoQueue": "true"})["QueueUrl"]
    topic = client.create_topic(Name="ordered.fifo", Attributes={"FifoTopic": "true"})["TopicArn"]
    queue = "arn:aws:sqs:us-east-1:123456789012:ordered.fifo"
    client.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=queue, Attributes={"RawMessageDelivery": "true"})

    for body, chosen in (("1", "a"), ("1", "a"), ("2", "b"), ("3", "c")):
        client.publish(TopicArn=topic, Message=body, MessageGroupId="g", MessageDeduplicationId=chosen)
    messages = engine.receive(url, 3)

    assert [message["Body"] for message in messages] == ["1", "2", "3"]
    assert {message["Attributes"]["MessageGroupId"] for message in messages} == {"g"}


def test_a_topic_is_a_destination_of_buckets_and_of_asynchronous_invocations(engine: LiveEngine) -> None:
    client, storage = engine.client("sns"), engine.client("s3")
    url, queue = engine.create_queue("told-by-topic")
    topic = client.create_topic(Name="tells")["TopicArn"]
    client.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=queue, Attributes={"RawMessageDelivery": "true"})
    engine.create_function("told")
    storage.create_bucket(Bucket="tells")
    configuration = {"TopicConfigurations": [{"TopicArn": topic, "Events": ["s3:ObjectCreated:*"]}]}

    storage.put_bucket_notification_configuration(Bucket="tells", NotificationConfiguration=configuration)
    storage.put_object(Bucket="tells", Key="k", Body=b"1")
    engine.client("lambda").put_function_event_invoke_config(
        FunctionName="told", DestinationConfig={"OnSuccess": {"Destination": topic}}
    )
    engine.client("lambda").invoke(FunctionName="told", InvocationType="Event", Payload=b"[1]")
    bodies = [json.loads(message["Body"]) for message in engine.receive(url, 3)]

    kinds = sorted("test" if "Event" in body else "object" if "Records" in body else "record" for body in bodies)
    assert kinds == ["object", "record", "test"]


def test_what_is_not_done_is_refused_by_name(engine: LiveEngine) -> None:
    client = engine.client("sns")
    topic = client.create_topic(Name="refusing")["TopicArn"]

    def subscribe(**parameters: Any) -> tuple[str, str]:
        with pytest.raises(ClientError) as error:
            client.subscribe(TopicArn=topic, **parameters)
        return refused(error)

    assert subscribe(Protocol="email", Endpoint="a@b.c") == (
        "InvalidParameter",
        "workshape does not do subscriptions of the protocol email (it has sqs and lambda) yet.",
    )
    assert subscribe(Protocol="sqs", Endpoint="q")[0] == "InvalidParameter"
    with pytest.raises(ClientError) as missing:
        client.publish(TopicArn=f"{topic}-gone", Message="m")
    assert refused(missing) == ("NotFound", "Topic does not exist")
    assert client.exceptions.NotFoundException.__name__ == type(missing.value).__name__
    with pytest.raises(ClientError) as attribute:
        client.set_topic_attributes(TopicArn=topic, AttributeName="ArchivePolicy", AttributeValue="{}")
    assert "ArchivePolicy" in refused(attribute)[1]
    client.publish(PhoneNumber="+15550100", Message="the upstream's")
    client.delete_topic(TopicArn=topic)
    client.delete_topic(TopicArn=topic)
    assert topic not in [each["TopicArn"] for each in client.list_topics()["Topics"]]

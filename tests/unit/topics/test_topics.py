"""Topics on a real store: who gets what, in which form, and what is refused."""

import asyncio
import json
from base64 import b64decode
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from tests.fakes.queue_clock import FakeClock
from workshape.delivery import Delivered, Delivery, DeliveryAttribute, DeliveryOutcome, Undelivered, text_attribute
from workshape.errors import Throttled
from workshape.store.documents import Documents
from workshape.topics.deduplication import Deduplication
from workshape.topics.message import deduplication_id, read_structure
from workshape.topics.model import (
    DEDUPLICATION_S,
    DeduplicationScope,
    FilterScope,
    InvalidParameter,
    Message,
    Protocol,
    Published,
    Subscription,
    SubscriptionExists,
    Topic,
    TopicExists,
    TopicNotFound,
)
from workshape.topics.registry import Topics

WAIT_S_MAX = 10.0
ACCOUNT = "us-east-1:123456789012"
TOPIC = Topic(name="orders", arn=f"arn:aws:sns:{ACCOUNT}:orders")
FIFO = Topic(name="orders.fifo", arn=f"arn:aws:sns:{ACCOUNT}:orders.fifo", content_based_deduplication=True)
QUEUE = f"arn:aws:sqs:{ACCOUNT}:q"
FUNCTION = f"arn:aws:lambda:{ACCOUNT}:function:f"


class Post:
    """Takes deliveries, or does not."""

    def __init__(self) -> None:
        self.outcome: DeliveryOutcome = Delivered()
        self.taken: list[tuple[str, Delivery]] = []
        self.handed_over: list[tuple[str, Delivery]] = []

    async def deliver(self, arn: str, delivery: Delivery) -> DeliveryOutcome:
        if isinstance(self.outcome, Delivered):
            self.taken.append((arn, delivery))
        return self.outcome

    async def hand_over(self, subscription: Subscription, delivery: Delivery) -> None:
        self.handed_over.append((subscription.endpoint, delivery))


@pytest.fixture
def post() -> Post:
    return Post()


@pytest.fixture
def topics(store: Documents, post: Post) -> Topics:
    topics = open_kafka(store, post)
    topics.create(TOPIC)
    return topics


def open_kafka(store: Documents, post: Post, clock: FakeClock | None = None) -> Topics:
    return Topics(
        store,
        clock or FakeClock(),
        region="us-east-1",
        account="123456789012",
        endpoint="http://127.0.0.1:4566",
        certificate_url="http://127.0.0.1:4566/_workshape/topics.pem",
        deliver=post.deliver,
        hand_over=post.hand_over,
    )


def subscription(protocol: Protocol = Protocol.SQS, endpoint: str = QUEUE, **more: Any) -> Subscription:
    return replace(Subscription(arn="", topic_arn=TOPIC.arn, protocol=protocol, endpoint=endpoint), **more)


async def test_a_queue_gets_a_notification_whose_signature_holds(topics: Topics, post: Post) -> None:
    subscribed = topics.subscribe(subscription())

    published = await topics.publish(TOPIC.arn, Message("hello", "greeting", {"kind": text_attribute("a")}))

    ((endpoint, delivery),) = post.handed_over
    told = json.loads(delivery.body)
    assert endpoint == QUEUE
    assert (told["Type"], told["MessageId"], told["TopicArn"]) == ("Notification", published.message_id, TOPIC.arn)
    assert (told["Subject"], told["Message"]) == ("greeting", "hello")
    assert told["MessageAttributes"] == {"kind": {"Type": "String", "Value": "a"}}
    assert told["UnsubscribeURL"].endswith(f"/?Action=Unsubscribe&SubscriptionArn={subscribed.arn}")
    key = x509.load_pem_x509_certificate(topics.signer.certificate()).public_key()
    names = ("Message", "MessageId", "Subject", "Timestamp", "TopicArn", "Type")
    signed = "".join(f"{name}\n{told[name]}\n" for name in names)
    assert isinstance(key, rsa.RSAPublicKey)
    key.verify(b64decode(told["Signature"]), signed.encode(), padding.PKCS1v15(), hashes.SHA1())


async def test_the_signature_may_be_of_version_2(topics: Topics, post: Post) -> None:
    topics.put(replace(TOPIC, signature_version="2"))
    topics.subscribe(subscription())

    await topics.publish(TOPIC.arn, Message("hello"))

    told = json.loads(post.handed_over[0][1].body)
    key = x509.load_pem_x509_certificate(topics.signer.certificate()).public_key()
    names = ("Message", "MessageId", "Timestamp", "TopicArn", "Type")
    signed = "".join(f"{name}\n{told[name]}\n" for name in names)
    assert isinstance(key, rsa.RSAPublicKey)
    key.verify(b64decode(told["Signature"]), signed.encode(), padding.PKCS1v15(), hashes.SHA256())
    assert told["SignatureVersion"] == "2"


async def test_a_raw_queue_gets_the_message_itself(topics: Topics, post: Post) -> None:
    topics.subscribe(subscription(raw=True))
    attributes = {"n": DeliveryAttribute("Number", "1.5"), "b": DeliveryAttribute("Binary", data=b"\xff")}

    await topics.publish(TOPIC.arn, Message("hello", "unseen", attributes, group_id="tenant"))

    ((_, delivery),) = post.handed_over
    assert (delivery.body, delivery.attributes, delivery.group_id) == ("hello", attributes, "tenant")


async def test_a_function_gets_awss_record(topics: Topics, post: Post) -> None:
    subscribed = topics.subscribe(subscription(Protocol.LAMBDA, FUNCTION))

    await topics.publish(TOPIC.arn, Message("hello", attributes={"b": DeliveryAttribute("Binary", data=b"\xff")}))

    (record,) = json.loads(post.handed_over[0][1].body)["Records"]
    assert (record["EventSource"], record["EventVersion"]) == ("aws:sns", "1.0")
    assert record["EventSubscriptionArn"] == subscribed.arn
    assert (record["Sns"]["Message"], record["Sns"]["Subject"]) == ("hello", None)
    assert record["Sns"]["MessageAttributes"] == {"b": {"Type": "Binary", "Value": "/w=="}}
    assert {"SigningCertUrl", "UnsubscribeUrl", "Signature", "Timestamp"} <= record["Sns"].keys()


async def test_each_protocol_gets_the_body_that_is_its_own(topics: Topics, post: Post) -> None:
    topics.subscribe(subscription(raw=True))
    topics.subscribe(subscription(Protocol.LAMBDA, FUNCTION))
    body, by_protocol = read_structure('{"default": "all", "sqs": "queues", "email": "nobody", "http": 5}')

    await topics.publish(TOPIC.arn, Message(body, attributes={"a": text_attribute("1")}, by_protocol=by_protocol))

    bodies = dict(post.handed_over)
    assert (bodies[QUEUE].body, bodies[QUEUE].attributes) == ("queues", {})
    sns = json.loads(bodies[FUNCTION].body)["Records"][0]["Sns"]
    assert (sns["Message"], sns["MessageAttributes"]) == ("all", {})


@pytest.mark.parametrize(
    ("policy", "scope", "message", "wanted"),
    [
        ('{"store": ["a"]}', FilterScope.ATTRIBUTES, Message("m", attributes={"store": text_attribute("a")}), True),
        ('{"store": ["a"]}', FilterScope.ATTRIBUTES, Message("m", attributes={"store": text_attribute("b")}), False),
        ('{"store": ["a"]}', FilterScope.ATTRIBUTES, Message("m"), False),
        (
            '{"price": [{"numeric": [">", 1]}]}',
            FilterScope.ATTRIBUTES,
            Message("m", attributes={"price": DeliveryAttribute("Number", "2")}),
            True,
        ),
        (
            '{"likes": ["rugby"]}',
            FilterScope.ATTRIBUTES,
            Message("m", attributes={"likes": DeliveryAttribute("String.Array", '["soccer", "rugby"]')}),
            True,
        ),
        (
            '{"likes": ["rugby"]}',
            FilterScope.ATTRIBUTES,
            Message("m", attributes={"likes": DeliveryAttribute("Binary", data=b"rugby")}),
            False,
        ),
        ('{"order": {"state": ["paid"]}}', FilterScope.BODY, Message('{"order": {"state": "paid"}}'), True),
        ('{"order": {"state": ["paid"]}}', FilterScope.BODY, Message('{"order": {"state": "open"}}'), False),
        ('{"order": {"state": ["paid"]}}', FilterScope.BODY, Message("no JSON"), False),
        ("{}", FilterScope.BODY, Message("no JSON"), True),
    ],
)
async def test_a_filter_policy_decides_who_gets_a_message(
    topics: Topics, post: Post, policy: str, scope: FilterScope, message: Message, wanted: bool
) -> None:
    topics.subscribe(subscription(filter_policy=policy, filter_scope=scope))

    await topics.publish(TOPIC.arn, message)

    assert bool(post.handed_over) is wanted
    counted = {point.metric.name for point in topics.metrics.take(0.0)}
    assert ("NumberOfNotificationsFilteredOut" in counted) is not wanted


async def test_topics_and_subscriptions_are_found_again(store: Documents, post: Post, topics: Topics) -> None:
    kept = topics.subscribe(subscription(filter_policy='{"a": ["1"]}', dead_letter_arn=f"{QUEUE}-dead"))
    gone = topics.subscribe(subscription(endpoint=f"{QUEUE}-2"))
    topics.unsubscribe(gone.arn)

    again = open_kafka(store, post)

    assert again.all() == [TOPIC]
    assert again.subscriptions(TOPIC.arn) == [kept]
    again.delete(TOPIC.arn)
    assert open_kafka(store, post).subscriptions() == []
    with pytest.raises(TopicNotFound):
        again.get(TOPIC.arn)


def test_the_same_again_is_the_same_and_another_is_refused(topics: Topics) -> None:
    first = topics.subscribe(subscription())

    assert topics.create(TOPIC) == TOPIC
    assert topics.subscribe(subscription()) == first
    with pytest.raises(SubscriptionExists):
        topics.subscribe(subscription(raw=True))
    with pytest.raises(TopicExists):
        topics.create(replace(TOPIC, display_name="other"))


@pytest.mark.parametrize(
    ("wanted", "why"),
    [
        (subscription(endpoint="q"), "not an ARN"),
        (subscription(endpoint=FUNCTION), "lambda is no destination for this"),
        (subscription(Protocol.LAMBDA, FUNCTION, raw=True), r"\[lambda\] does not support raw message delivery"),
        (subscription(endpoint=f"{QUEUE}.fifo"), "FIFO SQS Queues can not be subscribed to standard SNS topics"),
        (subscription(filter_policy="{"), "FilterPolicy"),
        (subscription(dead_letter_arn=FUNCTION), "RedrivePolicy"),
        (subscription(dead_letter_arn=f"{QUEUE}.fifo"), "all others to a standard one"),
    ],
)
def test_what_cannot_be_subscribed_is_refused(topics: Topics, wanted: Subscription, why: str) -> None:
    with pytest.raises(InvalidParameter, match=why):
        topics.subscribe(wanted)


@pytest.mark.parametrize(
    ("message", "why"),
    [
        (Message(""), "Empty message"),
        (Message("m", "x" * 100), "Subject"),
        (Message("m", "two\nlines"), "Subject"),
        (Message("m" * 262_145), "Message too long"),
        (Message("m", attributes={"a": DeliveryAttribute("Bool", "true")}), "invalid message attribute type"),
        (Message("m", attributes={"a": DeliveryAttribute("Number", "many")}), "Could not cast"),
        (Message("m", attributes={"a": DeliveryAttribute("Number.float", "many")}), "Could not cast"),
        (Message("m", attributes={"a": DeliveryAttribute("Number", "1_000")}), "Could not cast"),
        (Message("m", attributes={"a b": DeliveryAttribute("String", "x")}), "'a b'"),
        (Message("m", attributes={"a..b": DeliveryAttribute("String", "x")}), "'a..b'"),
        (Message("m", attributes={"aWs.b": DeliveryAttribute("String", "x")}), "'aWs.b'"),
        (Message("m", attributes={"a" * 257: DeliveryAttribute("String", "x")}), "1 to 256"),
        (Message("m", attributes={"a": DeliveryAttribute("String", "")}), "non-empty"),
        (Message("m", deduplication_id="d"), "not valid for this topic type"),
    ],
)
async def test_what_cannot_be_published_is_refused(topics: Topics, post: Post, message: Message, why: str) -> None:
    topics.subscribe(subscription())

    with pytest.raises(InvalidParameter, match=why):
        await topics.publish(TOPIC.arn, message)

    assert post.handed_over == []


@pytest.mark.parametrize("text", ["[]", "{", '{"sqs": "only"}', '{"default": 5}'])
def test_a_structure_without_a_default_is_refused(text: str) -> None:
    with pytest.raises(InvalidParameter, match="Message Structure"):
        read_structure(text)


class Crowd(Post):
    """Takes nothing before so many deliveries have come."""

    def __init__(self, awaited: int) -> None:
        super().__init__()
        self._awaited = awaited
        self._all_here = asyncio.Event()

    async def hand_over(self, subscription: Subscription, delivery: Delivery) -> None:
        await super().hand_over(subscription, delivery)
        if len(self.handed_over) == self._awaited:
            self._all_here.set()
        await self._all_here.wait()


async def test_the_messages_of_a_batch_do_not_wait_for_each_other(store: Documents) -> None:
    post = Crowd(3)
    topics = open_kafka(store, post)
    topics.create(TOPIC)
    topics.subscribe(subscription(raw=True))

    async with asyncio.timeout(WAIT_S_MAX):
        one, empty, two, three = await topics.publish_each(TOPIC.arn, [*map(Message, ("1", "", "2", "3"))])

    assert [delivery.body for _, delivery in post.handed_over] == ["1", "2", "3"]
    assert isinstance(empty, InvalidParameter)
    assert len({published.message_id for published in (one, two, three) if isinstance(published, Published)}) == 3


async def test_the_messages_of_a_batch_for_a_fifo_topic_keep_their_order(store: Documents, post: Post) -> None:
    topics = open_kafka(store, post)
    topics.create(FIFO)
    topics.subscribe(subscription(endpoint=f"{QUEUE}.fifo", topic_arn=FIFO.arn, raw=True))
    messages = [Message(body, group_id="g") for body in "abcab"]

    published = await topics.publish_each(FIFO.arn, messages)

    assert [delivery.body for _, delivery in post.taken] == ["a", "b", "c"]
    assert published[3:] == published[:2]


class Hiccup(Post):
    """Does not take the first delivery."""

    async def deliver(self, arn: str, delivery: Delivery) -> DeliveryOutcome:
        if self.outcome == Delivered() and not self.taken and delivery.body == "a1":
            self.outcome = Undelivered("RequestThrottled", "the disk", retryable=True)
            return self.outcome
        self.outcome = Delivered()
        return await super().deliver(arn, delivery)


async def test_what_is_behind_a_refused_message_of_a_batch_is_refused_with_it(store: Documents) -> None:
    post = Hiccup()
    topics = open_kafka(store, post)
    topics.create(FIFO)
    topics.subscribe(subscription(endpoint=f"{QUEUE}.fifo", topic_arn=FIFO.arn, raw=True))
    messages = [Message(body, group_id=body[0]) for body in ("a1", "b1", "a2", "b2")]

    published = await topics.publish_each(FIFO.arn, messages)

    assert [isinstance(outcome, Throttled) for outcome in published] == [True, False, True, False]
    assert [delivery.body for _, delivery in post.taken] == ["b1", "b2"]


async def test_a_fifo_topic_sends_in_order_and_the_same_only_once(store: Documents, post: Post) -> None:
    clock = FakeClock()
    topics = open_kafka(store, post, clock)
    topics.create(FIFO)
    topics.subscribe(subscription(endpoint=f"{QUEUE}.fifo", topic_arn=FIFO.arn, raw=True))

    first = await topics.publish(FIFO.arn, Message("a", group_id="g"))
    again = await topics.publish(FIFO.arn, Message("a", group_id="other"))
    second = await topics.publish(FIFO.arn, Message("b", group_id="g"))
    clock.wall += DEDUPLICATION_S
    later = await topics.publish(FIFO.arn, Message("a", group_id="g"))

    assert again == first != later
    assert first.sequence_number < second.sequence_number < later.sequence_number
    assert {len(one.sequence_number) for one in (first, second, later)} == {20}
    assert [(delivery.body, delivery.group_id) for _, delivery in post.taken] == [("a", "g"), ("b", "g"), ("a", "g")]
    assert post.taken[0][1].deduplication_id == deduplication_id(Message("a"))
    with pytest.raises(InvalidParameter, match="MessageGroupId"):
        await topics.publish(FIFO.arn, Message("a"))
    with pytest.raises(InvalidParameter, match="queues only"):
        topics.subscribe(subscription(Protocol.LAMBDA, FUNCTION, topic_arn=FIFO.arn))


async def test_a_queue_that_is_busy_holds_up_a_fifo_topic_and_not_its_order(store: Documents, post: Post) -> None:
    topics = open_kafka(store, post)
    topics.create(FIFO)
    topics.subscribe(subscription(endpoint=f"{QUEUE}.fifo", topic_arn=FIFO.arn))

    post.outcome = Undelivered("RequestThrottled", "the disk", retryable=True)
    with pytest.raises(Throttled, match="the topic keeps their order"):
        await topics.publish(FIFO.arn, Message("a", group_id="g"))
    post.outcome = Undelivered("NonExistentQueue", "gone", retryable=False)
    await topics.publish(FIFO.arn, Message("b", group_id="g"))
    post.outcome = Delivered()
    await topics.publish(FIFO.arn, Message("a", group_id="g"))

    assert [arn for arn, _ in post.handed_over] == [f"{QUEUE}.fifo"], "what is gone for good goes to the dead letters"
    assert len(post.taken) == 1, "what was refused may be published again"


async def test_a_delivery_is_published_as_a_message(topics: Topics, post: Post) -> None:
    topics.subscribe(subscription(raw=True))

    there = await topics.deliver(TOPIC.arn, Delivery("{}", {"RequestID": text_attribute("r")}))
    gone = await topics.deliver(f"{TOPIC.arn}-gone", Delivery("{}"))
    too_long = await topics.deliver(TOPIC.arn, Delivery("x" * 300_000))

    assert there == Delivered()
    assert post.handed_over[0][1].attributes == {"RequestID": text_attribute("r")}
    assert isinstance(gone, Undelivered)
    assert isinstance(too_long, Undelivered)
    assert [(gone.code, gone.retryable), (too_long.code, too_long.retryable)] == [
        ("NotFound", False),
        ("InvalidParameter", False),
    ]


@given(st.lists(st.tuples(st.sampled_from("ab"), st.sampled_from("xyz"), st.floats(0, 200)), max_size=30))
def test_of_one_id_one_message_goes_out_in_five_minutes(messages: list[tuple[str, str, float]]) -> None:
    topic, now = replace(FIFO, deduplication_scope=DeduplicationScope.GROUP), 0.0
    deduplication, sent = Deduplication(), []

    for number, (group, chosen, wait_s) in enumerate(messages):
        now += wait_s
        message = Message("m", group_id=group)
        if deduplication.find(topic, message, chosen, now) is None:
            deduplication.note(topic, message, chosen, now, Published(str(number)))
            sent.append((group, chosen, now))

    for index, (group, chosen, at) in enumerate(sent):
        later = [when for other, name, when in sent[index + 1 :] if (other, name) == (group, chosen)]
        assert all(when - at >= DEDUPLICATION_S for when in later)
    last = {(group, chosen): at for group, chosen, at in sent}
    assert last.keys() == {(group, chosen) for group, chosen, _ in messages}

"""The topics there are, their subscriptions, and publishing. A driver.

Topics and subscriptions are on disk when a method returns. A message published is at every subscriber, or on disk on
its way there, when `publish` returns; so a topic itself keeps no messages. Messages of a FIFO topic go out one after
the other: a queue that does not take one holds up its publisher, which asks again, and never the order.
"""

import asyncio
import uuid
from collections.abc import Awaitable, Callable, Sequence

import msgspec

from workshape.clock import Clock
from workshape.delivery import Deliver, Delivered, Delivery, DeliveryOutcome, Undelivered
from workshape.errors import CallerError, Throttled
from workshape.later import together
from workshape.store.documents import Documents
from workshape.topics.deduplication import Deduplication
from workshape.topics.filtering import Filter, filter_of
from workshape.topics.message import check_message, deduplication_id, size_bytes
from workshape.topics.model import (
    SUBSCRIPTIONS_MAX,
    InvalidParameter,
    Message,
    Published,
    Subscription,
    SubscriptionExists,
    SubscriptionLimitExceeded,
    SubscriptionNotFound,
    Topic,
    TopicExists,
    TopicNotFound,
    check_topic,
)
from workshape.topics.notification import Sending, delivery_for
from workshape.topics.signing import Signer
from workshape.topics.subscribing import check_subscription
from workshape.topics.topic_metrics import TopicMetrics

TOPIC_KIND = "topic"
SUBSCRIPTION_KIND = "topic-subscription"

HandOver = Callable[[Subscription, Delivery], Awaitable[None]]
"""Takes a delivery over for good: delivered, or tried again, or gone to the subscription's dead-letter queue. Raises
Throttled when it can not now.
"""


class TopicBusy(Throttled):
    """The subscription {subscription} takes no messages now ({reason}), and the topic keeps their order: try again."""

    subscription: str


class Topics:
    """All topics of one account and region. Used on the event loop's thread."""

    def __init__(
        self,
        documents: Documents,
        clock: Clock,
        *,
        region: str,
        account: str,
        endpoint: str,
        certificate_url: str,
        deliver: Deliver,
        hand_over: HandOver,
    ) -> None:
        """`endpoint` and `certificate_url` are what notifications name."""
        self.metrics = TopicMetrics()
        self.signer = Signer(documents)
        self.region = region
        self.account = account
        self._documents = documents
        self._clock = clock
        self._endpoint = endpoint
        self._certificate_url = certificate_url
        self._deliver = deliver
        self._hand_over = hand_over
        self._deduplication = Deduplication()
        self._last_sequence = 0
        self._locks: dict[str, asyncio.Lock] = {}
        self._topics = {arn: msgspec.json.decode(document, type=Topic) for arn, document in documents.all(TOPIC_KIND)}
        self._subscriptions: dict[str, Subscription] = {}
        self._filters: dict[str, Filter] = {}
        self._of_topic: dict[str, dict[str, Subscription]] = {arn: {} for arn in self._topics}
        for _, document in documents.all(SUBSCRIPTION_KIND):
            self._hold(msgspec.json.decode(document, type=Subscription))

    def __repr__(self) -> str:
        return f"<Topics topics={len(self._topics)} subscriptions={len(self._subscriptions)}>"

    def arn(self, name: str) -> str:
        """Name a topic in full."""
        return f"arn:aws:sns:{self.region}:{self.account}:{name}"

    def create(self, wanted: Topic, given: Callable[[Topic], Topic] | None = None) -> Topic:
        """Make a topic, or return the one there is when it has all that was given.

        `given` sets upon a topic what the caller named of its attributes; None: all that `wanted` has.

        Raises:
            InvalidParameter, TooManyTags: SNS would refuse it. TopicExists: there is one that differs.
        Source: https://docs.aws.amazon.com/sns/latest/api/API_CreateTopic.html
        """
        check_topic(wanted)
        present = self._topics.get(wanted.arn)
        if present is None:
            return self.put(wanted)
        if wanted.tags and present.tags != wanted.tags:
            raise TopicExists(what="tags")
        same = msgspec.structs.replace(wanted, tags=present.tags) if given is None else given(present)
        if same != present:
            raise TopicExists(what="attributes")
        return present

    def put(self, topic: Topic) -> Topic:
        """Write a topic, new or changed.

        Raises:
            InvalidParameter, TooManyTags: SNS would refuse it.
        """
        check_topic(topic)
        self._documents.put(TOPIC_KIND, topic.arn, msgspec.json.encode(topic))
        self._topics[topic.arn] = topic
        self._of_topic.setdefault(topic.arn, {})
        return topic

    def get(self, arn: str) -> Topic:
        """Return a topic.

        Raises:
            TopicNotFound: there is none.
        """
        try:
            return self._topics[arn]
        except KeyError:
            raise TopicNotFound(kind="topic", name=arn) from None

    def exists(self, arn: str) -> bool:
        """Tell whether there is such a topic."""
        return arn in self._topics

    def all(self) -> list[Topic]:
        """Every topic, by ARN."""
        return [topic for _, topic in sorted(self._topics.items())]

    def delete(self, arn: str) -> None:
        """Remove a topic with its subscriptions; nothing to do when it is gone already."""
        if self._topics.pop(arn, None) is None:
            return
        for subscription in list(self._of_topic.pop(arn).values()):
            self.unsubscribe(subscription.arn)
        self._documents.delete(TOPIC_KIND, arn)
        self._locks.pop(arn, None)

    def subscribe(
        self, wanted: Subscription, given: Callable[[Subscription], Subscription] | None = None
    ) -> Subscription:
        """Make a subscription; its ARN is made up here. One to the same endpoint is returned when it has all that was
        given: see `create`.

        Source: https://github.com/localstack/localstack/pull/9167 (AWS: only what is given is compared)

        Raises:
            TopicNotFound: there is no such topic.
            InvalidParameter: SNS would refuse it. SubscriptionExists: to the same endpoint, but different.
            SubscriptionLimitExceeded: there are too many.
        """
        topic = self.get(wanted.topic_arn)
        check_subscription(wanted, topic, region=self.region, account=self.account)
        others = self._of_topic[topic.arn]
        for present in others.values():
            if (present.protocol, present.endpoint) == (wanted.protocol, wanted.endpoint):
                same = msgspec.structs.replace(wanted, arn=present.arn) if given is None else given(present)
                if same != present:
                    raise SubscriptionExists()
                return present
        if len(others) >= SUBSCRIPTIONS_MAX:
            raise SubscriptionLimitExceeded(count_max=SUBSCRIPTIONS_MAX)
        return self._keep(msgspec.structs.replace(wanted, arn=f"{topic.arn}:{uuid.uuid4()}"))

    def change(self, subscription: Subscription) -> Subscription:
        """Write a changed subscription.

        Raises:
            SubscriptionNotFound, InvalidParameter: see `subscribe`.
        """
        topic = self.get(self.subscription(subscription.arn).topic_arn)
        check_subscription(subscription, topic, region=self.region, account=self.account)
        return self._keep(subscription)

    def unsubscribe(self, arn: str) -> None:
        """End a subscription; nothing to do when it is gone already."""
        subscription = self._subscriptions.pop(arn, None)
        if subscription is not None:
            self._documents.delete(SUBSCRIPTION_KIND, arn)
            self._of_topic.get(subscription.topic_arn, {}).pop(arn, None)
            del self._filters[arn]

    def subscription(self, arn: str) -> Subscription:
        """Return a subscription.

        Raises:
            SubscriptionNotFound: there is none.
        """
        try:
            return self._subscriptions[arn]
        except KeyError:
            raise SubscriptionNotFound(kind="subscription", name=arn) from None

    def subscriptions(self, topic_arn: str | None = None) -> list[Subscription]:
        """Every subscription, or those of a topic, by ARN."""
        found = self._subscriptions if topic_arn is None else self._of_topic.get(topic_arn, {})
        return [subscription for _, subscription in sorted(found.items())]

    async def publish(self, arn: str, message: Message) -> Published:
        """Send a message to everyone who wants it; returns when it is there, or durably on its way.

        Raises:
            TopicNotFound, InvalidParameter: nothing was sent.
            Throttled: not everybody has it; publish again.
        """
        topic = self.get(arn)
        check_message(message, topic)
        if not topic.is_fifo:
            return await self._send(topic, message, "")
        async with self._locks.setdefault(arn, asyncio.Lock()):
            now, chosen = self._clock.wall_s(), deduplication_id(message)
            already = self._deduplication.find(topic, message, chosen, now)
            if already is not None:
                return already
            published = await self._send(topic, message, chosen)
            self._deduplication.note(topic, message, chosen, now, published)
            return published

    async def publish_each(self, arn: str, messages: Sequence[Message]) -> list[Published | CallerError]:
        """Publish those messages that SNS would accept; the others' errors stand in their places.

        Those of a standard topic go out at once, those of a FIFO topic one after the other, and none of a group behind
        one that could not go out now.

        Raises:
            TopicNotFound: there is none.
        """
        if not self.get(arn).is_fifo:
            return await together([self._tried(arn, message) for message in messages])
        outcomes: list[Published | CallerError] = []
        blocked: dict[str, Throttled] = {}
        for message in messages:
            outcome = blocked.get(message.group_id) or await self._tried(arn, message)
            if isinstance(outcome, Throttled):
                blocked[message.group_id] = outcome
            outcomes.append(outcome)
        return outcomes

    async def deliver(self, arn: str, delivery: Delivery) -> DeliveryOutcome:
        """Publish a delivery: a `Deliver` for topics."""
        message = Message(
            delivery.body,
            delivery.subject,
            delivery.attributes,
            group_id=delivery.group_id,
            deduplication_id=delivery.deduplication_id,
            trace_header=delivery.trace_header,
        )
        try:
            await self.publish(arn, message)
        except TopicNotFound as error:
            return Undelivered("NotFound", str(error), retryable=False, status=404)
        except InvalidParameter as error:
            return Undelivered("InvalidParameter", str(error), retryable=False)
        except Throttled as error:
            return Undelivered("Throttled", str(error), retryable=True, status=429)
        return Delivered()

    def attempted(self, subscription_arn: str, outcome: DeliveryOutcome, *, is_final: bool) -> None:
        """Count what came of an attempt to deliver to a subscription."""
        if isinstance(outcome, Delivered):
            self.metrics.delivered(_topic_name(subscription_arn), self._clock.wall_s())
        elif is_final:
            self.metrics.failed(_topic_name(subscription_arn), self._clock.wall_s())

    def redriven(self, subscription_arn: str, outcome: DeliveryOutcome, *, is_final: bool) -> None:
        """Count what came of an attempt to deliver to a subscription's dead-letter queue."""
        if isinstance(outcome, Delivered):
            self.metrics.redriven(_topic_name(subscription_arn), self._clock.wall_s())
        elif is_final:
            self.metrics.failed_to_redrive(_topic_name(subscription_arn), self._clock.wall_s())

    async def _tried(self, arn: str, message: Message) -> Published | CallerError:
        try:
            return await self.publish(arn, message)
        except CallerError as error:
            return error

    async def _send(self, topic: Topic, message: Message, chosen_id: str) -> Published:
        now = self._clock.wall_s()
        published = Published(str(uuid.uuid4()), self._next_sequence(now) if topic.is_fifo else "")
        sending = Sending(
            topic,
            message,
            published.message_id,
            published.sequence_number,
            chosen_id,
            now,
            self._endpoint,
            self._certificate_url,
        )
        wanting = []
        for subscription in self._of_topic[topic.arn].values():
            if self._filters[subscription.arn].accepts(message, message.body_for(subscription.protocol)):
                wanting.append(subscription)
            else:
                self.metrics.filtered_out(topic.name, now)
        await self._fan_out(sending, wanting)
        self.metrics.published(topic.name, size_bytes(message), now)
        return published

    async def _fan_out(self, sending: Sending, wanting: Sequence[Subscription]) -> None:
        send = self._send_in_order if sending.topic.is_fifo else self._hand_over
        sign = _Once(self.signer)
        await together([send(subscription, delivery_for(subscription, sending, sign)) for subscription in wanting])

    async def _send_in_order(self, subscription: Subscription, delivery: Delivery) -> None:
        """Deliver at once or not at all: what would be tried again later would come out of order."""
        outcome = await self._deliver(subscription.endpoint, delivery)
        if isinstance(outcome, Undelivered) and outcome.retryable:
            raise TopicBusy(subscription=subscription.arn, reason=outcome.message)
        if isinstance(outcome, Undelivered):
            await self._hand_over(subscription, delivery)  # which fails as well, counts it, and knows what then
        else:
            self.attempted(subscription.arn, outcome, is_final=True)

    def _next_sequence(self, now: float) -> str:
        """Grows with every message, over restarts too. AWS: 20 digits, as in its examples; we take the time."""
        self._last_sequence = max(int(now * 1_000_000_000), self._last_sequence + 1)
        return f"1{self._last_sequence:019d}"

    def _keep(self, subscription: Subscription) -> Subscription:
        self._hold(subscription)
        self._documents.put(SUBSCRIPTION_KIND, subscription.arn, msgspec.json.encode(subscription))
        return subscription

    def _hold(self, subscription: Subscription) -> None:
        self._filters[subscription.arn] = filter_of(subscription)
        self._subscriptions[subscription.arn] = subscription
        self._of_topic.setdefault(subscription.topic_arn, {})[subscription.arn] = subscription


class _Once:
    """Signs each text of one message once, however many subscriptions get it."""

    def __init__(self, signer: Signer) -> None:
        self._signer = signer
        self._signed: dict[str, str] = {}

    def __call__(self, text: str, version: str) -> str:
        if text not in self._signed:
            self._signed[text] = self._signer.sign(text, version)
        return self._signed[text]


def _topic_name(subscription_arn: str) -> str:
    """The topic's name in `arn:aws:sns:REGION:ACCOUNT:NAME:ID`."""
    return subscription_arn.split(":")[5]

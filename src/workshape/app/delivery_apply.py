"""Brings about what the app sends by itself: topics, subscriptions, notifications, and who is told of events' ends.

What the app file no longer names is removed, if the app file had made it. What others set over the AWS API stays,
unless the app file speaks of the same bucket, topic or function.
"""

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass

import msgspec

from workshape.app.delivery_build import (
    configuration_of,
    endpoint_arn,
    subscription_of,
    telling_buckets,
    topic_of,
)
from workshape.app.delivery_model import Asynchronous, Endpoint, Subscription, Topic
from workshape.app.model import App
from workshape.buckets.notification import NotificationConfiguration
from workshape.functions.event_invoke import EventInvokeConfig
from workshape.store.documents import Documents
from workshape.topics.model import TopicNotFound
from workshape.topics.registry import Topics

DOCUMENT_KIND = "app"
DOCUMENT_KEY = "made-deliveries"


class MadeDeliveries(msgspec.Struct, frozen=True):
    """What earlier versions of the app file made and this one may remove."""

    topics: tuple[str, ...] = ()
    """Their ARNs, as those of subscriptions."""
    subscriptions: tuple[str, ...] = ()
    buckets: tuple[str, ...] = ()
    """Those whose notifications the file had set."""
    functions: tuple[str, ...] = ()
    """Those whose asynchronous invocations it had settled."""


@dataclass(frozen=True, slots=True)
class DeliveryCatalogue:
    """Everything that sends, as the app needs it."""

    topics: Topics
    notifications: Callable[[str], NotificationConfiguration]
    """Those of a bucket."""
    notify: Callable[[str, NotificationConfiguration], Awaitable[None]]
    """Replace them."""
    event_config: Callable[[str], EventInvokeConfig | None]
    """How a function's asynchronous invocations are tried."""
    configure_events: Callable[[str, EventInvokeConfig | None], None]
    """Set that; None: as Lambda does by itself."""
    store: Documents
    region: str
    account: str

    def arn(self, endpoint: Endpoint | None) -> str:
        """Name an endpoint in full; empty when there is none."""
        return endpoint_arn(endpoint, self.region, self.account) if endpoint is not None else ""


@dataclass(frozen=True, slots=True)
class PutNotifications:
    """A bucket's were set, or taken away."""

    bucket: str


@dataclass(frozen=True, slots=True)
class PutAsynchronous:
    """A function's asynchronous invocations were settled, or left to Lambda."""

    function: str


@dataclass(frozen=True, slots=True)
class RemoveDelivery:
    """The app had made it and names it no more."""

    arn: str


DeliveryChange = Topic | Subscription | PutNotifications | PutAsynchronous | RemoveDelivery


async def apply_deliveries(app: App, catalogue: DeliveryCatalogue) -> list[DeliveryChange]:
    """Make everything as the app wants it; return what was changed. Queues, functions and buckets are there by now.

    Raises:
        WorkshapeError: a change was refused.
    """
    made = _read_made(catalogue.store)
    topics = [topic_of(topic, catalogue.region, catalogue.account).arn for topic in app.topics]
    functions = [function.name for function in app.functions if function.asynchronous is not None]
    buckets = telling_buckets(app)
    if made == MadeDeliveries() and not (topics or functions or buckets):
        return []
    before_any_is_there = MadeDeliveries(
        _both(made.topics, topics),
        made.subscriptions,
        _both(made.buckets, buckets),
        _both(made.functions, functions),
    )
    _keep(catalogue.store, before_any_is_there)
    changes: list[DeliveryChange] = [*_put_topics(app, catalogue)]
    subscribed, subscriptions = _put_subscriptions(app, catalogue)
    changes += subscriptions
    changes += await _put_notifications(app, catalogue, before_any_is_there.buckets)
    changes += _put_asynchronous(app, catalogue, before_any_is_there.functions)
    changes += _removals(made, topics, subscribed, catalogue.topics)
    _keep(catalogue.store, MadeDeliveries(tuple(topics), tuple(subscribed), tuple(buckets), tuple(functions)))
    return changes


def _put_topics(app: App, catalogue: DeliveryCatalogue) -> Iterable[DeliveryChange]:
    for topic in app.topics:
        wanted = topic_of(topic, catalogue.region, catalogue.account)
        try:
            present = catalogue.topics.get(wanted.arn)
        except TopicNotFound:
            catalogue.topics.put(wanted)
            yield topic
            continue
        changed = msgspec.structs.replace(
            present,
            content_based_deduplication=wanted.content_based_deduplication,
            message_bytes_max=wanted.message_bytes_max,
        )
        if changed != present:
            catalogue.topics.put(changed)
            yield topic


def _put_subscriptions(app: App, catalogue: DeliveryCatalogue) -> tuple[list[str], list[DeliveryChange]]:
    """Return the ARNs of the app's subscriptions, and those that were made or changed."""
    arns, changes = [], list[DeliveryChange]()
    for subscription in app.subscriptions:
        wanted = subscription_of(subscription, catalogue.region, catalogue.account)
        there = catalogue.topics.subscriptions(wanted.topic_arn)
        present = next(
            (one for one in there if (one.protocol, one.endpoint) == (wanted.protocol, wanted.endpoint)), None
        )
        if present is None:
            arns.append(catalogue.topics.subscribe(wanted).arn)
            changes.append(subscription)
            continue
        arns.append(present.arn)
        changed = msgspec.structs.replace(wanted, arn=present.arn)
        if changed != present:
            catalogue.topics.change(changed)
            changes.append(subscription)
    return arns, changes


async def _put_notifications(app: App, catalogue: DeliveryCatalogue, buckets: Iterable[str]) -> list[DeliveryChange]:
    changes = list[DeliveryChange]()
    for bucket in buckets:
        wanted = configuration_of(app, bucket, catalogue.region, catalogue.account)
        if wanted != catalogue.notifications(bucket):
            await catalogue.notify(bucket, wanted)
            changes.append(PutNotifications(bucket))
    return changes


def _put_asynchronous(app: App, catalogue: DeliveryCatalogue, functions: Iterable[str]) -> list[DeliveryChange]:
    changes = list[DeliveryChange]()
    for name in functions:
        function = app.function(name)
        present = catalogue.event_config(name)
        settings = function.asynchronous if function is not None else None
        wanted = _event_config(settings, catalogue) if settings is not None else None
        if _without_time(present) != wanted:
            catalogue.configure_events(name, wanted)
            changes.append(PutAsynchronous(name))
    return changes


def _event_config(settings: Asynchronous, catalogue: DeliveryCatalogue) -> EventInvokeConfig:
    return EventInvokeConfig(
        0.0,
        settings.retries_max,
        settings.event_age_s_max,
        catalogue.arn(settings.on_success),
        catalogue.arn(settings.on_failure),
    )


def _without_time(config: EventInvokeConfig | None) -> EventInvokeConfig | None:
    return msgspec.structs.replace(config, modified_at=0.0) if config is not None else None


def _removals(
    made: MadeDeliveries, topics_wanted: list[str], subscribed: list[str], topics: Topics
) -> list[DeliveryChange]:
    changes = list[DeliveryChange]()
    for arn in made.subscriptions:
        if arn not in subscribed:
            topics.unsubscribe(arn)
            changes.append(RemoveDelivery(arn))
    for arn in made.topics:
        if arn not in topics_wanted:
            topics.delete(arn)
            changes.append(RemoveDelivery(arn))
    return changes


def _both(made: Iterable[str], wanted: Iterable[str]) -> tuple[str, ...]:
    return tuple(sorted({*made, *wanted}))


def _read_made(store: Documents) -> MadeDeliveries:
    documents = dict(store.all(DOCUMENT_KIND))
    if DOCUMENT_KEY not in documents:
        return MadeDeliveries()
    return msgspec.json.decode(documents[DOCUMENT_KEY], type=MadeDeliveries)


def _keep(store: Documents, made: MadeDeliveries) -> None:
    store.put(DOCUMENT_KIND, DOCUMENT_KEY, msgspec.json.encode(made))

"""An app's topics, subscriptions and notifications as those who keep them have them. A core."""

import msgspec

from workshape.app.delivery_model import Endpoint, Notification, Subscription, Topic
from workshape.app.model import App
from workshape.arn import function_arn, queue_arn
from workshape.buckets.event import bucket_arn
from workshape.buckets.notification import NotificationConfiguration, NotificationTarget
from workshape.topics import model as sns

APP_TARGET = "app-"
"""What the ids of the app's targets in a bucket's configuration begin with."""


def topic_arn(name: str, region: str, account: str) -> str:
    """Name a topic in full."""
    return f"arn:aws:sns:{region}:{account}:{name}"


def endpoint_arn(endpoint: Endpoint, region: str, account: str) -> str:
    """Name in full what an endpoint names; it names one thing."""
    if endpoint.queue is not None:
        return queue_arn(region, account, endpoint.queue)
    if endpoint.function is not None:
        return function_arn(region, account, endpoint.function)
    if endpoint.topic is not None:
        return topic_arn(endpoint.topic, region, account)
    if endpoint.bus is not None:
        return f"arn:aws:events:{region}:{account}:event-bus/{endpoint.bus}"
    assert endpoint.bucket is not None, "checked: an endpoint names one thing"
    return bucket_arn(endpoint.bucket)


def topic_of(topic: Topic, region: str, account: str) -> sns.Topic:
    """Describe a topic to SNS."""
    return sns.Topic(
        name=topic.name,
        arn=topic_arn(topic.name, region, account),
        content_based_deduplication=topic.content_based_deduplication,
        message_bytes_max=topic.message_bytes_max,
    )


def subscription_of(subscription: Subscription, region: str, account: str) -> sns.Subscription:
    """Describe a subscription to SNS; it names a queue or a function."""
    queue, dead = subscription.queue, subscription.dead_letter_queue
    endpoint = endpoint_arn(Endpoint(queue, subscription.function), region, account)
    policy = subscription.filter
    return sns.Subscription(
        arn="",
        topic_arn=topic_arn(subscription.topic, region, account),
        protocol=sns.Protocol.LAMBDA if queue is None else sns.Protocol.SQS,
        endpoint=endpoint,
        raw=subscription.raw,
        filter_policy=msgspec.json.encode(policy).decode() if policy else "",
        filter_scope=subscription.filter_scope,
        dead_letter_arn=queue_arn(region, account, dead) if dead is not None else "",
    )


def configuration_of(app: App, bucket: str, region: str, account: str) -> NotificationConfiguration:
    """Describe a bucket's notifications to S3."""
    wanted = [notification for notification in app.notifications if notification.bucket == bucket]
    targets = (_target_of(each, number, region, account) for number, each in enumerate(wanted, 1))
    to_event_bridge = any(each.event_bridge for each in app.buckets if each.name == bucket)
    return NotificationConfiguration(tuple(targets), to_event_bridge)


def telling_buckets(app: App) -> list[str]:
    """Name the buckets that tell anybody anything."""
    named = {notification.bucket for notification in app.notifications}
    return [bucket.name for bucket in app.buckets if bucket.event_bridge or bucket.name in named]


def _target_of(notification: Notification, number: int, region: str, account: str) -> NotificationTarget:
    endpoint = Endpoint(notification.queue, notification.function, notification.topic)
    return NotificationTarget(
        id=f"{APP_TARGET}{number}",
        arn=endpoint_arn(endpoint, region, account),
        events=notification.events,
        prefix=notification.prefix,
        suffix=notification.suffix,
    )

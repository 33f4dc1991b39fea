"""Whether what an app sends by itself hangs together: what it names is there, and AWS would take it. A core."""

from collections.abc import Collection, Iterator

import msgspec

from workshape.app.delivery_build import configuration_of, subscription_of, telling_buckets, topic_of
from workshape.app.delivery_model import Endpoint, Subscription
from workshape.app.model import App, Function
from workshape.app.problem import Problem
from workshape.buckets.notification import NotificationInvalid, check_configuration
from workshape.errors import CallerError
from workshape.toml_document import Place, did_you_mean
from workshape.topics.model import check_topic
from workshape.topics.subscribing import check_subscription

REGION, ACCOUNT = "us-east-1", "123456789012"  # what stands for them here is no part of what is checked
DEFAULT_BUS = "default"
_EVERYWHERE = ("queue", "function", "topic", "bus")


def delivery_problems(app: App) -> Iterator[Problem]:
    """Everything that is wrong with them, in the order of the app."""
    for function in app.functions:
        yield from _asynchronous_problems(app, function)
    for topic in app.topics:
        try:
            check_topic(topic_of(topic, REGION, ACCOUNT))
        except CallerError as error:
            yield Problem(("topics", topic.name), str(error))
    for index, subscription in enumerate(app.subscriptions):
        yield from _subscription_problems(app, index, subscription)
    yield from _notification_problems(app)


def _asynchronous_problems(app: App, function: Function) -> Iterator[Problem]:
    settings = function.asynchronous
    if settings is None:
        return
    place: Place = ("functions", function.name, "asynchronous")
    for key, endpoint, kinds in (
        ("on_success", settings.on_success, _EVERYWHERE),
        ("on_failure", settings.on_failure, (*_EVERYWHERE, "bucket")),
        ("dead_letter", settings.dead_letter, ("queue", "topic")),
    ):
        if endpoint is not None:
            yield from endpoint_problems(app, (*place, key), endpoint, kinds)
            yield from order_problems((*place, key), endpoint)


def _subscription_problems(app: App, index: int, subscription: Subscription) -> Iterator[Problem]:
    place: Place = ("subscriptions", index)
    topic = next((topic for topic in app.topics if topic.name == subscription.topic), None)
    if topic is None:
        known = did_you_mean(subscription.topic, [topic.name for topic in app.topics])
        yield Problem((*place, "topic"), f"there is no [topics.{subscription.topic}]; {known}")
    endpoint = Endpoint(subscription.queue, subscription.function)
    wrong = list(endpoint_problems(app, place, endpoint, ("queue", "function")))
    if subscription.dead_letter_queue is not None:
        dead = Endpoint(subscription.dead_letter_queue)
        wrong += endpoint_problems(app, place, dead, ("queue",), key="dead_letter_queue")
    yield from wrong
    earlier = app.subscriptions[:index]
    if any((each.topic, each.queue, each.function) == (subscription.topic, *_pair(subscription)) for each in earlier):
        yield Problem(place, "this subscription is there twice")
    if topic is None or wrong:
        return
    try:
        described = topic_of(topic, REGION, ACCOUNT)
        check_subscription(subscription_of(subscription, REGION, ACCOUNT), described, region=REGION, account=ACCOUNT)
    except CallerError as error:
        yield Problem(place, str(error))


def _notification_problems(app: App) -> Iterator[Problem]:
    buckets, wrong = [bucket.name for bucket in app.buckets], False
    for index, notification in enumerate(app.notifications):
        place: Place = ("notifications", index)
        found = []
        if notification.bucket not in buckets:
            known = did_you_mean(notification.bucket, buckets)
            found.append(Problem((*place, "bucket"), f"there is no [buckets.{notification.bucket}]; {known}"))
        endpoint = Endpoint(notification.queue, notification.function, notification.topic)
        found += endpoint_problems(app, place, endpoint, ("queue", "function", "topic"))
        found += order_problems(place, endpoint)
        wrong = wrong or bool(found)
        yield from found
    for name in telling_buckets(app) if not wrong else ():
        try:
            check_configuration(configuration_of(app, name, REGION, ACCOUNT))
        except NotificationInvalid as error:
            index = next((n for n, each in enumerate(app.notifications) if each.bucket == name), 0)
            yield Problem(("notifications", index), f"the bucket {name}: {error}")


def endpoint_problems(
    app: App, place: Place, endpoint: Endpoint, kinds: Collection[str], key: str = ""
) -> Iterator[Problem]:
    """What is wrong with where something goes; `key` is the app's name for it, where that is not the kind's."""
    given = {kind: name for kind, name in msgspec.structs.asdict(endpoint).items() if name is not None}
    if len(given) != 1 or not given.keys() <= set(kinds):
        yield Problem(place, f"it names exactly one of: {', '.join(kinds)}")
        return
    ((kind, name),) = given.items()
    known = _names(app, kind)
    if name not in known:
        table = "buses" if kind == "bus" else f"{kind}s"
        yield Problem((*place, key or kind), f"there is no [{table}.{name}]; {did_you_mean(name, known)}")


def order_problems(place: Place, endpoint: Endpoint) -> Iterator[Problem]:
    """Whether it names what AWS keeps in order, and therefore sends nothing."""
    for kind in ("queue", "topic"):
        name = getattr(endpoint, kind)
        if name is not None and name.endswith(".fifo"):
            yield Problem((*place, kind), f"AWS sends nothing to FIFO {kind}s from here")


def _names(app: App, kind: str) -> list[str]:
    match kind:
        case "queue":
            return [queue.name for queue in app.queues]
        case "function":
            return [function.name for function in app.functions]
        case "topic":
            return [topic.name for topic in app.topics]
        case "bucket":
            return [bucket.name for bucket in app.buckets]
        case _:
            return [DEFAULT_BUS, *(bus.name for bus in app.buses)]


def _pair(subscription: Subscription) -> tuple[str | None, str | None]:
    return subscription.queue, subscription.function

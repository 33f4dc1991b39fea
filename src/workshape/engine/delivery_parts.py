"""Where results, records and notifications go: destinations by ARN, and the deliveries that are tried again."""

from dataclasses import dataclass

from workshape.admin import PREFIX, SIGNING_CERTIFICATE
from workshape.aws.s3.hooks import S3Hooks
from workshape.aws.s3.objects import S3Objects
from workshape.delivery import Delivery, DeliveryOutcome, DestinationKind, Undelivered
from workshape.engine.function_parts import FunctionParts
from workshape.engine.ground import Ground
from workshape.queues.broker import Broker
from workshape.topics.model import Subscription
from workshape.topics.registry import Topics
from workshape.triggers.destinations import Destinations
from workshape.triggers.outbox import Outbox
from workshape.triggers.redelivery import Sender, SenderKind
from workshape.triggers.s3 import BucketNotifier, Place


@dataclass(frozen=True, slots=True)
class DeliveryParts:
    """What delivers."""

    destinations: Destinations
    outbox: Outbox
    topics: Topics
    notifier: BucketNotifier
    s3: S3Hooks


def open_deliveries(ground: Ground, broker: Broker, functions: FunctionParts) -> DeliveryParts:
    """Open the ways out, and lead to them what asynchronous invocations tell of their end."""
    settings, metrics, clock = ground.settings, functions.metrics, ground.clock
    destinations = Destinations(
        broker,
        functions.events.accept,
        functions.catalog.invocable,
        region=settings.region,
        account=settings.account,
    )
    objects = S3Objects(ground.upstream, settings)
    destinations.connect(DestinationKind.BUCKET, objects.deliver, lambda _arn: True)
    outbox = Outbox(ground.documents, destinations.deliver, clock)

    async def hand_over(
        function: str, qualifier: str | None, arn: str, delivery: Delivery, *, is_dead_letter: bool
    ) -> None:
        kind = SenderKind.DEAD_LETTER if is_dead_letter else SenderKind.DESTINATION
        await outbox.hand_over(Sender(kind, function, qualifier), arn, delivery)

    def attempted(sender: Sender, outcome: DeliveryOutcome, _is_final: bool) -> None:
        if isinstance(outcome, Undelivered):
            is_dead_letter = sender.kind is SenderKind.DEAD_LETTER
            metrics.destination_failed(sender.name, sender.qualifier, clock.wall_s(), is_dead_letter=is_dead_letter)

    functions.events.connect(hand_over)
    outbox.report(SenderKind.DESTINATION, attempted)
    outbox.report(SenderKind.DEAD_LETTER, attempted)
    ground.serve("deliveries that are tried again", outbox.run)
    topics = _open_kafka(ground, destinations, outbox)
    place = Place(settings.region, settings.account)
    notifier = BucketNotifier(ground.documents, destinations, outbox, clock, place)
    return DeliveryParts(destinations, outbox, topics, notifier, S3Hooks(notifier, objects, clock))


def _open_kafka(ground: Ground, destinations: Destinations, outbox: Outbox) -> Topics:
    settings = ground.settings

    async def hand_over(subscription: Subscription, delivery: Delivery) -> None:
        sender = Sender(SenderKind.SUBSCRIPTION, subscription.arn)
        await outbox.hand_over(sender, subscription.endpoint, delivery, dead_letter_arn=subscription.dead_letter_arn)

    topics = Topics(
        ground.documents,
        ground.clock,
        region=settings.region,
        account=settings.account,
        endpoint=ground.run.endpoint,
        certificate_url=f"{ground.run.endpoint}{PREFIX}{SIGNING_CERTIFICATE}",
        deliver=destinations.deliver,
        hand_over=hand_over,
    )
    outbox.report(
        SenderKind.SUBSCRIPTION, lambda sender, outcome, final: topics.attempted(sender.name, outcome, is_final=final)
    )
    outbox.report(
        SenderKind.SUBSCRIPTION_DEAD_LETTER,
        lambda sender, outcome, final: topics.redriven(sender.name, outcome, is_final=final),
    )
    destinations.connect(DestinationKind.TOPIC, topics.deliver, topics.exists)
    ground.metrics.add_source(topics.metrics.take)
    return topics

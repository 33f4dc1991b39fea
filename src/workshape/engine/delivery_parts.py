"""Where results, records and notifications go: destinations by ARN, and the deliveries that are tried again."""

from dataclasses import dataclass

from workshape.aws.s3.hooks import S3Hooks
from workshape.aws.s3.objects import S3Objects
from workshape.delivery import Delivery, DestinationKind, Undelivered
from workshape.engine.function_parts import FunctionParts
from workshape.engine.ground import Ground
from workshape.queues.broker import Broker
from workshape.triggers.destinations import Destinations
from workshape.triggers.outbox import Outbox
from workshape.triggers.redelivery import Sender, SenderKind
from workshape.triggers.s3 import BucketNotifier, Place


@dataclass(frozen=True, slots=True)
class DeliveryParts:
    """What delivers."""

    destinations: Destinations
    outbox: Outbox
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

    def failed(sender: Sender, _arn: str, _delivery: Delivery, _why: Undelivered, _is_final: bool) -> None:
        is_dead_letter = sender.kind is SenderKind.DEAD_LETTER
        metrics.destination_failed(sender.name, sender.qualifier, clock.wall_s(), is_dead_letter=is_dead_letter)

    functions.events.connect(hand_over)
    outbox.report(SenderKind.DESTINATION, failed)
    outbox.report(SenderKind.DEAD_LETTER, failed)
    ground.serve("deliveries that are tried again", outbox.run)
    place = Place(settings.region, settings.account)
    notifier = BucketNotifier(ground.documents, destinations, outbox, clock, place)
    return DeliveryParts(destinations, outbox, notifier, S3Hooks(notifier, objects, clock))

"""Buckets tell of their objects. Configurations are durable, and so is a notification before its request is answered.

A notification is delivered, or on disk to be delivered, when `notify` returns. So a client that has its answer can rely
on it, whatever is killed then; one that has none asks again, as it must on AWS.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

from workshape.buckets.event import Sequencer, arrival_test, bus_event, record_of
from workshape.buckets.notification import (
    Cause,
    NotificationConfiguration,
    NotificationTarget,
    ObjectChange,
    check_configuration,
    targets_of,
)
from workshape.clock import Clock
from workshape.delivery import Delivered, Delivery, DestinationKind, DestinationRefused
from workshape.errors import Invalid
from workshape.later import together
from workshape.store.documents import Documents
from workshape.triggers.destinations import Destinations
from workshape.triggers.outbox import Outbox
from workshape.triggers.redelivery import Sender, SenderKind

DOCUMENT_KIND = "bucket-notification"
NOTIFIED = (DestinationKind.QUEUE, DestinationKind.TOPIC, DestinationKind.FUNCTION)
"""Source: https://docs.aws.amazon.com/AmazonS3/latest/userguide/notification-how-to-event-types-and-destinations.html"""
DEFAULT_BUS = "default"


class DestinationsNotValidated(Invalid):
    """Unable to validate the following destination configurations: {arn}: {why}"""

    arn: str
    why: str


class NoEventBuses(Invalid):
    """workshape has no event buses to deliver to: leave EventBridgeConfiguration out."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where this is."""

    region: str
    account: str


class BucketNotifier:
    """The notifications of all buckets."""

    def __init__(
        self, documents: Documents, destinations: Destinations, outbox: Outbox, clock: Clock, place: Place
    ) -> None:
        self._documents = documents
        self._destinations = destinations
        self._outbox = outbox
        self._clock = clock
        self._place = place
        self._sequence = Sequencer()
        self._configurations = {
            bucket: msgspec.json.decode(document, type=NotificationConfiguration)
            for bucket, document in documents.all(DOCUMENT_KIND)
        }

    def __repr__(self) -> str:
        return f"<BucketNotifier buckets={len(self._configurations)}>"

    def configuration(self, bucket: str) -> NotificationConfiguration:
        """Return what a bucket tells, and whom; an empty one where nothing was set."""
        return self._configurations.get(bucket, NotificationConfiguration())

    async def configure(
        self, bucket: str, configuration: NotificationConfiguration, cause: Cause, *, validate: bool = True
    ) -> None:
        """Replace a bucket's configuration, once its queues and topics have taken a test event.

        Raises:
            NotificationInvalid: see `check_configuration`.
            DestinationsNotValidated: something cannot be delivered to; nothing was changed.
            NoEventBuses: there are none.
        """
        check_configuration(configuration)
        if configuration.to_event_bridge and DestinationKind.BUS not in self._destinations.kinds:
            raise NoEventBuses()
        for target in configuration.targets:
            await self._validate(bucket, target, cause, validate=validate)
        if configuration.is_empty:
            self.drop(bucket)
            return
        self._documents.put(DOCUMENT_KIND, bucket, msgspec.json.encode(configuration))
        self._configurations[bucket] = configuration

    def drop(self, bucket: str) -> None:
        """Forget the configuration of a bucket, if it has one."""
        if self._configurations.pop(bucket, None) is not None:
            self._documents.delete(DOCUMENT_KIND, bucket)

    def wants(self, bucket: str) -> bool:
        """Tell whether anybody is told anything of a bucket."""
        return bucket in self._configurations

    async def notify(self, bucket: str, changes: Sequence[ObjectChange], cause: Cause) -> None:
        """Tell of what a request did to a bucket's objects; returns when every notification is durable.

        Raises:
            OutboxFull: some could not be delivered, and too many wait already.
        """
        configuration = self.configuration(bucket)
        sender, place = Sender(SenderKind.BUCKET, bucket), self._place
        now = self._clock.wall_s()
        sequencers = {id(change): self._sequence.next(now) for change in changes}
        told: list[tuple[str, Delivery]] = []
        for target, change in targets_of(configuration, changes):
            delivery = record_of(
                change,
                cause,
                sequencers[id(change)],
                bucket=bucket,
                target_id=target.id,
                region=place.region,
                account=place.account,
            )
            told.append((target.arn, delivery))
        if configuration.to_event_bridge:
            bus = f"arn:aws:events:{place.region}:{place.account}:event-bus/{DEFAULT_BUS}"
            for change in changes:
                delivery = bus_event(change, cause, sequencers[id(change)], bucket=bucket, account=place.account)
                told.append((bus, delivery))
        await together([self._outbox.hand_over(sender, arn, delivery) for arn, delivery in told])

    async def _validate(self, bucket: str, target: NotificationTarget, cause: Cause, *, validate: bool) -> None:
        try:
            destination = self._destinations.accepts(target.arn, among=NOTIFIED, fifo=False)
        except DestinationRefused as error:
            raise DestinationsNotValidated(arn=target.arn, why=str(error)) from error
        if not validate:
            return
        if not self._destinations.exists(destination):
            why = f"the {destination.kind.value} does not exist"
            raise DestinationsNotValidated(arn=target.arn, why=why)
        if destination.kind is DestinationKind.FUNCTION:
            return
        outcome = await self._destinations.deliver(target.arn, arrival_test(bucket, cause))
        if not isinstance(outcome, Delivered):
            raise DestinationsNotValidated(arn=target.arn, why=outcome.message)

"""Where records go that a function was given up on: a mapping's on-failure destination.

Source: https://docs.aws.amazon.com/lambda/latest/dg/kafka-on-failure.html
"""

import asyncio
import logging
import uuid
from datetime import UTC, datetime

import msgspec

from workshape.clock import Clock
from workshape.delivery import Deliver, Delivered, Delivery, DeliveryOutcome, DestinationKind, Undelivered
from workshape.errors import PlatformError
from workshape.streams.model import KafkaTopic, LogReader
from workshape.triggers.kafka_event import GivenUp, describe_for_topic, describe_given_up
from workshape.triggers.model import EventSourceMapping
from workshape.triggers.rules import KAFKA_SCHEME

DELIVERY_ATTEMPTS_MAX = 4  # AWS: undocumented; a hiccup is waited for, but the partition stands still meanwhile
DELIVERY_DELAY_S_FIRST = 0.25
DESTINATION_KINDS = (DestinationKind.QUEUE, DestinationKind.TOPIC, DestinationKind.BUCKET)
_BUCKET_PREFIX = "arn:aws:s3:::"

_log = logging.getLogger(__name__)


class FailureDelivery:
    """Delivers for one mapping."""

    def __init__(
        self, mapping: EventSourceMapping, topic: KafkaTopic, deliver: Deliver, reader: LogReader, clock: Clock
    ) -> None:
        self._mapping = mapping
        self._topic = topic
        self._deliver = deliver
        self._reader = reader
        self._clock = clock

    def __repr__(self) -> str:
        return f"<FailureDelivery to {self._mapping.failures.destination or 'nobody'}>"

    async def deliver(self, given_up: GivenUp) -> bool:
        """Tell the destination; False when there is none, or it does not take it."""
        destination = self._mapping.failures.destination
        if not destination:
            return False
        for attempt in range(DELIVERY_ATTEMPTS_MAX):
            outcome = await self._attempt(destination, given_up)
            if isinstance(outcome, Delivered):
                return True
            extra = {"mapping": self._mapping.id, "destination": destination, "reason": outcome.message}
            _log.warning("failed_records_not_delivered", extra=extra)
            if not outcome.retryable:
                break
            await asyncio.sleep(DELIVERY_DELAY_S_FIRST * 2**attempt)
        return False

    async def _attempt(self, destination: str, given_up: GivenUp) -> DeliveryOutcome:
        request_id = given_up.result.request_id if given_up.result is not None else str(uuid.uuid4())
        now = self._clock.wall_s()
        if destination.startswith(KAFKA_SCHEME):
            return await self._produce(destination.removeprefix(KAFKA_SCHEME), given_up, request_id, now)
        described = describe_given_up(
            given_up,
            self._topic,
            self._mapping.function_arn,
            now,
            request_id=request_id,
            whole_event=destination.startswith(_BUCKET_PREFIX),
        )
        body = msgspec.json.encode(described).decode()
        return await self._deliver(destination, Delivery(body, object_key=self._object_key(given_up, now)))

    async def _produce(self, topic: str, given_up: GivenUp, request_id: str, now: float) -> DeliveryOutcome:
        qualified = self._mapping.function_arn + ("" if self._mapping.qualifier else ":$LATEST")
        try:
            for entry in given_up.entries:
                value = describe_for_topic(entry, given_up, self._topic, qualified, now, request_id=request_id)
                await self._reader.produce(topic, entry.record.key, value)
        except PlatformError as error:
            return Undelivered("KafkaException", str(error), retryable=True)
        return Delivered()

    def _object_key(self, given_up: GivenUp, now: float) -> str:
        """Name the object. AWS: undocumented for Kafka; the form is that of streams' mappings."""
        at = datetime.fromtimestamp(now, UTC)
        partition = given_up.entries[0].partition_key
        folder = f"aws/lambda/{self._mapping.id}/{partition}/{at:%Y/%m/%d}"
        return f"{folder}/{at:%Y-%m-%dT%H.%M.%S}-{uuid.uuid4()}"

"""Event source mappings of Kafka topics, where there is a client for them."""

from importlib import import_module
from importlib.util import find_spec

from workshape.aws.lambda_.destinations import accept_with
from workshape.engine.delivery_parts import DeliveryParts
from workshape.engine.function_parts import FunctionParts
from workshape.engine.ground import Ground
from workshape.errors import CallerError, Invalid
from workshape.secrets.registry import Secrets
from workshape.streams.model import LogReader
from workshape.triggers.failure_delivery import DESTINATION_KINDS, FailureDelivery
from workshape.triggers.kafka import KafkaPoller
from workshape.triggers.model import EventSourceMapping
from workshape.triggers.poller import Notes
from workshape.triggers.rules import KAFKA_SCHEME
from workshape.triggers.source_access import ReadSecret, SecretUnusable, read_access
from workshape.triggers.supervisor import KafkaPolling

CLIENT = "aiokafka"


def open_kafka(
    ground: Ground, functions: FunctionParts, deliveries: DeliveryParts, secrets: Secrets
) -> KafkaPolling | None:
    """Make what polls topics; None where the extra `kafka` is not installed."""
    if find_spec(CLIENT) is None:
        return None
    accept, read_secret = accept_with(deliveries.destinations), secret_reader(secrets)

    def poller(mapping: EventSourceMapping, notes: Notes) -> KafkaPoller:
        assert mapping.kafka is not None, "asked for topics only"
        access = read_access(mapping.access, read_secret)
        # Imported only here: it costs a quarter of a second, and most have no topic.
        reader: LogReader = import_module("workshape.streams.kafka_reader").KafkaReader(mapping.kafka, access)
        failures = FailureDelivery(mapping, mapping.kafka, deliveries.destinations.deliver, reader, ground.clock)
        return KafkaPoller(
            mapping, mapping.kafka, reader, functions.invoke, ground.clock, notes=notes, failures=failures
        )

    def check(mapping: EventSourceMapping) -> None:
        destination = mapping.failures.destination
        if not destination:
            return
        if not destination.startswith(KAFKA_SCHEME):
            accept(destination, DESTINATION_KINDS)
        elif not destination.removeprefix(KAFKA_SCHEME):
            raise Invalid(reason=f"The destination {destination} names no topic: {KAFKA_SCHEME}TOPIC")

    return KafkaPolling(poller, check)


def secret_reader(secrets: Secrets) -> ReadSecret:
    """Have mappings read secrets: their current versions, which are texts."""

    def read(arn: str) -> str:
        try:
            value = secrets.value(arn)[2]
        except CallerError as error:
            raise SecretUnusable(secret=arn, reason=str(error)) from error
        if value.text is None:
            raise SecretUnusable(secret=arn, reason="it holds bytes")
        return value.text

    return read

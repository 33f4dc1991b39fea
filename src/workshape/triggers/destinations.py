"""Where results, records and notifications go: queues, functions, topics, buses and buckets, by their ARNs.

Queues and functions are ours and known from the start. Topics, buses and buckets are wired in with `connect`, by
whoever owns them; until then their ARNs are refused by name.

Delivered means durable: a queue's message is on disk, a function's event is in the queue of asynchronous invocations.
"""

import logging
from collections.abc import Awaitable, Callable, Collection
from typing import Protocol

from workshape.delivery import (
    FIFO_SUFFIX,
    Deliver,
    Delivered,
    Delivery,
    DeliveryOutcome,
    Destination,
    DestinationKind,
    DestinationRefused,
    Undelivered,
    parse_destination,
)
from workshape.errors import CallerError, NotFound, PlatformError, Throttled
from workshape.functions.function_state import FunctionNotActive
from workshape.functions.limits import ASYNC_PAYLOAD_BYTES_MAX
from workshape.queues.broker import Broker
from workshape.queues.model import MessageAttribute, NewMessage, QueueDoesNotExist, QueueName

_log = logging.getLogger(__name__)


class PutEvent(Protocol):
    """Accepts an event for an asynchronous invocation; `AsyncQueue.accept`."""

    def __call__(self, function: str, qualifier: str | None, payload: bytes, *, trace_id: str = "") -> Awaitable[None]:
        """Return when it is on disk."""


class Destinations:
    """Delivers to whatever an ARN names. `deliver` is a `Deliver`: it answers, and does not raise."""

    def __init__(
        self,
        broker: Broker,
        put_event: PutEvent,
        find_function: Callable[[str, str | None], object],
        *,
        region: str,
        account: str,
    ) -> None:
        """`find_function` is the catalog's, by name and qualifier; it raises NotFound."""
        self._broker = broker
        self._put_event = put_event
        self._find_function = find_function
        self._region = region
        self._account = account
        self._connected: dict[DestinationKind, tuple[Deliver, Callable[[str], bool]]] = {}

    def __repr__(self) -> str:
        return f"<Destinations {', '.join(sorted(self.kinds))}>"

    @property
    def kinds(self) -> frozenset[DestinationKind]:
        """What can be delivered to."""
        return frozenset({DestinationKind.QUEUE, DestinationKind.FUNCTION, *self._connected})

    def connect(self, kind: DestinationKind, deliver: Deliver, exists: Callable[[str], bool]) -> None:
        """Say who delivers to a kind of destination, and who knows (by ARN) whether there is such a one."""
        assert kind not in (DestinationKind.QUEUE, DestinationKind.FUNCTION), "those are delivered to here"
        self._connected[kind] = deliver, exists

    def accepts(self, arn: str, *, among: Collection[DestinationKind] | None = None, fifo: bool = True) -> Destination:
        """Read an ARN that somebody wants delivered to; `among` and `fifo` say what AWS allows there.

        Raises:
            DestinationRefused: it is none that can be delivered to.
        """
        kinds = self.kinds if among is None else self.kinds.intersection(among)
        return parse_destination(arn, region=self._region, account=self._account, kinds=kinds, fifo=fifo)

    def exists(self, destination: Destination) -> bool:
        """Tell whether the destination is there now."""
        try:
            if destination.kind is DestinationKind.QUEUE:
                self._broker.queue(QueueName(destination.name))
            elif destination.kind is DestinationKind.FUNCTION:
                self._find_function(destination.name, destination.qualifier)
            else:
                return self._connected[destination.kind][1](destination.arn)
        except NotFound:
            return False
        except FunctionNotActive:
            return True  # it is being made
        return True

    async def deliver(self, arn: str, delivery: Delivery) -> DeliveryOutcome:
        """Deliver; returns when it is durable, or why it is not there."""
        try:
            destination = self.accepts(arn)
            if destination.kind is DestinationKind.QUEUE:
                return await self._send(QueueName(destination.name), delivery)
            if destination.kind is DestinationKind.FUNCTION:
                return await self._invoke(destination, delivery)
            return await self._connected[destination.kind][0](arn, delivery)
        except DestinationRefused as error:
            return Undelivered("InvalidParameterValueException", str(error), retryable=False)
        except PlatformError as error:
            return Undelivered("ServiceException", str(error), retryable=True, status=500)
        except Exception:  # noqa: BLE001 - the supervised boundary of a delivery: its sender decides what is next
            _log.exception("delivery_failed", extra={"destination": arn})
            message = f"workshape failed to deliver to {arn}; the engine's log tells why."
            return Undelivered("ServiceException", message, retryable=True, status=500)

    async def _send(self, queue: QueueName, delivery: Delivery) -> DeliveryOutcome:
        attributes = {
            name: MessageAttribute(attribute.data_type, attribute.text, attribute.data)
            for name, attribute in delivery.attributes.items()
        }
        message = NewMessage(
            delivery.body,
            attributes,
            group_id=delivery.group_id,
            deduplication_id=delivery.deduplication_id if queue.endswith(FIFO_SUFFIX) else "",
            trace_header=delivery.trace_header,
        )
        try:
            await self._broker.send(queue, [message])
        except QueueDoesNotExist as error:
            return Undelivered("AWS.SimpleQueueService.NonExistentQueue", str(error), retryable=False)
        except Throttled as error:
            return Undelivered("RequestThrottled", str(error), retryable=True)
        except CallerError as error:
            return Undelivered("InvalidParameterValue", str(error), retryable=False)
        return Delivered()

    async def _invoke(self, destination: Destination, delivery: Delivery) -> DeliveryOutcome:
        payload = delivery.body.encode()
        if len(payload) > ASYNC_PAYLOAD_BYTES_MAX:
            message = f"Request must be smaller than {ASYNC_PAYLOAD_BYTES_MAX} bytes for the InvokeFunction operation"
            return Undelivered("RequestTooLargeException", message, retryable=False, status=413)
        try:
            self._find_function(destination.name, destination.qualifier)
            await self._put_event(destination.name, destination.qualifier, payload, trace_id=delivery.trace_header)
        except NotFound as error:
            return Undelivered("ResourceNotFoundException", str(error), retryable=False, status=404)
        except FunctionNotActive as error:
            return Undelivered("ResourceConflictException", str(error), retryable=True, status=409)
        except Throttled as error:
            return Undelivered("TooManyRequestsException", str(error), retryable=True, status=429)
        except CallerError as error:
            return Undelivered("InvalidParameterValueException", str(error), retryable=False)
        return Delivered()

"""SQS as the front door finds it.

Source: https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_Operations.html
"""

from typing import Any

from workshape.aws.operation import Call, Operation, Service
from workshape.aws.sqs.errors import ERRORS, NotBuilt
from workshape.aws.sqs.messages import message_operations
from workshape.aws.sqs.queues import queue_operations
from workshape.queues.broker import Broker

_NOT_BUILT = {
    "AddPermission": "access policies are kept (attribute Policy) but not enforced.",
    "RemovePermission": "access policies are kept (attribute Policy) but not enforced.",
    "StartMessageMoveTask": "receive from the dead-letter queue and send to the source queue instead.",
    "CancelMessageMoveTask": "there are no message move tasks.",
    "ListMessageMoveTasks": "there are no message move tasks.",
}


def sqs_service(broker: Broker) -> Service:
    """Offer the broker's queues as SQS."""
    not_built = {name: _not_built(name, reason) for name, reason in _NOT_BUILT.items()}
    return Service("sqs", {**not_built, **queue_operations(broker), **message_operations(broker)}, ERRORS)


def _not_built(name: str, reason: str) -> Operation:
    async def answer(_call: Call, _parameters: dict[str, Any]) -> dict[str, Any]:
        raise NotBuilt(operation=name, reason=reason)

    return answer

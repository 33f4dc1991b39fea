"""The operations on message move tasks: dead-letter queue redrive.

A task handle names the task and its source queue, as base64 of JSON, and is opaque to callers.
"""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Mapping
from typing import Any

import msgspec

from workshape.aws.operation import Call, Operation
from workshape.aws.sqs.request import integer, required
from workshape.queues.broker import Broker
from workshape.queues.limits import MOVE_TASKS_LISTED_MAX
from workshape.queues.move_task import MoveStatus, MoveTask, MoveTaskNotFound


class _Handle(msgspec.Struct, frozen=True, rename="camel"):
    task_id: str
    source_arn: str


def move_operations(broker: Broker) -> Mapping[str, Operation]:
    """Offer the operations by their names in the service model."""
    operations = _MoveOperations(broker)
    return {
        "StartMessageMoveTask": operations.start,
        "ListMessageMoveTasks": operations.list,
        "CancelMessageMoveTask": operations.cancel,
    }


class _MoveOperations:
    """Each method's page is https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_NAME.html"""

    def __init__(self, broker: Broker) -> None:
        self._broker = broker

    async def start(self, _call: Call, parameters: dict[str, Any]) -> dict[str, Any]:
        task = await self._broker.moves.start(
            required(parameters, "SourceArn"),
            parameters.get("DestinationArn") or "",
            parameters.get("MaxNumberOfMessagesPerSecond"),
        )
        return {"TaskHandle": _write_handle(task)}

    async def list(self, _call: Call, parameters: dict[str, Any]) -> dict[str, Any]:
        count_max = integer(parameters, "MaxResults", 1, 1, MOVE_TASKS_LISTED_MAX)
        tasks = self._broker.moves.list(required(parameters, "SourceArn"), count_max)
        return {"Results": [_described(task) for task in tasks]} if tasks else {}

    async def cancel(self, _call: Call, parameters: dict[str, Any]) -> dict[str, Any]:
        task = await self._broker.moves.cancel(_read_handle(required(parameters, "TaskHandle")).task_id)
        return {"ApproximateNumberOfMessagesMoved": task.moved}


def _described(task: MoveTask) -> dict[str, Any]:
    """A ListMessageMoveTasksResultEntry: what does not apply to the task is left out."""
    described: dict[str, Any] = {
        "Status": task.status.value,
        "SourceArn": task.source_arn,
        "ApproximateNumberOfMessagesMoved": task.moved,
        "ApproximateNumberOfMessagesToMove": task.to_move,
        "StartedTimestamp": int(task.started_at * 1_000),
    }
    if task.status is MoveStatus.RUNNING:
        described["TaskHandle"] = _write_handle(task)
    if task.destination_arn:
        described["DestinationArn"] = task.destination_arn
    if task.rate_max is not None:
        described["MaxNumberOfMessagesPerSecond"] = task.rate_max
    if task.failure_reason:
        described["FailureReason"] = task.failure_reason
    return described


def _write_handle(task: MoveTask) -> str:
    return urlsafe_b64encode(msgspec.json.encode(_Handle(task.id, task.source_arn))).decode()


def _read_handle(handle: str) -> _Handle:
    try:
        return msgspec.json.decode(urlsafe_b64decode(handle.encode()), type=_Handle)
    except ValueError as error:  # msgspec's errors are such, too
        raise MoveTaskNotFound(kind="message movement task", name=handle) from error

"""The operations on event source mappings.

Each method's page is https://docs.aws.amazon.com/lambda/latest/api/API_NAME.html
"""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

import msgspec

from workshape.arn import Arn, parse_arn
from workshape.aws.lambda_.paging import cut_page
from workshape.aws.operation import Call, Operation
from workshape.errors import Invalid
from workshape.functions.function_name import FunctionReference, parse_function_name
from workshape.queues.model import QueueDoesNotExist
from workshape.triggers.model import EventSourceMapping, MappingInvalid
from workshape.triggers.supervisor import MappingSupervisor, MappingView

Members = dict[str, Any]

LIST_RESULTS_MAX = 100
"""Source: https://docs.aws.amazon.com/lambda/latest/api/API_ListEventSourceMappings.html (MaxItems)"""
REPORT_BATCH_ITEM_FAILURES = "ReportBatchItemFailures"
USER_INITIATED = "USER_INITIATED"

_NOT_BUILT: Mapping[str, Callable[[Any], bool]] = {
    "FilterCriteria": lambda value: bool(value.get("Filters")),
    "KMSKeyArn": bool,
    "MetricsConfig": lambda value: bool(value.get("Metrics")),
    "LoggingConfig": bool,
    "ParallelizationFactor": lambda value: value != 1,
    "DestinationConfig": lambda value: any(target.get("Destination") for target in value.values()),
    "ProvisionedPollerConfig": bool,
    "Tags": bool,
}
"""Members that would change what a queue's mapping does, and when they do: refused rather than passed over."""

_OTHER_SOURCES = (
    "StartingPosition",
    "StartingPositionTimestamp",
    "MaximumRecordAgeInSeconds",
    "BisectBatchOnFunctionError",
    "MaximumRetryAttempts",
    "TumblingWindowInSeconds",
    "Topics",
    "Queues",
    "SourceAccessConfigurations",
    "SelfManagedEventSource",
    "AmazonManagedKafkaEventSourceConfig",
    "SelfManagedKafkaEventSourceConfig",
    "DocumentDBEventSourceConfig",
)
"""Members that are for streams, Kafka, MQ and DocumentDB only."""


class NotOfMappings(Invalid):
    """{member} of event source mappings: {reason}"""

    member: str


class QueueNotReceivable(Invalid):
    """Error occurred while ReceiveMessage. SQS Error Code: AWS.SimpleQueueService.NonExistentQueue. SQS Error Message:
    The specified queue does not exist: {queue_arn}
    """

    queue_arn: str


def mapping_operations(supervisor: MappingSupervisor) -> Mapping[str, Operation]:
    """Offer the operations by their names in the service model."""
    operations = _MappingOperations(supervisor)
    return {
        "CreateEventSourceMapping": operations.create,
        "GetEventSourceMapping": operations.get,
        "ListEventSourceMappings": operations.list,
        "UpdateEventSourceMapping": operations.update,
        "DeleteEventSourceMapping": operations.delete,
    }


class _MappingOperations:
    def __init__(self, supervisor: MappingSupervisor) -> None:
        self._supervisor = supervisor

    async def create(self, call: Call, parameters: Members) -> Members:
        _refuse_not_built(parameters)
        reference = _function(call, parameters["FunctionName"])
        mapping = EventSourceMapping(
            id="",
            queue_arn=_queue_arn(parameters),
            function=reference.name,
            function_arn=reference.arn(call.region, call.account),
            qualifier=reference.qualifier,
            **_changes(parameters),
        )
        try:
            return _write(call, self._supervisor.create(mapping))
        except QueueDoesNotExist as error:
            raise QueueNotReceivable(queue_arn=mapping.queue_arn) from error

    async def get(self, call: Call, parameters: Members) -> Members:
        return _write(call, self._supervisor.get(parameters["UUID"]))

    async def list(self, call: Call, parameters: Members) -> Members:
        name = parameters.get("FunctionName")
        reference = _function(call, name) if name else None
        views = self._supervisor.list(parameters.get("EventSourceArn"), reference.name if reference else None)
        if reference is not None and reference.qualifier is not None:
            views = [view for view in views if view.mapping.qualifier == reference.qualifier]
        page, more = cut_page(parameters, views, lambda view: view.mapping.id, LIST_RESULTS_MAX)
        return {"EventSourceMappings": [_write(call, view) for view in page], **more}

    async def update(self, call: Call, parameters: Members) -> Members:
        _refuse_not_built(parameters)
        present = self._supervisor.get(parameters["UUID"]).mapping
        changes = _changes(parameters)
        if parameters.get("FunctionName"):
            reference = _function(call, parameters["FunctionName"])
            changes["function"] = reference.name
            changes["function_arn"] = reference.arn(call.region, call.account)
            changes["qualifier"] = reference.qualifier
        try:
            return _write(call, self._supervisor.update(msgspec.structs.replace(present, **changes)))
        except QueueDoesNotExist as error:
            raise QueueNotReceivable(queue_arn=present.queue_arn) from error

    async def delete(self, call: Call, parameters: Members) -> Members:
        return _write(call, self._supervisor.delete(parameters["UUID"]))


def _refuse_not_built(parameters: Members) -> None:
    for member, matters in _NOT_BUILT.items():
        if member in parameters and matters(parameters[member]):
            raise NotOfMappings(member=member, reason="workshape does not do this yet.")
    for member in _OTHER_SOURCES:
        if member in parameters:
            raise NotOfMappings(member=member, reason="not for SQS queues, and workshape maps no other source yet.")


def _queue_arn(parameters: Members) -> str:
    arn: str = parameters.get("EventSourceArn") or ""
    if not arn:
        raise MappingInvalid(reason="EventSourceArn is mandatory: an SQS queue's.")
    if parse_arn(arn).service != "sqs":
        raise MappingInvalid(reason=f"Unrecognized event source: EventSourceArn {arn} is not an SQS queue's.")
    return arn


def _function(call: Call, name: str) -> FunctionReference:
    return parse_function_name(name, None, region=call.region, account=call.account)


def _changes(parameters: Members) -> Members:
    """Read what a request sets; what it leaves out stays. An empty ScalingConfig takes the maximum away."""
    fields = {"Enabled": "enabled", "BatchSize": "batch_size", "MaximumBatchingWindowInSeconds": "batch_window_s"}
    changes: Members = {field: parameters[member] for member, field in fields.items() if member in parameters}
    if "FunctionResponseTypes" in parameters:
        changes["report_batch_item_failures"] = REPORT_BATCH_ITEM_FAILURES in parameters["FunctionResponseTypes"]
    if "ScalingConfig" in parameters:
        changes["concurrency_max"] = parameters["ScalingConfig"].get("MaximumConcurrency")
    return changes


def _write(call: Call, view: MappingView) -> Members:
    """Source: https://docs.aws.amazon.com/lambda/latest/api/API_EventSourceMappingConfiguration.html"""
    mapping = view.mapping
    arn = Arn("lambda", call.region, call.account, f"event-source-mapping:{mapping.id}")
    members: Members = {
        "UUID": mapping.id,
        "EventSourceMappingArn": str(arn),
        "EventSourceArn": mapping.queue_arn,
        "FunctionArn": mapping.function_arn,
        "BatchSize": mapping.batch_size,
        "MaximumBatchingWindowInSeconds": mapping.batch_window_s,
        "FunctionResponseTypes": [REPORT_BATCH_ITEM_FAILURES] if mapping.report_batch_item_failures else [],
        "LastModified": datetime.fromtimestamp(mapping.last_modified, UTC),
        "LastProcessingResult": view.last_processing_result,
        "State": view.state.value,
        "StateTransitionReason": USER_INITIATED,
    }
    if mapping.concurrency_max is not None:
        members["ScalingConfig"] = {"MaximumConcurrency": mapping.concurrency_max}
    return members

"""The operations on event source mappings; `mapping_members.py` reads and writes what they carry.

Each method's page is https://docs.aws.amazon.com/lambda/latest/api/API_NAME.html
"""

from collections.abc import Mapping

import msgspec

from workshape.aws.lambda_.mapping_members import (
    Members,
    read_changes,
    read_source,
    refuse_not_built,
    write_mapping,
)
from workshape.aws.lambda_.paging import cut_page
from workshape.aws.operation import Call, Operation
from workshape.errors import Invalid
from workshape.functions.function_name import FunctionReference, parse_function_name
from workshape.queues.model import QueueDoesNotExist
from workshape.triggers.model import EventSourceMapping
from workshape.triggers.supervisor import MappingSupervisor

LIST_RESULTS_MAX = 100
"""Source: https://docs.aws.amazon.com/lambda/latest/api/API_ListEventSourceMappings.html (MaxItems)"""


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
        refuse_not_built(parameters)
        reference = _function(call, parameters["FunctionName"])
        source = read_source(parameters)
        fields = {**source, **read_changes(parameters, None, topic="kafka" in source)}
        mapping = EventSourceMapping(
            id="",
            function=reference.name,
            function_arn=reference.arn(call.region, call.account),
            qualifier=reference.qualifier,
            **fields,
        )
        try:
            return write_mapping(call, self._supervisor.create(mapping))
        except QueueDoesNotExist as error:
            raise QueueNotReceivable(queue_arn=mapping.queue_arn) from error

    async def get(self, call: Call, parameters: Members) -> Members:
        return write_mapping(call, self._supervisor.get(parameters["UUID"]))

    async def list(self, call: Call, parameters: Members) -> Members:
        name = parameters.get("FunctionName")
        reference = _function(call, name) if name else None
        views = self._supervisor.list(parameters.get("EventSourceArn"), reference.name if reference else None)
        if reference is not None and reference.qualifier is not None:
            views = [view for view in views if view.mapping.qualifier == reference.qualifier]
        page, more = cut_page(parameters, views, lambda view: view.mapping.id, LIST_RESULTS_MAX)
        return {"EventSourceMappings": [write_mapping(call, view, listed=True) for view in page], **more}

    async def update(self, call: Call, parameters: Members) -> Members:
        refuse_not_built(parameters)
        present = self._supervisor.get(parameters["UUID"]).mapping
        changes = read_changes(parameters, present, topic=present.kafka is not None)
        if parameters.get("FunctionName"):
            reference = _function(call, parameters["FunctionName"])
            changes["function"] = reference.name
            changes["function_arn"] = reference.arn(call.region, call.account)
            changes["qualifier"] = reference.qualifier
        try:
            return write_mapping(call, self._supervisor.update(msgspec.structs.replace(present, **changes)))
        except QueueDoesNotExist as error:
            raise QueueNotReceivable(queue_arn=present.queue_arn) from error

    async def delete(self, call: Call, parameters: Members) -> Members:
        return write_mapping(call, self._supervisor.delete(parameters["UUID"]))


def _function(call: Call, name: str) -> FunctionReference:
    return parse_function_name(name, None, region=call.region, account=call.account)

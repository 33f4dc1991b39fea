"""The operations on queues themselves."""

from collections.abc import Collection, Mapping
from typing import Any

from workshape.aws.operation import Call, Operation
from workshape.aws.sqs.attributes import read_attributes, write_attributes
from workshape.aws.sqs.request import page, queue_name, queue_url, required
from workshape.queues.broker import Broker
from workshape.queues.model import InvalidAttributeName, InvalidParameter, QueueAttributes, QueueDoesNotExist, QueueName


def queue_operations(broker: Broker, actions: Collection[str]) -> Mapping[str, Operation]:
    """Offer the operations by their names in the service model; `actions` are all that permissions can name."""
    operations = _QueueOperations(broker, actions)
    return {
        "CreateQueue": operations.create,
        "DeleteQueue": operations.delete,
        "GetQueueUrl": operations.get_url,
        "ListQueues": operations.list,
        "PurgeQueue": operations.purge,
        "GetQueueAttributes": operations.get_attributes,
        "SetQueueAttributes": operations.set_attributes,
        "TagQueue": operations.tag,
        "UntagQueue": operations.untag,
        "ListQueueTags": operations.list_tags,
        "ListDeadLetterSourceQueues": operations.list_dead_letter_sources,
        "AddPermission": operations.add_permission,
        "RemovePermission": operations.remove_permission,
    }


class _QueueOperations:
    """Each method's page is https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_NAME.html"""

    def __init__(self, broker: Broker, actions: Collection[str]) -> None:
        self._broker = broker
        self._actions = {*actions, "*"}

    async def create(self, call: Call, parameters: dict[str, Any]) -> dict[str, Any]:
        name = required(parameters, "QueueName")
        attributes, given = read_attributes(parameters.get("Attributes") or {}, QueueAttributes())
        await self._broker.create_queue(name, attributes, parameters.get("tags") or {}, given=given)
        return {"QueueUrl": queue_url(call, name)}

    async def delete(self, call: Call, parameters: dict[str, Any]) -> dict[str, Any]:
        await self._broker.delete_queue(queue_name(call, parameters))
        return {}

    async def get_url(self, call: Call, parameters: dict[str, Any]) -> dict[str, Any]:
        name = QueueName(required(parameters, "QueueName"))
        if parameters.get("QueueOwnerAWSAccountId", call.account) != call.account:
            raise QueueDoesNotExist(kind="queue", name=name)
        return {"QueueUrl": queue_url(call, self._broker.queue(name).name)}

    async def list(self, call: Call, parameters: dict[str, Any]) -> dict[str, Any]:
        names, following = page(parameters, self._broker.list_queues(parameters.get("QueueNamePrefix") or ""))
        urls = [queue_url(call, name) for name in names]
        return {"QueueUrls": urls, **following} if urls else {}

    async def purge(self, call: Call, parameters: dict[str, Any]) -> dict[str, Any]:
        await self._broker.purge_queue(queue_name(call, parameters))
        return {}

    async def get_attributes(self, call: Call, parameters: dict[str, Any]) -> dict[str, Any]:
        name = queue_name(call, parameters)
        definition, depth = self._broker.queue(name), self._broker.depth(name)
        written = write_attributes(definition, depth, parameters.get("AttributeNames") or ())
        return {"Attributes": written} if written else {}

    async def set_attributes(self, call: Call, parameters: dict[str, Any]) -> dict[str, Any]:
        name = queue_name(call, parameters)
        current = self._broker.queue(name).attributes
        written = required(parameters, "Attributes")
        if "FifoQueue" in written:  # given when a queue is made, and never after
            raise InvalidAttributeName(attribute="FifoQueue")
        attributes, _ = read_attributes(written, current)
        await self._broker.set_queue_attributes(name, attributes)
        return {}

    async def tag(self, call: Call, parameters: dict[str, Any]) -> dict[str, Any]:
        await self._broker.tag_queue(queue_name(call, parameters), required(parameters, "Tags"))
        return {}

    async def untag(self, call: Call, parameters: dict[str, Any]) -> dict[str, Any]:
        await self._broker.untag_queue(queue_name(call, parameters), required(parameters, "TagKeys"))
        return {}

    async def list_tags(self, call: Call, parameters: dict[str, Any]) -> dict[str, Any]:
        tags = self._broker.queue(queue_name(call, parameters)).tags
        return {"Tags": dict(tags)} if tags else {}

    async def list_dead_letter_sources(self, call: Call, parameters: dict[str, Any]) -> dict[str, Any]:
        sources = self._broker.dead_letter_sources(queue_name(call, parameters))
        names, following = page(parameters, sources)
        return {"queueUrls": [queue_url(call, name) for name in names], **following}

    async def add_permission(self, call: Call, parameters: dict[str, Any]) -> dict[str, Any]:
        name = queue_name(call, parameters)
        label = required(parameters, "Label")
        accounts, actions = required(parameters, "AWSAccountIds"), required(parameters, "Actions")
        for action in actions:
            if action not in self._actions:
                # AWS: undocumented; we chose the words.
                reason = f"Please use one of {', '.join(sorted(self._actions))}, or *."
                raise InvalidParameter(value=action, parameter="ActionName", reason=reason)
        await self._broker.add_permission(name, label, accounts, actions)
        return {}

    async def remove_permission(self, call: Call, parameters: dict[str, Any]) -> dict[str, Any]:
        await self._broker.remove_permission(queue_name(call, parameters), required(parameters, "Label"))
        return {}

"""The operations Publish and PublishBatch.

Source: https://docs.aws.amazon.com/sns/latest/api/API_Publish.html
Source: https://docs.aws.amazon.com/sns/latest/api/API_PublishBatch.html
"""

import re
from collections.abc import Mapping
from typing import Any

from workshape.aws.operation import Call, NotOurs, Operation
from workshape.aws.sns.errors import (
    BatchEntryIdsNotDistinct,
    BatchRequestTooLong,
    EmptyBatchRequest,
    InvalidBatchEntryId,
    TooManyEntriesInBatchRequest,
    entry_failure,
)
from workshape.delivery import DeliveryAttribute
from workshape.errors import CallerError
from workshape.topics.message import STRUCTURE, read_structure, size_bytes
from workshape.topics.model import (
    BATCH_ENTRIES_MAX,
    MESSAGE_BYTES_DEFAULT,
    InvalidParameter,
    Message,
    Published,
)
from workshape.topics.registry import Topics

_ENTRY_ID = re.compile(r"[A-Za-z0-9_-]{1,80}")


def publish_operations(topics: Topics) -> Mapping[str, Operation]:
    """Offer the operations by their names in the service model."""
    operations = _PublishOperations(topics)
    return {"Publish": operations.publish, "PublishBatch": operations.publish_batch}


class _PublishOperations:
    def __init__(self, topics: Topics) -> None:
        self._topics = topics

    async def publish(self, call: Call, parameters: dict[str, Any]) -> dict[str, Any]:
        arn = parameters.get("TopicArn") or parameters.get("TargetArn") or ""
        if parameters.get("PhoneNumber") or ":endpoint/" in arn:
            raise NotOurs(kind="recipient", name=parameters.get("PhoneNumber") or arn)
        if not arn:
            raise InvalidParameter(parameter="TopicArn or TargetArn", reason="no value for required parameter")
        return _answer(await self._topics.publish(arn, _message(call, parameters)))

    async def publish_batch(self, call: Call, parameters: dict[str, Any]) -> dict[str, Any]:
        topic = self._topics.get(parameters["TopicArn"])
        entries = parameters["PublishBatchRequestEntries"]
        _check_entries(entries)
        succeeded, failed, messages = [], [], {}
        for entry in entries:
            try:
                messages[entry["Id"]] = _message(call, entry)
            except CallerError as error:
                failed.append(entry_failure(entry["Id"], error))
        if sum(map(size_bytes, messages.values())) > (topic.message_bytes_max or MESSAGE_BYTES_DEFAULT):
            raise BatchRequestTooLong()
        outcomes = await self._topics.publish_each(topic.arn, list(messages.values()))
        for entry_id, outcome in zip(messages, outcomes, strict=True):
            if isinstance(outcome, CallerError):
                failed.append(entry_failure(entry_id, outcome))
            else:
                succeeded.append({"Id": entry_id, **_answer(outcome)})
        return {"Successful": succeeded, "Failed": failed}


def _check_entries(entries: list[dict[str, Any]]) -> None:
    if not entries:
        raise EmptyBatchRequest()
    if len(entries) > BATCH_ENTRIES_MAX:
        raise TooManyEntriesInBatchRequest(entries_max=BATCH_ENTRIES_MAX)
    ids = [entry["Id"] for entry in entries]
    if not all(_ENTRY_ID.fullmatch(entry_id) for entry_id in ids):
        raise InvalidBatchEntryId()
    if len(set(ids)) < len(ids):
        raise BatchEntryIdsNotDistinct()


def _message(call: Call, parameters: dict[str, Any]) -> Message:
    body, by_protocol = parameters["Message"], None
    structure = parameters.get("MessageStructure")
    if structure == STRUCTURE:
        body, by_protocol = read_structure(body)
    elif structure:
        raise InvalidParameter(parameter="MessageStructure", reason="Only json is supported")
    attributes = {
        name: DeliveryAttribute(value["DataType"], value.get("StringValue"), value.get("BinaryValue"))
        for name, value in (parameters.get("MessageAttributes") or {}).items()
    }
    return Message(
        body,
        parameters.get("Subject") or "",
        attributes,
        by_protocol,
        group_id=parameters.get("MessageGroupId") or "",
        deduplication_id=parameters.get("MessageDeduplicationId") or "",
        trace_header=call.trace_id,
    )


def _answer(published: Published) -> dict[str, Any]:
    answer = {"MessageId": published.message_id}
    return {**answer, "SequenceNumber": published.sequence_number} if published.sequence_number else answer

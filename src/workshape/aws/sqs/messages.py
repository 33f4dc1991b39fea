"""The operations on messages, one by one and in batches."""

from collections.abc import Awaitable, Collection, Mapping, Sequence
from typing import Any

from workshape.aws.operation import Call, Operation
from workshape.aws.sqs.errors import BatchRequestTooLong, entry_failure
from workshape.aws.sqs.request import batch_entries, integer, queue_name, required
from workshape.errors import CallerError
from workshape.later import Later
from workshape.queues.broker import Broker
from workshape.queues.limits import MESSAGE_BYTES_MAX, RECEIVE_COUNT_MAX, RECEIVE_WAIT_S_MAX, VISIBILITY_TIMEOUT_S_MAX
from workshape.queues.message import TRACE_HEADER, md5_of_attributes, size_bytes
from workshape.queues.model import (
    InvalidMessage,
    MessageAttribute,
    NewMessage,
    ReceivedMessage,
    SentMessage,
    VisibilityChange,
)


def message_operations(broker: Broker) -> Mapping[str, Operation]:
    """Offer the operations by their names in the service model."""
    operations = _MessageOperations(broker)
    return {
        "SendMessage": operations.send,
        "SendMessageBatch": operations.send_batch,
        "ReceiveMessage": operations.receive,
        "DeleteMessage": operations.delete,
        "DeleteMessageBatch": operations.delete_batch,
        "ChangeMessageVisibility": operations.change_visibility,
        "ChangeMessageVisibilityBatch": operations.change_visibility_batch,
    }


class _MessageOperations:
    """Each method's page is https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_NAME.html"""

    def __init__(self, broker: Broker) -> None:
        self._broker = broker

    def send(self, call: Call, parameters: dict[str, Any]) -> Later[dict[str, Any]]:
        name = queue_name(call, parameters)
        sending = self._broker.send(name, [_new_message(call, parameters)])
        return sending.then(lambda sent: _sent(sent[0], parameters))

    def send_batch(self, call: Call, parameters: dict[str, Any]) -> Later[dict[str, Any]]:
        name = queue_name(call, parameters)
        entries = batch_entries(parameters, "SendMessageBatchRequestEntry")
        outcomes: dict[str, SentMessage | CallerError] = {}
        messages: dict[str, NewMessage] = {}
        for entry in entries:
            try:
                messages[entry["Id"]] = _new_message(call, entry)
            except CallerError as error:
                outcomes[entry["Id"]] = error
        total_bytes = sum(map(size_bytes, messages.values()))
        if total_bytes > MESSAGE_BYTES_MAX:
            raise BatchRequestTooLong(bytes_max=MESSAGE_BYTES_MAX, size_bytes=total_bytes)

        def answer(sent: Sequence[SentMessage | CallerError]) -> dict[str, Any]:
            outcomes.update(zip(messages, sent, strict=True))
            return _sent_batch(entries, outcomes)

        return self._broker.send_each(name, list(messages.values())).then(answer)

    def receive(self, call: Call, parameters: dict[str, Any]) -> Awaitable[dict[str, Any]]:
        name = queue_name(call, parameters)
        count_max = integer(parameters, "MaxNumberOfMessages", 1, 1, RECEIVE_COUNT_MAX)
        wait_default_s = self._broker.queue(name).attributes.receive_wait_s
        wait_s = integer(parameters, "WaitTimeSeconds", wait_default_s, 0, RECEIVE_WAIT_S_MAX)
        given_s = integer(parameters, "VisibilityTimeout", -1, 0, VISIBILITY_TIMEOUT_S_MAX)
        hidden_s = None if given_s < 0 else given_s
        attempt_id = parameters.get("ReceiveRequestAttemptId") or ""
        if not attempt_id:
            messages = self._broker.receive_at_once(
                name, count_max=count_max, wait_s=wait_s, visibility_timeout_s=hidden_s
            )
            if messages is not None:
                return Later.given(_received_all(messages, parameters))
        receiving = self._broker.receive(
            name, count_max=count_max, wait_s=wait_s, visibility_timeout_s=hidden_s, attempt_id=attempt_id
        )
        return self._receive(receiving, parameters)

    async def _receive(
        self, receiving: Awaitable[Sequence[ReceivedMessage]], parameters: dict[str, Any]
    ) -> dict[str, Any]:
        return _received_all(await receiving, parameters)

    def delete(self, call: Call, parameters: dict[str, Any]) -> Later[dict[str, Any]]:
        name = queue_name(call, parameters)
        return self._broker.delete(name, [required(parameters, "ReceiptHandle")]).then(_nothing_but_errors)

    def delete_batch(self, call: Call, parameters: dict[str, Any]) -> Later[dict[str, Any]]:
        name = queue_name(call, parameters)
        entries = batch_entries(parameters, "DeleteMessageBatchRequestEntry")
        deleting = self._broker.delete(name, [required(entry, "ReceiptHandle") for entry in entries])
        return deleting.then(lambda errors: _settled(entries, errors))

    def change_visibility(self, call: Call, parameters: dict[str, Any]) -> Later[dict[str, Any]]:
        name = queue_name(call, parameters)
        errors = self._broker.change_visibility(name, [_visibility_change(parameters)])
        return Later.given(_nothing_but_errors(errors))

    def change_visibility_batch(self, call: Call, parameters: dict[str, Any]) -> Later[dict[str, Any]]:
        name = queue_name(call, parameters)
        entries = batch_entries(parameters, "ChangeMessageVisibilityBatchRequestEntry")
        errors = self._broker.change_visibility(name, [_visibility_change(entry) for entry in entries])
        return Later.given(_settled(entries, errors))


def _visibility_change(parameters: dict[str, Any]) -> VisibilityChange:
    return VisibilityChange(required(parameters, "ReceiptHandle"), required(parameters, "VisibilityTimeout"))


def _nothing_but_errors(errors: Sequence[CallerError | None]) -> dict[str, Any]:
    """Answer an operation on one message."""
    (error,) = errors
    if error is not None:
        raise error
    return {}


def _settled(entries: Sequence[dict[str, Any]], errors: Sequence[CallerError | None]) -> dict[str, Any]:
    successful, failed = [], []
    for entry, error in zip(entries, errors, strict=True):
        if error is None:
            successful.append({"Id": entry["Id"]})
        else:
            failed.append(entry_failure(entry["Id"], error))
    return _batch_result(successful, failed)


def _sent_batch(entries: Sequence[dict[str, Any]], outcomes: Mapping[str, SentMessage | CallerError]) -> dict[str, Any]:
    successful, failed = [], []
    for entry in entries:
        outcome = outcomes[entry["Id"]]
        if isinstance(outcome, CallerError):
            failed.append(entry_failure(entry["Id"], outcome))
        else:
            successful.append({"Id": entry["Id"], **_sent(outcome, entry)})
    return _batch_result(successful, failed)


def _batch_result(successful: list[dict[str, Any]], failed: list[dict[str, object]]) -> dict[str, Any]:
    """Leave an empty list out: XML cannot show it, and clients ask whether the member is there."""
    result: dict[str, Any] = {"Successful": successful} if successful else {}
    return {**result, "Failed": failed} if failed else result


def _new_message(call: Call, parameters: dict[str, Any]) -> NewMessage:
    return NewMessage(
        body=required(parameters, "MessageBody"),
        attributes={
            name: _read_attribute(value) for name, value in (parameters.get("MessageAttributes") or {}).items()
        },
        delay_s=parameters.get("DelaySeconds"),
        group_id=parameters.get("MessageGroupId") or "",
        trace_header=_trace_header(parameters.get("MessageSystemAttributes") or {}) or call.trace_id,
        sender_id=call.account,
        deduplication_id=parameters.get("MessageDeduplicationId") or "",
    )


def _trace_header(attributes: Mapping[str, dict[str, Any]]) -> str:
    """Read the one system attribute a sender may set: a String. It wins over the HTTP header X-Amzn-Trace-Id.

    Source: https://docs.aws.amazon.com/xray/latest/devguide/xray-services-sqs.html
    """
    for name, value in attributes.items():
        if name != TRACE_HEADER:
            raise InvalidMessage(reason=f"Message system attribute name '{name}' is invalid.")
        if value.get("DataType") != "String" or not value.get("StringValue"):
            raise InvalidMessage(reason=f"The message system attribute '{name}' must be a non-empty String.")
    trace: str = attributes[TRACE_HEADER]["StringValue"] if attributes else ""
    return trace


def _read_attribute(value: dict[str, Any]) -> MessageAttribute:
    if value.get("StringListValues") or value.get("BinaryListValues"):
        # "Not implemented. Reserved for future use.", says the service model.
        raise InvalidMessage(reason="Message attribute list values in SendMessage operation are not supported.")
    binary = value.get("BinaryValue")
    if isinstance(binary, str):
        binary = binary.encode()
    return MessageAttribute(value.get("DataType") or "", value.get("StringValue"), binary)


def _write_attribute(attribute: MessageAttribute) -> dict[str, Any]:
    if attribute.binary_value is not None:
        return {"DataType": attribute.data_type, "BinaryValue": attribute.binary_value}
    return {"DataType": attribute.data_type, "StringValue": attribute.string_value}


def _sent(sent: SentMessage, parameters: dict[str, Any]) -> dict[str, Any]:
    result = {"MessageId": sent.message_id, "MD5OfMessageBody": sent.md5_of_body}
    if sent.md5_of_message_attributes:
        result["MD5OfMessageAttributes"] = sent.md5_of_message_attributes
    if parameters.get("MessageSystemAttributes"):
        result["MD5OfMessageSystemAttributes"] = sent.md5_of_message_system_attributes
    if sent.sequence_number:
        result["SequenceNumber"] = sent.sequence_number
    return result


def _received_all(messages: Sequence[ReceivedMessage], parameters: dict[str, Any]) -> dict[str, Any]:
    system_names = {
        *(parameters.get("AttributeNames") or ()),
        *(parameters.get("MessageSystemAttributeNames") or ()),
    }
    attribute_names = parameters.get("MessageAttributeNames") or ()
    written = [_received(message, system_names, attribute_names) for message in messages]
    return {"Messages": written} if written else {}


def _received(
    message: ReceivedMessage, system_names: Collection[str], attribute_names: Collection[str]
) -> dict[str, Any]:
    written: dict[str, Any] = {
        "MessageId": message.message_id,
        "ReceiptHandle": message.receipt_handle,
        "MD5OfBody": message.md5_of_body,
        "Body": message.body,
    }
    wants_all = "All" in system_names
    if system := {
        name: value for name, value in message.system_attributes.items() if wants_all or name in system_names
    }:
        written["Attributes"] = system
    if chosen := {
        name: attribute for name, attribute in message.message_attributes.items() if _is_wanted(name, attribute_names)
    }:
        written["MessageAttributes"] = {name: _write_attribute(attribute) for name, attribute in chosen.items()}
        # Of those sent along, so that a client can check what it got.
        written["MD5OfMessageAttributes"] = md5_of_attributes(chosen)
    return written


def _is_wanted(name: str, patterns: Collection[str]) -> bool:
    """`All` or `.*` is every attribute, `prefix.*` those that begin so."""
    return any(
        pattern in ("All", name) or (pattern.endswith(".*") and name.startswith(pattern[:-2])) for pattern in patterns
    )

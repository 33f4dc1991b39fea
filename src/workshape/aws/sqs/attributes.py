"""Queue attributes as SQS writes them (a map of strings) and as queues have them.

Source: https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SetQueueAttributes.html
Source: https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_GetQueueAttributes.html
"""

import re
from collections.abc import Callable, Iterable, Mapping
from enum import StrEnum
from typing import Any

import msgspec

from workshape.queues.attributes import ATTRIBUTE_NAMES
from workshape.queues.model import (
    DeduplicationScope,
    FifoThroughputLimit,
    InvalidAttributeName,
    InvalidAttributeValue,
    QueueAttributes,
    QueueDefinition,
    QueueDepth,
    RedriveAllowPolicy,
    RedrivePermission,
    RedrivePolicy,
)

REDRIVE_RECEIVES_DEFAULT = 10
"""When a redrive policy gives no maxReceiveCount."""

_INTEGER = re.compile(r"-?[0-9]{1,19}")

_FIELDS = {name: field for field, name in ATTRIBUTE_NAMES.items()}
_KNOWN = {
    *_FIELDS,
    "All",
    "ApproximateNumberOfMessages",
    "ApproximateNumberOfMessagesNotVisible",
    "ApproximateNumberOfMessagesDelayed",
    "CreatedTimestamp",
    "LastModifiedTimestamp",
    "QueueArn",
}


class _RedrivePolicyJson(msgspec.Struct, rename="camel"):
    dead_letter_target_arn: str
    max_receive_count: int | str = REDRIVE_RECEIVES_DEFAULT


class _RedriveAllowPolicyJson(msgspec.Struct, rename="camel"):
    redrive_permission: RedrivePermission = RedrivePermission.ALLOW_ALL
    source_queue_arns: tuple[str, ...] = ()


def read_attributes(written: Mapping[str, str], current: QueueAttributes) -> tuple[QueueAttributes, set[str]]:
    """Change `current` by what was written; returns the fields that were given as well.

    Raises:
        InvalidAttributeName: no such attribute, or one that cannot be set.
        InvalidAttributeValue: it cannot be read; ranges are checked elsewhere.
    """
    changes: dict[str, object] = {}
    for name, text in written.items():
        if (field := _FIELDS.get(name)) is None:
            raise InvalidAttributeName(attribute=name)
        changes[field] = _READERS.get(name, _read_integer)(name, text)
    _choose_encryption(changes)
    return msgspec.structs.replace(current, **changes), set(changes)


def _choose_encryption(changes: dict[str, object]) -> None:
    """Let the one server-side encryption that is asked for take the place of the other.

    Raises:
        InvalidAttributeValue: both are asked for.
    """
    with_key, managed = changes.get("kms_master_key_id"), changes.get("sqs_managed_sse")
    if with_key and managed:
        reason = "Only one server-side encryption option is supported per queue, and KmsMasterKeyId is another."
        raise InvalidAttributeValue(attribute="SqsManagedSseEnabled", reason=reason)
    if with_key:
        changes["sqs_managed_sse"] = False
    elif managed:
        changes["kms_master_key_id"] = ""


def write_attributes(definition: QueueDefinition, depth: QueueDepth, wanted: Iterable[str]) -> dict[str, str]:
    """Write those attributes that are wanted and set.

    Raises:
        InvalidAttributeName: there is no such attribute.
    """
    names = set(wanted)
    for name in sorted(names - _KNOWN):
        raise InvalidAttributeName(attribute=name)
    everything = _all_attributes(definition, depth)
    if "All" in names:
        return everything
    return {name: value for name, value in everything.items() if name in names}


def _all_attributes(definition: QueueDefinition, depth: QueueDepth) -> dict[str, str]:
    attributes = definition.attributes
    written = {
        "QueueArn": definition.arn,
        "ApproximateNumberOfMessages": str(depth.visible),
        "ApproximateNumberOfMessagesNotVisible": str(depth.in_flight),
        "ApproximateNumberOfMessagesDelayed": str(depth.delayed),
        "CreatedTimestamp": str(int(definition.created_at)),
        "LastModifiedTimestamp": str(int(definition.modified_at)),
        "VisibilityTimeout": str(attributes.visibility_timeout_s),
        "MaximumMessageSize": str(attributes.message_bytes_max),
        "MessageRetentionPeriod": str(attributes.retention_s),
        "DelaySeconds": str(attributes.delay_s),
        "ReceiveMessageWaitTimeSeconds": str(attributes.receive_wait_s),
        "SqsManagedSseEnabled": "true" if attributes.sqs_managed_sse else "false",
    }
    if attributes.fifo:
        written["FifoQueue"] = "true"
        written["ContentBasedDeduplication"] = "true" if attributes.content_based_deduplication else "false"
        written["DeduplicationScope"] = attributes.deduplication_scope
        written["FifoThroughputLimit"] = attributes.fifo_throughput_limit
    if attributes.policy:
        written["Policy"] = attributes.policy
    if attributes.redrive is not None:
        policy: dict[str, object] = {
            "deadLetterTargetArn": attributes.redrive.dead_letter_queue_arn,
            "maxReceiveCount": attributes.redrive.receive_count_max,
        }
        written["RedrivePolicy"] = msgspec.json.encode(policy).decode()
    if attributes.redrive_allow is not None:
        policy = {"redrivePermission": attributes.redrive_allow.permission}
        if attributes.redrive_allow.source_queue_arns:
            policy["sourceQueueArns"] = attributes.redrive_allow.source_queue_arns
        written["RedriveAllowPolicy"] = msgspec.json.encode(policy).decode()
    if attributes.kms_master_key_id:
        written["KmsMasterKeyId"] = attributes.kms_master_key_id
        written["KmsDataKeyReusePeriodSeconds"] = str(attributes.kms_data_key_reuse_s)
    return written


def _read_integer(name: str, text: str) -> int:
    if not _INTEGER.fullmatch(text):
        raise InvalidAttributeValue(attribute=name, reason="must be an integer.")
    return int(text)


def _read_text(_name: str, text: str) -> str:
    return text


def _read_policy(name: str, text: str) -> str:
    if text:
        _read_json(name, text, dict[str, Any])
    return text


def _read_boolean(name: str, text: str) -> bool:
    if text not in ("true", "false"):
        raise InvalidAttributeValue(attribute=name, reason="must be true or false.")
    return text == "true"


def _read_choice(kind: type[StrEnum]) -> Callable[[str, str], StrEnum]:
    def read(name: str, text: str) -> StrEnum:
        try:
            return kind(text)
        except ValueError as error:
            raise InvalidAttributeValue(attribute=name, reason=f"must be one of {', '.join(kind)}.") from error

    return read


def _read_redrive(name: str, text: str) -> RedrivePolicy | None:
    if not text:
        return None
    policy = _read_json(name, text, _RedrivePolicyJson)
    return RedrivePolicy(policy.dead_letter_target_arn, _read_integer(name, str(policy.max_receive_count)))


def _read_redrive_allow(name: str, text: str) -> RedriveAllowPolicy | None:
    if not text:
        return None
    policy = _read_json(name, text, _RedriveAllowPolicyJson)
    return RedriveAllowPolicy(policy.redrive_permission, policy.source_queue_arns)


def _read_json(name: str, text: str, kind: Any) -> Any:
    try:
        return msgspec.json.decode(text, type=kind)
    except (msgspec.MsgspecError, RecursionError) as error:
        raise InvalidAttributeValue(attribute=name, reason=str(error)) from error


_READERS: Mapping[str, Callable[[str, str], object]] = {
    "RedrivePolicy": _read_redrive,
    "RedriveAllowPolicy": _read_redrive_allow,
    "Policy": _read_policy,
    "KmsMasterKeyId": _read_text,
    "SqsManagedSseEnabled": _read_boolean,
    "FifoQueue": _read_boolean,
    "ContentBasedDeduplication": _read_boolean,
    "DeduplicationScope": _read_choice(DeduplicationScope),
    "FifoThroughputLimit": _read_choice(FifoThroughputLimit),
}
"""The rest are integers."""

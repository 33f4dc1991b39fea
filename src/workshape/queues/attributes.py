"""What a queue may be called and how it may be set up.

Source: https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SetQueueAttributes.html
"""

import re
from collections.abc import Collection, Mapping

from workshape.arn import Arn, parse_arn
from workshape.errors import Invalid
from workshape.queues.limits import (
    DELAY_S_MAX,
    KMS_REUSE_S_MAX,
    KMS_REUSE_S_MIN,
    MESSAGE_BYTES_MAX,
    MESSAGE_BYTES_MAX_LEAST,
    QUEUE_NAME_CHARACTERS_MAX,
    QUEUE_TAGS_MAX,
    RECEIVE_WAIT_S_MAX,
    REDRIVE_RECEIVES_MAX,
    REDRIVE_SOURCES_MAX,
    RETENTION_S_MAX,
    RETENTION_S_MIN,
    VISIBILITY_TIMEOUT_S_MAX,
)
from workshape.queues.model import (
    FIFO_SUFFIX,
    DeduplicationScope,
    FifoThroughputLimit,
    InvalidAttributeName,
    InvalidAttributeValue,
    InvalidParameter,
    QueueAttributes,
    QueueDefinition,
    RedrivePermission,
)
from workshape.queues.policy import check_policy

ATTRIBUTE_NAMES = {
    "visibility_timeout_s": "VisibilityTimeout",
    "delay_s": "DelaySeconds",
    "retention_s": "MessageRetentionPeriod",
    "message_bytes_max": "MaximumMessageSize",
    "receive_wait_s": "ReceiveMessageWaitTimeSeconds",
    "redrive": "RedrivePolicy",
    "redrive_allow": "RedriveAllowPolicy",
    "policy": "Policy",
    "kms_master_key_id": "KmsMasterKeyId",
    "kms_data_key_reuse_s": "KmsDataKeyReusePeriodSeconds",
    "sqs_managed_sse": "SqsManagedSseEnabled",
    "fifo": "FifoQueue",
    "content_based_deduplication": "ContentBasedDeduplication",
    "deduplication_scope": "DeduplicationScope",
    "fifo_throughput_limit": "FifoThroughputLimit",
}
"""SQS's names of the fields of `QueueAttributes`."""

_FIFO_ONLY = ("content_based_deduplication", "deduplication_scope", "fifo_throughput_limit")

_RANGES = {
    "visibility_timeout_s": (0, VISIBILITY_TIMEOUT_S_MAX),
    "delay_s": (0, DELAY_S_MAX),
    "retention_s": (RETENTION_S_MIN, RETENTION_S_MAX),
    "message_bytes_max": (MESSAGE_BYTES_MAX_LEAST, MESSAGE_BYTES_MAX),
    "receive_wait_s": (0, RECEIVE_WAIT_S_MAX),
    "kms_data_key_reuse_s": (KMS_REUSE_S_MIN, KMS_REUSE_S_MAX),
}
_NAME = re.compile(r"[A-Za-z0-9_-]+")


def check_queue_name(name: str, *, fifo: bool) -> None:
    """Refuse a name that SQS would refuse for such a queue.

    Raises:
        InvalidParameter: too long, a character that may not be in it, or no .fifo at its end where that belongs.
    """
    stem = name.removesuffix(FIFO_SUFFIX) if fifo else name
    if not _NAME.fullmatch(stem) or len(name) > QUEUE_NAME_CHARACTERS_MAX or (fifo and stem == name):
        # AWS: undocumented; we chose the words.
        if fifo:
            reason = (
                "The name of a FIFO queue can only include alphanumeric characters, hyphens, or underscores, "
                "must end with .fifo suffix and be 1 to 80 in length."
            )
        else:
            reason = "Can only include alphanumeric characters, hyphens, or underscores. 1 to 80 in length"
            reason += "; .fifo at the end belongs to a queue with FifoQueue=true" if name.endswith(FIFO_SUFFIX) else ""
        raise InvalidParameter(value=name, parameter="QueueName", reason=reason)


def check_tags(tags: Mapping[str, str]) -> None:
    """Refuse more tags than a queue should have, and empty keys.

    Raises:
        InvalidParameter: one of those.
    """
    if len(tags) > QUEUE_TAGS_MAX or "" in tags:
        reason = f"at most {QUEUE_TAGS_MAX} tags, none with an empty key"
        raise InvalidParameter(value=sorted(tags), parameter="Tags", reason=reason)


def check_attributes(attributes: QueueAttributes) -> None:
    """Refuse values outside SQS's ranges.

    Raises:
        InvalidAttributeValue: naming the first one found.
        InvalidAttributeName: one of FIFO queues, on a standard queue.
        PolicyOverLimit: the policy is larger than SQS keeps.
    """
    _check_fifo_attributes(attributes)
    check_policy(attributes.policy)
    for field, (least, most) in _RANGES.items():
        value = getattr(attributes, field)
        if not least <= value <= most:
            reason = f"must be between {least} and {most}, was {value}."
            raise InvalidAttributeValue(attribute=ATTRIBUTE_NAMES[field], reason=reason)
    redrive, allow = attributes.redrive, attributes.redrive_allow
    if redrive is not None and not 1 <= redrive.receive_count_max <= REDRIVE_RECEIVES_MAX:
        reason = f"maxReceiveCount must be between 1 and {REDRIVE_RECEIVES_MAX}."
        raise InvalidAttributeValue(attribute="RedrivePolicy", reason=reason)
    if allow is not None:
        by_queue = allow.permission is RedrivePermission.BY_QUEUE
        if by_queue != bool(allow.source_queue_arns) or len(allow.source_queue_arns) > REDRIVE_SOURCES_MAX:
            reason = f"byQueue, and nothing else, takes 1 to {REDRIVE_SOURCES_MAX} sourceQueueArns."
            raise InvalidAttributeValue(attribute="RedriveAllowPolicy", reason=reason)


def _check_fifo_attributes(attributes: QueueAttributes) -> None:
    """Source: https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SetQueueAttributes.html"""
    if not attributes.fifo:
        defaults = QueueAttributes()
        for field in _FIFO_ONLY:
            if getattr(attributes, field) != getattr(defaults, field):
                raise InvalidAttributeName(attribute=ATTRIBUTE_NAMES[field])
    per_group = attributes.fifo_throughput_limit is FifoThroughputLimit.PER_MESSAGE_GROUP_ID
    if per_group and attributes.deduplication_scope is not DeduplicationScope.MESSAGE_GROUP:
        reason = "The perMessageGroupId value is allowed only when the value for DeduplicationScope is messageGroup."
        raise InvalidAttributeValue(attribute="FifoThroughputLimit", reason=reason)


def check_redrive(arn: str, attributes: QueueAttributes, others: Collection[QueueDefinition]) -> None:
    """Refuse a redrive policy whose dead-letter queue is not there, is elsewhere, or does not want this queue.

    Raises:
        InvalidParameter: one of those.
    """
    if attributes.redrive is None:
        return
    target = attributes.redrive.dead_letter_queue_arn
    # AWS: undocumented; we chose the words.
    if target == arn:
        raise InvalidParameter(value=target, parameter="RedrivePolicy", reason="A queue cannot redrive to itself.")
    found = next((queue for queue in others if queue.arn == target), None)
    if found is None or found.is_fifo != attributes.fifo:
        raise InvalidParameter(value=target, parameter="RedrivePolicy", reason=_why_missing(arn, target))
    allow = found.attributes.redrive_allow
    if allow is None or allow.permission is RedrivePermission.ALLOW_ALL or arn in allow.source_queue_arns:
        return
    reason = "The dead letter target's RedriveAllowPolicy does not allow this queue to use it."
    raise InvalidParameter(value=target, parameter="RedrivePolicy", reason=reason)


def first_difference(existing: QueueAttributes, wanted: QueueAttributes, given: Collection[str] | None) -> str | None:
    """SQS's name of the first attribute, of those `given` (None: all), whose values differ; None when all are equal."""
    for field, name in ATTRIBUTE_NAMES.items():
        if (given is None or field in given) and getattr(existing, field) != getattr(wanted, field):
            return name
    return None


def _why_missing(arn: str, target: str) -> str:
    source = parse_arn(arn)
    try:
        named = parse_arn(target)
    except Invalid:
        return "Invalid value for deadLetterTargetArn."
    if named.resource.endswith(FIFO_SUFFIX) != source.resource.endswith(FIFO_SUFFIX):
        return "Dead-letter queue must be same type of queue as the source."
    if _place(named) != _place(source):
        return "Dead-letter target must be a queue of the same account and region as the source."
    return "Dead letter target does not exist."


def _place(arn: Arn) -> tuple[str, str, str]:
    return arn.service, arn.region, arn.account

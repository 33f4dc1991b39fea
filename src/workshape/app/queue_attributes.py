"""A queue as the app has it, and as queues are kept. A core."""

import msgspec

from workshape.app.model import Queue, Redrive, RedriveAllow
from workshape.arn import parse_arn, queue_arn
from workshape.queues.model import (
    DeduplicationScope,
    FifoThroughputLimit,
    QueueAttributes,
    RedriveAllowPolicy,
    RedrivePermission,
    RedrivePolicy,
)


def queue_of(name: str, attributes: QueueAttributes) -> Queue:
    """Describe a queue there is, as far as the app knows of such things."""
    redrive, allow = attributes.redrive, attributes.redrive_allow
    return Queue(
        name=name,
        visibility_timeout_s=attributes.visibility_timeout_s,
        delay_s=attributes.delay_s,
        retention_s=attributes.retention_s,
        message_bytes_max=attributes.message_bytes_max,
        receive_wait_s=attributes.receive_wait_s,
        fifo=attributes.fifo,
        content_based_deduplication=attributes.content_based_deduplication,
        deduplication_scope=attributes.deduplication_scope.value,
        fifo_throughput_limit=attributes.fifo_throughput_limit.value,
        redrive=None if redrive is None else Redrive(_name(redrive.dead_letter_queue_arn), redrive.receive_count_max),
        redrive_allow=None
        if allow is None
        else RedriveAllow(allow.permission.value, tuple(map(_name, allow.source_queue_arns))),
    )


def attributes_of(queue: Queue, there: QueueAttributes, *, region: str, account: str) -> QueueAttributes:
    """Set what the app knows of a queue upon what there is."""

    def arn(name: str) -> str:
        return str(queue_arn(region, account, name))

    redrive, allow = queue.redrive, queue.redrive_allow
    return msgspec.structs.replace(
        there,
        visibility_timeout_s=queue.visibility_timeout_s,
        delay_s=queue.delay_s,
        retention_s=queue.retention_s,
        message_bytes_max=queue.message_bytes_max,
        receive_wait_s=queue.receive_wait_s,
        fifo=queue.fifo,
        content_based_deduplication=queue.content_based_deduplication,
        deduplication_scope=DeduplicationScope(queue.deduplication_scope),
        fifo_throughput_limit=FifoThroughputLimit(queue.fifo_throughput_limit),
        redrive=None if redrive is None else RedrivePolicy(arn(redrive.dead_letter_queue), redrive.receive_count_max),
        redrive_allow=None
        if allow is None
        else RedriveAllowPolicy(RedrivePermission(allow.permission), tuple(map(arn, allow.source_queues))),
    )


def _name(arn: str) -> str:
    return parse_arn(arn).resource

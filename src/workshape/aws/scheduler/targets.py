"""A schedule's target: read from a request with all that EventBridge Scheduler would refuse, and written.

Source: https://docs.aws.amazon.com/scheduler/latest/APIReference/API_Target.html
Source: https://docs.aws.amazon.com/scheduler/latest/UserGuide/managing-targets-universal.html
"""

from collections.abc import Callable
from typing import Any

import msgspec

from workshape.aws.members import given
from workshape.delivery import Destination, DestinationKind
from workshape.events.retry import AGE_S_MAX, RETRIES_MAX, RetryPolicy
from workshape.events.scheduler.model import (
    INPUT_BYTES_MAX,
    UNIVERSAL_PREFIX,
    InvalidTarget,
    NotBuilt,
    ScheduleTarget,
)

ReadDestination = Callable[[str], Destination]
"""Reads the ARN of what can be a target. Raises: DestinationRefused: it cannot."""

_NOT_BUILT = (
    "EcsParameters",
    "KinesisParameters",
    "SageMakerPipelineParameters",
    "EventBridgePutEventsV2Parameters",
    "EventBridgePutRawEventsParameters",
)


def read_target(members: dict[str, Any], read_destination: ReadDestination) -> ScheduleTarget:
    """Read a target.

    Raises:
        DestinationRefused, InvalidTarget, NotBuilt: it cannot be invoked.
    """
    for member in _NOT_BUILT:
        if member in members:
            remedy = "functions, queues, topics, event buses and universal targets are possible here"
            raise NotBuilt(feature=f"targets with {member}", remedy=remedy)
    retry = members.get("RetryPolicy")
    bus = members.get("EventBridgeParameters", {})
    target = ScheduleTarget(
        arn=members["Arn"],
        role_arn=members["RoleArn"],
        input=members.get("Input"),
        retry=None if retry is None else _retry(retry),
        dead_letter_arn=members.get("DeadLetterConfig", {}).get("Arn", ""),
        message_group_id=members.get("SqsParameters", {}).get("MessageGroupId", ""),
        detail_type=bus.get("DetailType", ""),
        source=bus.get("Source", ""),
    )
    _check(target, read_destination)
    return target


def write_target(target: ScheduleTarget) -> dict[str, Any]:
    """Write a target as it was given; its retry policy with what it has by default."""
    return {
        "Arn": target.arn,
        "RoleArn": target.role_arn,
        "RetryPolicy": {
            "MaximumEventAgeInSeconds": target.policy.age_s_max,
            "MaximumRetryAttempts": target.policy.retries_max,
        },
        **given(
            Input=target.input,
            DeadLetterConfig=given(Arn=target.dead_letter_arn),
            SqsParameters=given(MessageGroupId=target.message_group_id),
            EventBridgeParameters=given(DetailType=target.detail_type, Source=target.source),
        ),
    }


def _check(target: ScheduleTarget, read_destination: ReadDestination) -> None:
    # AWS: undocumented; we chose the words.
    if target.input is not None and len(target.input.encode()) > INPUT_BYTES_MAX:
        raise InvalidTarget(reason=f"Input has more than {INPUT_BYTES_MAX} bytes.")
    if target.dead_letter_arn:
        queue = read_destination(target.dead_letter_arn)
        if queue.kind is not DestinationKind.QUEUE or queue.is_fifo:
            raise InvalidTarget(reason=f"{target.dead_letter_arn} is not a standard SQS queue.")
    if target.arn.startswith(UNIVERSAL_PREFIX):
        return
    destination = read_destination(target.arn)
    if destination.kind is DestinationKind.BUS and not target.source:
        raise InvalidTarget(reason="EventBridgeParameters must be provided for an event bus.")
    if destination.kind is DestinationKind.TOPIC and destination.is_fifo:
        # It wants a message group, and AWS's targets give one to queues alone.
        raise InvalidTarget(reason=f"{target.arn} is a FIFO topic, which EventBridge Scheduler does not publish to.")
    if destination.kind is DestinationKind.QUEUE and destination.is_fifo and not target.message_group_id:
        raise InvalidTarget(reason="SqsParameters must be provided for a FIFO queue.")
    if destination.kind in (DestinationKind.FUNCTION, DestinationKind.BUS) and target.input is not None:
        try:
            msgspec.json.decode(target.input)
        except (msgspec.DecodeError, RecursionError) as error:
            raise InvalidTarget(reason=f"Input must be well-formed JSON for {target.arn}: {error}") from error


def _retry(members: dict[str, Any]) -> RetryPolicy:
    return RetryPolicy(
        members.get("MaximumRetryAttempts", RETRIES_MAX), members.get("MaximumEventAgeInSeconds", AGE_S_MAX)
    )

"""One target's invocation: by a rule for an event, or by a schedule for a time. Durable as it is. A core.

Source: https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-rule-dlq.html (attributes, error codes)
Source: https://docs.aws.amazon.com/scheduler/latest/UserGuide/configuring-schedule-dlq.html (a schedule's)
"""

from collections.abc import Mapping

import msgspec

from workshape.delivery import Delivery, DeliveryAttribute, Undelivered, text_attribute
from workshape.events.http_parameters import HttpParameters
from workshape.events.retry import Failure, RetryPolicy
from workshape.iso_time import iso_seconds

INVALID_JSON = "INVALID_JSON"
THIRD_HOP = "THIRD_ACCOUNT_HOP_DETECTED"
"""AWS: undocumented which code a third bus has; we chose that of a third account."""
CONNECTION_FAILURE = "CONNECTION_FAILURE"
ERROR_FROM_TARGET = "ERROR_FROM_TARGET"
INVALID_PARAMETER = "INVALID_PARAMETER"
NO_PERMISSIONS = "NO_PERMISSIONS"
NO_RESOURCE = "NO_RESOURCE"
THROTTLING = "THROTTLING"
TIMEOUT = "TIMEOUT"
DEAD_LETTER_CODES = frozenset(
    {
        INVALID_JSON,
        THIRD_HOP,
        CONNECTION_FAILURE,
        ERROR_FROM_TARGET,
        INVALID_PARAMETER,
        NO_PERMISSIONS,
        NO_RESOURCE,
        THROTTLING,
        TIMEOUT,
    }
)
"""Codes in AWS's own words already: they need no translation."""
INTERNAL_SERVER_ERROR = "AWS.Scheduler.InternalServerError"
"""What a schedule's dead-letter queue is told when no target is to blame.

Source: https://docs.aws.amazon.com/scheduler/latest/UserGuide/configuring-schedule-dlq.html
"""
KEYWORD = "<aws.scheduler."
ERROR_MESSAGE_CHARACTERS_MAX = 1_000  # AWS: undocumented; enough to see what is wrong


class Occurrence(msgspec.Struct, frozen=True):
    """The time of a schedule that this is about."""

    scheduled_at: float
    execution_id: str
    is_last: bool = False
    """The schedule is complete with it."""


class TargetInvocation(msgspec.Struct, frozen=True, kw_only=True):
    """A target that is to be invoked; times are Unix times."""

    id: str
    origin: str
    """ARN of the rule or of the schedule."""
    target_arn: str
    body: bytes
    """What the target gets."""
    dead_body: bytes | None = None
    """What the dead-letter queue gets; None: the same."""
    accepted_at: float
    due_at: float
    policy: RetryPolicy = RetryPolicy()
    dead_letter_arn: str = ""
    group_id: str = ""
    http: HttpParameters | None = None
    """Of an API destination."""
    trace_header: str = ""
    retries: int = 0
    occurrence: Occurrence | None = None
    """None: a rule's."""
    detail_type: str = ""
    source: str = ""
    """Both of a schedule that puts events on a bus."""
    from_bus: str = ""
    """ARN of the bus a rule is on."""
    forwarded: bool = False
    """The event came to that bus from another one."""


def body_of(invocation: TargetInvocation) -> str:
    """Write what the target gets at this attempt: of a schedule, with its keywords replaced.

    Source: https://docs.aws.amazon.com/scheduler/latest/UserGuide/managing-schedule-context-attributes.html
    """
    text = invocation.body.decode(errors="replace")
    occurrence = invocation.occurrence
    if occurrence is None or KEYWORD not in text:
        return text
    values = {
        "schedule-arn": invocation.origin,
        "scheduled-time": iso_seconds(occurrence.scheduled_at),
        "execution-id": occurrence.execution_id,
        "attempt-number": str(invocation.retries + 1),
    }
    for name, value in values.items():
        text = text.replace(f"{KEYWORD}{name}>", value)
    return text


def failure_of(undelivered: Undelivered) -> Failure:
    """Say in EventBridge's words why a target was not invoked."""
    if undelivered.code in DEAD_LETTER_CODES:
        code = undelivered.code
    elif undelivered.status in (429, 503) or "Throttl" in undelivered.code or "TooMany" in undelivered.code:
        code = THROTTLING
    elif undelivered.status == 404 or "NotFound" in undelivered.code or "NonExistent" in undelivered.code:
        code = NO_RESOURCE
    elif undelivered.status in (401, 403):
        code = NO_PERMISSIONS
    elif undelivered.status >= 500:
        code = "INTERNAL_ERROR"
    else:
        code = ERROR_FROM_TARGET
    return Failure(code, undelivered.message, undelivered.retryable, undelivered.retry_after_s)


def dead_letter(invocation: TargetInvocation, failure: Failure, code: str, exhausted: str) -> Delivery:
    """Write what the dead-letter queue gets; `code` is the target's own error code."""
    common = {
        "ERROR_MESSAGE": failure.message[:ERROR_MESSAGE_CHARACTERS_MAX] or failure.code,
        "RETRY_ATTEMPTS": str(invocation.retries),
        "TARGET_ARN": invocation.target_arn,
    }
    if exhausted:
        common["EXHAUSTED_RETRY_CONDITION"] = exhausted
    occurrence = invocation.occurrence
    if occurrence is None:
        named = {"RULE_ARN": invocation.origin, "ERROR_CODE": failure.code}
    else:
        named = {
            "SCHEDULE_ARN": invocation.origin,
            "SCHEDULED_TIME": iso_seconds(occurrence.scheduled_at),
            "EXECUTION_ID": occurrence.execution_id,
            "ERROR_CODE": code,
            "IS_PAYLOAD_TRUNCATED": "false",
        }
    attributes: Mapping[str, DeliveryAttribute] = {
        name: text_attribute(text) for name, text in sorted({**common, **named}.items())
    }
    dead = invocation.dead_body
    body = body_of(invocation) if dead is None else dead.decode(errors="replace")
    return Delivery(body, attributes, trace_header=invocation.trace_header)

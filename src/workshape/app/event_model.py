"""Buses, rules and schedules of the app. A core: values only; defaults and bounds are AWS's own."""

from datetime import datetime
from typing import Annotated, Any

import msgspec

from workshape.events.retry import AGE_S_MAX, AGE_S_MIN, RETRIES_MAX

Meta = msgspec.Meta


class Target(msgspec.Struct, frozen=True):
    """Whom a rule invokes: one of the first four; and with what: at most one of the three after them.

    Source: https://docs.aws.amazon.com/eventbridge/latest/APIReference/API_Target.html
    """

    function: str | None = None
    queue: str | None = None
    topic: str | None = None
    bus: str | None = None
    input: str | None = None
    """JSON, in the place of the event."""
    input_path: Annotated[str, Meta(max_length=256)] | None = None
    template: Annotated[str, Meta(min_length=1, max_length=8_192)] | None = None
    paths: Annotated[dict[str, str], Meta(max_length=100)] = {}
    """Variables of the template, and where in the event their values are."""
    message_group_id: Annotated[str, Meta(max_length=100)] = ""
    retries_max: Annotated[int, Meta(ge=0, le=RETRIES_MAX)] = RETRIES_MAX
    event_age_s_max: Annotated[int, Meta(ge=AGE_S_MIN, le=AGE_S_MAX)] = AGE_S_MAX
    dead_letter_queue: str | None = None


class Bus(msgspec.Struct, frozen=True):
    """An event bus beside the default one.

    Source: https://docs.aws.amazon.com/eventbridge/latest/APIReference/API_CreateEventBus.html
    """

    name: str
    description: Annotated[str, Meta(max_length=512)] = ""


class Rule(msgspec.Struct, frozen=True):
    """What events of a bus, or what times, invoke which targets.

    Source: https://docs.aws.amazon.com/eventbridge/latest/APIReference/API_PutRule.html
    """

    name: str
    targets: Annotated[tuple[Target, ...], Meta(min_length=1, max_length=5)]
    bus: str = "default"
    pattern: dict[str, Any] | None = None
    schedule: str | None = None
    description: Annotated[str, Meta(max_length=512)] = ""
    enabled: bool = True


class Schedule(msgspec.Struct, frozen=True):
    """A schedule of EventBridge Scheduler, in the default group.

    Source: https://docs.aws.amazon.com/scheduler/latest/APIReference/API_CreateSchedule.html
    """

    name: str
    expression: str
    function: str | None = None
    queue: str | None = None
    topic: str | None = None
    bus: str | None = None
    input: str | None = None
    source: str | None = None
    detail_type: Annotated[str, Meta(min_length=1, max_length=128)] | None = None
    """Both of the events that a bus gets."""
    time_zone: str = "UTC"
    starts_at: Annotated[datetime, Meta(tz=True)] | None = None
    ends_at: Annotated[datetime, Meta(tz=True)] | None = None
    window_minutes: Annotated[int, Meta(ge=1, le=1_440)] | None = None
    message_group_id: Annotated[str, Meta(max_length=128)] = ""
    retries_max: Annotated[int, Meta(ge=0, le=RETRIES_MAX)] = RETRIES_MAX
    event_age_s_max: Annotated[int, Meta(ge=AGE_S_MIN, le=AGE_S_MAX)] = AGE_S_MAX
    dead_letter_queue: str | None = None
    description: Annotated[str, Meta(max_length=512)] = ""
    enabled: bool = True

"""Schedules and their groups as values, what EventBridge Scheduler accepts of them, and what goes wrong. A core.

Source: https://docs.aws.amazon.com/scheduler/latest/APIReference/
"""

import msgspec

from workshape.errors import Conflict, Denied, Invalid, NotFound, Throttled
from workshape.events.retry import RetryPolicy

DEFAULT_GROUP = "default"
GROUPS_MAX = 500
"""Source: https://docs.aws.amazon.com/scheduler/latest/UserGuide/managing-schedule-group.html"""
SCHEDULES_MAX = 100_000  # AWS's quota is ten million; this is what one engine holds in memory
INPUT_BYTES_MAX = 256 * 1024
"""Source: https://docs.aws.amazon.com/scheduler/latest/APIReference/API_Target.html"""
ENABLED = "ENABLED"
DISABLED = "DISABLED"
UNIVERSAL_PREFIX = "arn:aws:scheduler:::aws-sdk:"


class ScheduleTarget(msgspec.Struct, frozen=True, kw_only=True):
    """Whom a schedule invokes, and with what."""

    arn: str
    role_arn: str
    input: str | None = None
    """None: EventBridge Scheduler's own notification."""
    retry: RetryPolicy | None = None
    """None: none was given, and EventBridge Scheduler's own is taken."""
    dead_letter_arn: str = ""
    message_group_id: str = ""
    detail_type: str = ""
    source: str = ""
    """Both for event buses."""

    @property
    def policy(self) -> RetryPolicy:
        """How it is tried again."""
        return self.retry or RetryPolicy()


class Schedule(msgspec.Struct, frozen=True, kw_only=True):
    """One schedule; times are Unix times."""

    group: str
    name: str
    expression: str
    target: ScheduleTarget
    arn: str = ""
    time_zone: str = "UTC"
    starts_at: float | None = None
    ends_at: float | None = None
    window_minutes: int | None = None
    """None: no flexible time window."""
    description: str = ""
    state: str = ENABLED
    kms_key: str = ""
    deleted_when_complete: bool = False
    created_at: float = 0.0
    modified_at: float = 0.0
    counts_from: float = 0.0
    """What its rate counts from: when it got this timing."""
    token: str = ""
    """Of the client that made it: the same request again is no conflict."""
    update_token: str = ""
    """Of the client that changed it last: the same request again changes nothing."""

    @property
    def timing(self) -> tuple[object, ...]:
        """All that says when it is due, but for what a rate counts from."""
        return (self.expression, self.time_zone, self.starts_at, self.ends_at, self.window_minutes)

    @property
    def is_enabled(self) -> bool:
        """Tell whether it is ever due."""
        return self.state == ENABLED


class ScheduleGroup(msgspec.Struct, frozen=True, kw_only=True):
    """What schedules are gathered in."""

    name: str
    arn: str
    created_at: float
    modified_at: float
    tags: dict[str, str] = {}
    token: str = ""


# The errors. AWS: undocumented; we chose the words.


class ScheduleNotFound(NotFound):
    """Schedule {name} does not exist."""


class GroupNotFound(NotFound):
    """Schedule group {name} does not exist."""


class ScheduleExists(Conflict):
    """Schedule {name} already exists."""

    name: str


class GroupExists(Conflict):
    """Schedule group {name} already exists."""

    name: str


class DefaultGroupStays(Invalid):
    """The default schedule group can't be deleted."""


class InvalidScheduleExpression(Invalid):
    """Invalid Schedule Expression {expression}. {reason}"""

    expression: str


class InvalidTimeZone(Invalid):
    """Invalid ScheduleExpressionTimezone {name}: name one of the IANA database, such as Europe/Berlin."""

    name: str


class InvalidDates(Invalid):
    """{reason}"""


class InvalidTarget(Invalid):
    """Invalid target: {reason}"""


class QuotaExceeded(Throttled):
    """The request exceeds a service quota: {limit} {what}."""

    retryable = False
    limit: int
    what: str


class NotBuilt(Denied):
    """workshape does not do {feature} of EventBridge Scheduler: {remedy}."""

    feature: str
    remedy: str


def schedule_arn(region: str, account: str, group: str, name: str) -> str:
    """Name a schedule."""
    return f"arn:aws:scheduler:{region}:{account}:schedule/{group}/{name}"


def group_arn(region: str, account: str, name: str) -> str:
    """Name a schedule group."""
    return f"arn:aws:scheduler:{region}:{account}:schedule-group/{name}"

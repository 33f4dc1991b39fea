"""Event buses, rules and targets as values, what EventBridge accepts of them, and what goes wrong. A core.

Source: https://docs.aws.amazon.com/eventbridge/latest/APIReference/
Source: https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-quota.html
"""

from typing import NewType

import msgspec

from workshape.errors import Conflict, Denied, Invalid, NotFound, Throttled
from workshape.events.http_parameters import HttpParameters
from workshape.events.retry import RetryPolicy
from workshape.events.transformer import TargetInput

BusName = NewType("BusName", str)
RuleName = NewType("RuleName", str)

DEFAULT_BUS = BusName("default")
BUSES_MAX = 100
RULES_PER_BUS_MAX = 300
TARGETS_PER_RULE_MAX = 5
TARGETS_PER_REQUEST_MAX = 10
PATTERN_CHARACTERS_MAX = 4_096
"""The service model's; the quota page's 2,048 can be raised."""
POLICY_CHARACTERS_MAX = 10_240
TAGS_MAX = 50
"""Source: https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-tagging.html"""
ENABLED = "ENABLED"
DISABLED = "DISABLED"
ENABLED_STATES = (ENABLED, "ENABLED_WITH_ALL_CLOUDTRAIL_MANAGEMENT_EVENTS")


class EventBus(msgspec.Struct, frozen=True, kw_only=True):
    """One bus; its rules are beside it."""

    name: BusName
    arn: str = ""
    created_at: float = 0.0
    """Unix time, as all times here."""
    modified_at: float = 0.0
    description: str = ""
    kms_key: str = ""
    dead_letter_arn: str = ""
    log_level: str = ""
    log_detail: str = ""
    """These four are kept and shown: a bus that encrypts and logs nothing has no use for them."""
    statements: dict[str, msgspec.Raw] = {}
    """Of its resource policy, by their ids: kept and shown, not evaluated."""
    tags: dict[str, str] = {}


class Target(msgspec.Struct, frozen=True, kw_only=True):
    """Whom a rule invokes, and with what."""

    id: str
    arn: str
    role_arn: str = ""
    input: TargetInput = TargetInput()
    message_group_id: str = ""
    http: HttpParameters | None = None
    """For API destinations."""
    retry: RetryPolicy | None = None
    """None: none was given, and EventBridge's own is taken."""
    dead_letter_arn: str = ""


class Rule(msgspec.Struct, frozen=True, kw_only=True):
    """What events of one bus, or what times, invoke which targets."""

    bus: BusName
    name: RuleName
    arn: str = ""
    created_at: float = 0.0
    pattern: str = ""
    """JSON."""
    schedule: str = ""
    scheduled_since: float = 0.0
    """What its rate counts from: when it got this schedule."""
    state: str = ENABLED
    description: str = ""
    role_arn: str = ""
    targets: dict[str, Target] = {}
    tags: dict[str, str] = {}

    @property
    def is_enabled(self) -> bool:
        """Tell whether it matches and runs."""
        return self.state in ENABLED_STATES


# The errors. AWS: undocumented; we chose the words.


class BusNotFound(NotFound):
    """Event bus {name} does not exist."""


class RuleNotFound(NotFound):
    """Rule {name} does not exist on EventBus {bus}."""

    bus: str


class ResourceNotFound(NotFound):
    """{name} is neither a rule nor an event bus."""


class BusExists(Conflict):
    """Event bus {name} already exists."""

    name: str


class BusInUse(Invalid):
    """Event bus {name} can't be deleted since it has {what}."""

    name: str
    what: str


class DefaultBusStays(Invalid):
    """Cannot delete event bus default."""


class RuleHasTargets(Invalid):
    """Rule can't be deleted since it has targets."""


class LimitExceeded(Throttled):
    """The requested resource exceeds the maximum number allowed: {limit} {what}."""

    limit: int
    what: str


class PolicyTooLong(Invalid):
    """The event bus policy would have {size} characters, which is more than {size_max}."""

    size: int
    size_max: int


class NotBuilt(Denied):
    """workshape does not do {feature} of EventBridge: {remedy}."""

    feature: str
    remedy: str


def bus_arn(region: str, account: str, name: str) -> str:
    """Name an event bus."""
    return f"arn:aws:events:{region}:{account}:event-bus/{name}"


def rule_arn(region: str, account: str, bus: str, name: str) -> str:
    """Name a rule; the default bus is not part of it."""
    place = name if bus == DEFAULT_BUS else f"{bus}/{name}"
    return f"arn:aws:events:{region}:{account}:rule/{place}"

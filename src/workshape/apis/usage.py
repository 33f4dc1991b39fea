"""API keys, and the usage plans that say how much each may use. A core.

Source: https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-api-usage-plans.html
"""

from datetime import UTC, datetime, timedelta

import msgspec

from workshape.errors import Conflict, NotFound

KEY_LENGTH_MIN = 20
KEY_LENGTH_MAX = 128
"""Source: https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-execution-service-limits-table.html"""


class NoSuchKey(NotFound):
    """Invalid API Key identifier specified"""


class NoSuchPlan(NotFound):
    """Invalid Usage Plan ID specified"""


class NoSuchPlanKey(NotFound):
    """Invalid API Key identifier specified"""


class KeyExists(Conflict):
    """API Key already exists"""


class ApiKey(msgspec.Struct, frozen=True, rename="camel"):
    """What a client is known by."""

    id: str
    name: str
    value: str
    created_date: float
    last_updated_date: float
    description: str | None = None
    enabled: bool = False
    customer_id: str | None = None
    tags: dict[str, str] = {}


class Throttle(msgspec.Struct, frozen=True, rename="camel"):
    """A rate and a burst."""

    rate_limit: float | None = None
    burst_limit: int | None = None


class Quota(msgspec.Struct, frozen=True, rename="camel"):
    """So many requests in a day, a week or a month."""

    limit: int
    period: str
    offset: int = 0


class PlanStage(msgspec.Struct, frozen=True, rename="camel"):
    """A stage that a plan is for, and limits of single methods by `/resource/METHOD`."""

    api_id: str
    stage: str
    throttle: dict[str, Throttle] = {}


class UsagePlan(msgspec.Struct, frozen=True, rename="camel"):
    """Which keys may use which stages, and how much."""

    id: str
    name: str
    description: str | None = None
    api_stages: tuple[PlanStage, ...] = ()
    throttle: Throttle | None = None
    quota: Quota | None = None
    tags: dict[str, str] = {}
    keys: tuple[str, ...] = ()
    """Ids; shown by operations of their own."""

    def stage(self, api_id: str, stage: str) -> PlanStage | None:
        """Find a stage in it."""
        return next((one for one in self.api_stages if (one.api_id, one.stage) == (api_id, stage)), None)


class Usage(msgspec.Struct, frozen=True):
    """What a key has used of a plan's quota. Durable as it is."""

    plan_id: str
    key_id: str
    period: str
    """As `period_of` names it."""
    used: int


def period_of(quota: Quota, now: float) -> str:
    """Name the period that a Unix time is in; a new one begins with a count of 0.

    `offset` is not applied: it shortens the first period of a plan only.
    """
    day = datetime.fromtimestamp(now, UTC).date()
    match quota.period:
        case "DAY":
            return day.isoformat()
        case "WEEK":
            return (day - timedelta(days=(day.weekday() + 1) % 7)).isoformat()  # weeks begin on Sunday
        case _:
            return f"{day:%Y-%m}"

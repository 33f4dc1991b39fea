"""What is scaled, and by what: values, as they are kept. A core.

Source: https://docs.aws.amazon.com/autoscaling/application/APIReference/API_Operations.html
"""

from dataclasses import dataclass

import msgspec

NAMESPACE = "lambda"
DIMENSION = "lambda:function:ProvisionedConcurrency"
METRIC = "LambdaProvisionedConcurrencyUtilization"


class Suspended(msgspec.Struct, frozen=True):
    """What does not happen for the time being."""

    scale_in: bool = False
    scale_out: bool = False
    scheduled: bool = False


class TrackingPolicy(msgspec.Struct, frozen=True):
    """Keep the utilization near a value."""

    name: str
    id: str
    target_value: float
    created_at: float
    """Unix time."""
    scale_out_cooldown_s: int = 0
    scale_in_cooldown_s: int = 0
    """Both default to 0 for Lambda.

    Source: https://docs.aws.amazon.com/autoscaling/application/userguide/target-tracking-scaling-policy-overview.html
    """
    disable_scale_in: bool = False
    alarm_high_id: str = ""
    alarm_low_id: str = ""


class ScheduledAction(msgspec.Struct, frozen=True):
    """Change the bounds at certain times."""

    name: str
    id: str
    schedule: str
    created_at: float
    """Unix time."""
    time_zone: str | None = None
    """None: UTC."""
    start_at: float | None = None
    end_at: float | None = None
    min_capacity: int | None = None
    max_capacity: int | None = None


class ScalableTarget(msgspec.Struct, frozen=True):
    """A version or an alias whose provisioned concurrency is scaled within bounds."""

    resource_id: str
    """`function:NAME:QUALIFIER`."""
    id: str
    min_capacity: int
    max_capacity: int
    created_at: float
    """Unix time."""
    suspended: Suspended = Suspended()
    tags: dict[str, str] = {}
    policies: dict[str, TrackingPolicy] = {}
    actions: dict[str, ScheduledAction] = {}

    def within(self, capacity: int) -> int:
        """The capacity nearest to one that is within the bounds."""
        return max(self.min_capacity, min(self.max_capacity, capacity))


@dataclass(frozen=True, slots=True)
class ScalingActivity:
    """Something that was done, or was to be done and was not."""

    id: str
    resource_id: str
    at: float
    """Unix time."""
    description: str
    cause: str
    failure: str = ""
    """Why what was to be done could not be; empty when it was."""
    not_scaled: str | None = None
    """Why nothing was done: `AlreadyAtMaxCapacity`, `AlreadyAtMinCapacity`."""
    capacity: int = 0
    min_capacity: int = 0
    max_capacity: int = 0

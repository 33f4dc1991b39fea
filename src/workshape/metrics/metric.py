"""What a metric is. A core.

Source: https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/cloudwatch_concepts.html
"""

from dataclasses import dataclass
from enum import StrEnum

from workshape.metrics.distribution import Distribution

MINUTE_S = 60


class Unit(StrEnum):
    """What a metric's values are, in CloudWatch's words."""

    BYTES = "Bytes"
    COUNT = "Count"
    MICROSECONDS = "Microseconds"
    MILLISECONDS = "Milliseconds"
    SECONDS = "Seconds"
    PERCENT = "Percent"
    NONE = "None"


@dataclass(frozen=True, slots=True)
class Metric:
    """One series of values."""

    namespace: str
    name: str
    dimensions: tuple[tuple[str, str], ...] = ()
    """Names and values, sorted by name: another order is the same metric."""
    unit: Unit = Unit.COUNT

    def __post_init__(self) -> None:
        assert list(self.dimensions) == sorted(self.dimensions), "dimensions are sorted by name"


@dataclass(frozen=True, slots=True)
class Point:
    """What one metric measured in one minute, or in a part of it."""

    metric: Metric
    minute: int
    """Minutes since the Unix epoch."""
    values: Distribution


def minute_of(at: float) -> int:
    """The minute of a Unix time."""
    return int(at // MINUTE_S)

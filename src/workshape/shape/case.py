"""A case: one function, as the rules get it."""

from dataclasses import dataclass

from workshape.shape.cost import CostComparison
from workshape.shape.evidence import OBSERVATIONS_MIN, Distribution, Evidence
from workshape.shape.work import Surroundings, WorkDescription

RECORDS = "invocation records"
APP_FILE = "app file"
NO_INVOCATION = "invocations: none was recorded"
"""The fact that nearly every rule misses then."""


@dataclass(frozen=True, slots=True)
class Case:
    """What is known of one function."""

    work: WorkDescription
    evidence: Evidence
    surroundings: Surroundings
    costs: CostComparison | None
    """None: too little was measured to price anything."""

    @property
    def rate_per_s(self) -> float | None:
        """A month's mean rate: declared, or measured over a day at least."""
        if self.work.rate_per_s is not None:
            return self.work.rate_per_s
        window = self.evidence.window
        return window.rate_per_s if window is not None and window.is_long else None

    @property
    def rate_source(self) -> str:
        """Where that rate is from."""
        return "declared mean rate" if self.work.rate_per_s is not None else f"mean rate of the {RECORDS}"


def enough(distribution: Distribution | None) -> Distribution | None:
    """The distribution when it holds enough values to be evidence."""
    return distribution if distribution is not None and distribution.count >= OBSERVATIONS_MIN else None


def too_few(what: str, distribution: Distribution | None) -> str:
    """Name the missing fact: how many there are, how many it takes."""
    have = distribution.count if distribution is not None else 0
    return f"{OBSERVATIONS_MIN} {what} or more (there are {have})"

"""What a rule returns."""

from dataclasses import dataclass, replace
from enum import StrEnum


class Outcome(StrEnum):
    """A rule's answer."""

    PASS = "pass"  # noqa: S105 - no secret
    FAIL = "fail"
    UNKNOWN = "unknown"
    """A fact is missing: never a pass."""
    NOT_APPLICABLE = "n/a"


class Severity(StrEnum):
    """What a failure means."""

    GATE = "gate"
    """A function cannot do this work: it is a worker's."""
    PREFERENCE = "preference"
    """Both shapes can do it; a worker does it better."""
    ASSUMPTION = "assumption"
    """A gate that no record shows: who takes the verdict must know that it holds."""
    FIX = "fix"
    """Wrong as it is: to be put right first."""
    ADVICE = "advice"
    """A setting that will hurt sooner or later."""


@dataclass(frozen=True, slots=True)
class Flip:
    """Where the answer changes."""

    quantity: str
    at: float
    unit: str
    statement: str
    """As one would say it: `function until 9.7 requests/s`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One rule's answer about one function, with all that is needed to check it."""

    rule: str
    """The rule's number, and a letter where it has parts."""
    name: str
    scope: str = ""
    """Which source or queue it is about, where there are several."""
    outcome: Outcome
    severity: Severity
    value: float | None = None
    """Measured, in `unit`."""
    threshold: float | None = None
    bound: str = ""
    """`at most` or `at least` the threshold."""
    unit: str = ""
    margin: float | None = None
    """What is left to the threshold, as a share of it; negative: by how much it is missed."""
    statement: str
    remedy: str = ""
    condition: str = ""
    """What must hold for a function, where the outcome is unknown."""
    source: str
    inputs: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    """The facts without which the outcome stays unknown."""
    flips: tuple[Flip, ...] = ()

    @property
    def label(self) -> str:
        """Number, name and scope in one line."""
        return f"{self.rule} {self.name}" + (f" ({self.scope})" if self.scope else "")


@dataclass(frozen=True, slots=True)
class Rule:
    """What is the same in all findings of a rule."""

    number: str
    name: str
    severity: Severity
    source: str
    unit: str = ""

    def at_most(
        self,
        value: float,
        threshold: float,
        statement: str,
        *,
        inputs: tuple[str, ...],
        remedy: str = "",
        scope: str = "",
        flips: tuple[Flip, ...] = (),
    ) -> Finding:
        """Judge a value that must not exceed the threshold."""
        settled = self.settled(
            value <= threshold,
            statement,
            inputs=inputs,
            value=value,
            threshold=threshold,
            remedy=remedy,
            scope=scope,
            flips=flips,
        )
        return replace(settled, margin=(threshold - value) / threshold if threshold else None)

    def at_least(
        self, value: float, threshold: float, statement: str, *, inputs: tuple[str, ...], remedy: str, scope: str = ""
    ) -> Finding:
        """Judge a value that must reach the threshold."""
        settled = self.settled(
            value >= threshold,
            statement,
            inputs=inputs,
            value=value,
            threshold=threshold,
            remedy=remedy,
            scope=scope,
        )
        return replace(settled, bound="at least", margin=(value - threshold) / threshold if threshold else None)

    def settled(
        self,
        passes: bool,
        statement: str,
        *,
        inputs: tuple[str, ...],
        value: float | None = None,
        threshold: float | None = None,
        remedy: str = "",
        scope: str = "",
        flips: tuple[Flip, ...] = (),
    ) -> Finding:
        """Give an answer that is not one number against another."""
        return Finding(
            rule=self.number,
            name=self.name,
            scope=scope,
            outcome=Outcome.PASS if passes else Outcome.FAIL,
            severity=self.severity,
            value=value,
            threshold=threshold,
            bound="at most" if threshold is not None else "",
            unit=self.unit,
            statement=statement,
            remedy="" if passes else remedy,
            source=self.source,
            inputs=inputs,
            flips=flips,
        )

    def unknown(
        self,
        statement: str,
        *,
        missing: tuple[str, ...],
        value: float | None = None,
        threshold: float | None = None,
        inputs: tuple[str, ...] = (),
        remedy: str = "",
        condition: str = "",
        scope: str = "",
        flips: tuple[Flip, ...] = (),
    ) -> Finding:
        """Say what is missing."""
        assert missing, "an unknown names the missing fact"
        return Finding(
            rule=self.number,
            name=self.name,
            scope=scope,
            outcome=Outcome.UNKNOWN,
            severity=self.severity,
            value=value,
            threshold=threshold,
            bound="at most" if threshold is not None else "",
            unit=self.unit,
            statement=statement,
            remedy=remedy,
            condition=condition,
            source=self.source,
            inputs=inputs,
            missing=missing,
            flips=flips,
        )

    def not_applicable(self, statement: str, *, scope: str = "") -> Finding:
        """Say why the rule does not apply."""
        return Finding(
            rule=self.number,
            name=self.name,
            scope=scope,
            outcome=Outcome.NOT_APPLICABLE,
            severity=self.severity,
            unit=self.unit,
            statement=statement,
            source=self.source,
        )

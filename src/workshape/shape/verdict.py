"""The verdict: what the findings amount to."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from math import inf

from workshape.shape.case import Case
from workshape.shape.evidence import Evidence
from workshape.shape.finding import Finding, Flip, Outcome, Severity
from workshape.shape.rules.catalogue import all_findings
from workshape.shape.rules.price import price
from workshape.shape.work import Surroundings, WorkDescription


class Shape(StrEnum):
    """What the work should run as."""

    FUNCTION = "function"
    WORKER = "worker"
    SPLIT = "split"
    """The hot path in a worker, the rest in a function."""
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Verdict:
    """One function's."""

    case: Case
    shape: Shape
    reason: str
    decisive: tuple[Finding, ...]
    """Rules that would change the shape if they turned out otherwise; the closest first."""
    conditions: tuple[str, ...]
    """What must hold, of all that nothing measured shows."""
    fixes: tuple[Finding, ...]
    """Wrong as it runs now."""
    advice: tuple[Finding, ...]
    missing: tuple[str, ...]
    """For `unknown`: the facts without which there is no verdict."""
    flips: tuple[Flip, ...]
    findings: tuple[Finding, ...]


def judge(work: WorkDescription, evidence: Evidence, surroundings: Surroundings) -> Verdict:
    """Apply every rule to one function, and combine what they say."""
    case = Case(work, evidence, surroundings, price(work, evidence))
    findings = all_findings(case)
    shape, decisive = _choose(findings)
    return Verdict(
        case=case,
        shape=shape,
        reason=_reason(shape, decisive),
        decisive=decisive,
        conditions=_conditions(findings) if shape in (Shape.FUNCTION, Shape.SPLIT) else (),
        fixes=_failed(findings, Severity.FIX),
        advice=_failed(findings, Severity.ADVICE),
        missing=tuple(dict.fromkeys(fact for finding in decisive for fact in finding.missing))
        if shape is Shape.UNKNOWN
        else (),
        flips=tuple(flip for finding in findings for flip in finding.flips),
        findings=findings,
    )


def _choose(findings: Sequence[Finding]) -> tuple[Shape, tuple[Finding, ...]]:
    """Gates first: one that fails decides, and one that is unknown leaves all open. Then what is better, if known."""
    gates = [one for one in findings if one.severity in (Severity.GATE, Severity.ASSUMPTION)]
    failed = tuple(one for one in gates if one.outcome is Outcome.FAIL)
    if failed:
        scopes = {one.scope for one in gates if one.rule == failed[0].rule}
        is_partial = all(one.scope for one in failed) and {one.scope for one in failed} < scopes
        return (Shape.SPLIT if is_partial else Shape.WORKER), failed
    unknown = tuple(one for one in gates if one.severity is Severity.GATE and one.outcome is Outcome.UNKNOWN)
    if unknown:
        return Shape.UNKNOWN, unknown
    preferences = [one for one in findings if one.severity is Severity.PREFERENCE]
    worse = tuple(one for one in preferences if one.outcome is Outcome.FAIL)
    if worse:
        return Shape.WORKER, worse
    passed = [one for one in (*gates, *preferences) if one.outcome is Outcome.PASS]
    return Shape.FUNCTION, tuple(sorted(passed, key=lambda one: inf if one.margin is None else one.margin))


def _reason(shape: Shape, decisive: Sequence[Finding]) -> str:
    match shape:
        case Shape.FUNCTION:
            closest = decisive[0]
            left = (
                f"; the closest is {closest.label}, with {closest.margin:.0%} to spare"
                if closest.margin is not None
                else ""
            )
            return f"nothing measured speaks against it: {len(decisive)} rules that could exclude it pass{left}"
        case Shape.UNKNOWN:
            return f"not enough is known for rule{'s' * (len(decisive) > 1)} {', '.join(one.rule for one in decisive)}"
        case _:
            return "; ".join(f"rule {one.label} fails: {one.statement}" for one in decisive)


def _conditions(findings: Sequence[Finding]) -> tuple[str, ...]:
    open_ones = [one for one in findings if one.outcome is Outcome.UNKNOWN and one.condition]
    return tuple(f"{one.condition} (rule {one.rule})" for one in open_ones)


def _failed(findings: Sequence[Finding], severity: Severity) -> tuple[Finding, ...]:
    return tuple(one for one in findings if one.severity is severity and one.outcome is Outcome.FAIL)

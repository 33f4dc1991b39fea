"""The report as values: what the JSON holds and what the terminal shows, in the same order. Figures are not rounded."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from workshape.shape import prices
from workshape.shape.case import Case
from workshape.shape.cost import CostComparison
from workshape.shape.finding import Finding, Flip, Outcome
from workshape.shape.prices import Confidence, Price
from workshape.shape.verdict import Shape, Verdict

SCHEMA = "workshape.verdict/1"


@dataclass(frozen=True, slots=True)
class EvidenceSummary:
    """What the verdict on one function rests on."""

    invocations: int
    first: float | None
    """Unix time."""
    last: float | None
    seconds: float | None
    rate_per_s: float | None
    """Mean rate of that window."""
    cold_starts: int
    failed: int
    timeouts: int
    throttled: int
    set_aside: int
    duration_p50_ms: float | None
    """Warm."""
    duration_p99_ms: float | None
    concurrency_peak: int | None
    environments_peak: int | None
    connections_peak: int | None
    cautions: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class FunctionReport:
    """One function's part."""

    function: str
    verdict: Shape
    reason: str
    decisive: tuple[str, ...]
    """Labels of the rules that would change the verdict, the closest first."""
    conditions: tuple[str, ...]
    missing: tuple[str, ...]
    fixes: tuple[str, ...]
    """Labels of the rules it breaks as it runs now."""
    advice: tuple[str, ...]
    evidence: EvidenceSummary
    findings: tuple[Finding, ...]
    flips: tuple[Flip, ...]
    costs: CostComparison | None


@dataclass(frozen=True, slots=True)
class Report:
    """All of it."""

    schema: str
    app: str
    profile: str
    functions: tuple[FunctionReport, ...]
    prices_region: str
    prices_as_of: str
    prices: tuple[Price, ...]
    """Those used, in any function's part."""

    @property
    def uncertain_prices(self) -> tuple[Price, ...]:
        """Those below high confidence."""
        return tuple(price for price in self.prices if price.confidence is not Confidence.HIGH)


def write_report(app: str, profile: str, verdicts: Sequence[Verdict]) -> Report:
    """Put the verdicts of an app's functions together."""
    used = dict.fromkeys(price for verdict in verdicts for price in _prices_used(verdict))
    return Report(
        schema=SCHEMA,
        app=app,
        profile=profile,
        functions=tuple(_function_report(verdict) for verdict in verdicts),
        prices_region=prices.REGION,
        prices_as_of=prices.AS_OF,
        prices=tuple(used),
    )


def _function_report(verdict: Verdict) -> FunctionReport:
    return FunctionReport(
        function=verdict.case.work.name,
        verdict=verdict.shape,
        reason=verdict.reason,
        decisive=tuple(finding.label for finding in verdict.decisive),
        conditions=verdict.conditions,
        missing=verdict.missing,
        fixes=tuple(finding.label for finding in verdict.fixes),
        advice=tuple(finding.label for finding in verdict.advice),
        evidence=_summary(verdict.case),
        findings=verdict.findings,
        flips=verdict.flips,
        costs=verdict.case.costs,
    )


def _summary(case: Case) -> EvidenceSummary:
    evidence = case.evidence
    window, warm, connections = evidence.window, evidence.warm_ms, evidence.connections
    return EvidenceSummary(
        invocations=window.invocations if window is not None else 0,
        first=window.first if window is not None else None,
        last=window.last if window is not None else None,
        seconds=window.seconds if window is not None else None,
        rate_per_s=window.rate_per_s if window is not None else None,
        cold_starts=evidence.cold_starts,
        failed=evidence.failed,
        timeouts=evidence.timeouts,
        throttled=evidence.throttled,
        set_aside=evidence.set_aside,
        duration_p50_ms=warm.quantile(0.5) if warm is not None else None,
        duration_p99_ms=warm.quantile(0.99) if warm is not None else None,
        concurrency_peak=evidence.concurrency_peak,
        environments_peak=evidence.environments_peak,
        connections_peak=connections.peak if connections is not None else None,
        cautions=evidence.cautions,
    )


def _prices_used(verdict: Verdict) -> Iterable[Price]:
    costs = verdict.case.costs
    if costs is not None:
        yield from (prices.LAMBDA_REQUEST, prices.LAMBDA_GB_S, prices.FARGATE_VCPU_H, prices.FARGATE_GB_H)
        if any(costs.function.month_gb_s(row.rate_per_s) > prices.LAMBDA_TIERS[0][0] for row in costs.rows):
            yield from (prices.LAMBDA_GB_S_TIER_2, prices.LAMBDA_GB_S_TIER_3)
    if any(one.rule.startswith("13") and one.remedy for one in verdict.findings):
        yield prices.LAMBDA_PROVISIONED_GB_S
    if any(one.rule == "17" and one.outcome is not Outcome.NOT_APPLICABLE for one in verdict.findings):
        yield from (prices.RDS_PROXY_VCPU_H, prices.RDS_PROXY_ACU_H)

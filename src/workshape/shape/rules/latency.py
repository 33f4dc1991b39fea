"""Rules 13 and 14: the budget at the 99th percentile against cold starts."""

from collections.abc import Iterator
from dataclasses import dataclass
from math import inf

from workshape.shape.case import APP_FILE, RECORDS, Case, enough, too_few
from workshape.shape.cost import provisioned_month_usd
from workshape.shape.evidence import SCALE_OUT_WINDOW_S, Distribution
from workshape.shape.finding import Finding, Flip, Rule, Severity
from workshape.shape.laws import busy, cold_share, rate_for_cold_share, servers_for_loss
from workshape.shape.lifecycle import AGE_S_MAX, INIT_DURATIONS, INIT_SOURCE, KEEP_ALIVE_S_LOW

SHARE = 0.01
"""Of invocations beyond the 99th percentile: where more are cold, that percentile is a cold start."""
TRACES = "https://github.com/pacslab/simfaas (traces of AWS Lambda, 2020)"

WARM = Rule("13a", "warm p99 within the budget", Severity.FIX, "latency_p99_ms of the app file", "ms")
STEADY = Rule("13b", "cold starts at a steady rate", Severity.PREFERENCE, TRACES, "of invocations")
SCALE_OUT = Rule(
    "13c",
    "cold starts when it scales out",
    Severity.PREFERENCE,
    "https://docs.aws.amazon.com/lambda/latest/dg/lambda-concurrency.html",
    "of invocations",
)


@dataclass(frozen=True, slots=True)
class ColdStart:
    """What a cold start costs a caller, as far as that is known."""

    here_ms: float | None
    """p99 measured on this machine."""
    least_ms: float | None
    """On AWS at least: the init phase of a function that does nothing (p99) and the first invocation (p50)."""
    first_ms: float | None
    """The first invocation alone."""

    def fits(self, budget_ms: float) -> bool | None:
        """Whether it is within the budget: sure when both say so, not when the least exceeds it, else unknown."""
        if self.least_ms is not None and self.least_ms > budget_ms:
            return False
        if self.least_ms is not None and self.here_ms is not None and self.here_ms <= budget_ms:
            return True
        return None


def latency_findings(case: Case) -> Iterator[Finding]:
    """Rule 13, with rule 14's sizing as its remedy."""
    budget_ms = case.work.latency_p99_ms
    if budget_ms is None:
        yield from (_without_budget(case, rule) for rule in (WARM, STEADY, SCALE_OUT))
        return
    cold_start = _cold_start(case)
    yield _warm(case, budget_ms)
    yield _steady(case, budget_ms, cold_start)
    yield _scale_out(case, budget_ms, cold_start)


def _without_budget(case: Case, rule: Rule) -> Finding:
    called = any(trigger.trigger != "sqs" for trigger in case.evidence.triggers)
    if case.work.queues and not case.work.route_timeouts_s and not called:
        return rule.not_applicable("nobody waits for it: its events come from queues")
    return rule.unknown("no budget", missing=(f"latency_p99_ms in the {APP_FILE}",))


def _cold_start(case: Case) -> ColdStart:
    evidence = case.evidence
    published = INIT_DURATIONS.get(case.work.runtime)
    first = evidence.cold_duration_ms or evidence.warm_ms
    first_ms = first.quantile(0.5) if first is not None else None
    return ColdStart(
        here_ms=evidence.cold_latency_ms.quantile(0.99) if evidence.cold_latency_ms is not None else None,
        least_ms=published.p99_ms + first_ms if published is not None and first_ms is not None else None,
        first_ms=first_ms,
    )


def _warm(case: Case, budget_ms: float) -> Finding:
    latency = enough(case.evidence.warm_latency_ms)
    if latency is None:
        missing = (too_few("warm invocations", case.evidence.warm_latency_ms),)
        return WARM.unknown("too few warm invocations", missing=missing, threshold=budget_ms)
    p99_ms = latency.quantile(0.99)
    return WARM.at_most(
        p99_ms,
        budget_ms,
        "p99 where an environment was idle, on this machine",
        inputs=(f"{latency.describe(0.99)} warm latencies in the {RECORDS}",),
        remedy="neither shape helps: the work itself is slower than its budget",
        flips=(Flip("budget", p99_ms, "ms", f"out of reach in either shape under a budget of {p99_ms:,.0f} ms"),),
    )


def _steady(case: Case, budget_ms: float, cold_start: ColdStart) -> Finding:
    warm = enough(case.evidence.warm_ms)
    if warm is None:
        missing = (too_few("warm invocations", case.evidence.warm_ms),)
        return STEADY.unknown("too few warm invocations", missing=missing, threshold=SHARE)
    duration_s = warm.mean / 1_000
    least_rate = rate_for_cold_share(SHARE, duration_s, KEEP_ALIVE_S_LOW, AGE_S_MAX)
    flips: tuple[Flip, ...] = ()
    if least_rate < inf:
        words = f"below {least_rate:.3g} requests/s the p99 is a cold start (Poisson arrivals)"
        flips = (Flip("mean rate", least_rate, "requests/s", words),)
    law = f"Poisson arrivals, keep-alive {KEEP_ALIVE_S_LOW:g} s, age {AGE_S_MAX:g} s, mean duration {warm.mean:,.0f} ms"
    fits = cold_start.fits(budget_ms)
    rate = case.rate_per_s
    share = cold_share(rate, duration_s, KEEP_ALIVE_S_LOW, AGE_S_MAX) if rate is not None else None
    inputs = (law, *((case.rate_source,) if rate is not None else ()), *_cold_inputs(case, cold_start))
    if fits:
        return STEADY.settled(
            True, _cold_statement(cold_start, budget_ms), inputs=inputs, value=share, threshold=SHARE, flips=flips
        )
    if share is not None and (share <= SHARE or fits is False):
        return STEADY.at_most(
            share,
            SHARE,
            f"share of cold starts at {rate:,.3g} requests/s; {_cold_statement(cold_start, budget_ms)}",
            inputs=inputs,
            remedy=_provisioned(case, warm),
            flips=flips,
        )
    facts: list[str] = []
    if share is None:
        facts.append("the month's mean rate (observe a day, or give --rate)")
    if fits is None:
        facts.append("Init Duration on AWS")
    return STEADY.unknown(
        _cold_statement(cold_start, budget_ms),
        missing=tuple(facts),
        value=share,
        threshold=SHARE,
        inputs=inputs,
        condition=f"the month's mean rate is above {least_rate:.2g} requests/s" if least_rate < inf else "",
        flips=flips,
    )


def _scale_out(case: Case, budget_ms: float, cold_start: ColdStart) -> Finding:
    seen, warm = case.evidence.scale_out, case.evidence.warm_ms
    if seen is None:
        missing = ("a burst that starts environments",)
        return SCALE_OUT.unknown("no cold start was recorded", missing=missing, threshold=SHARE)
    inputs = (
        f"{seen.cold:,} cold of {seen.invocations:,} in the {SCALE_OUT_WINDOW_S:g} s with most cold starts ({RECORDS})",
        f"their p99 here: {seen.latency_p99_ms:,.0f} ms",
        *_cold_inputs(case, cold_start),
    )
    flips: tuple[Flip, ...] = ()
    if cold_start.least_ms is not None:
        flips = (
            Flip(
                "budget", cold_start.least_ms, "ms", f"worker if the p99 budget is under {cold_start.least_ms:,.0f} ms"
            ),
        )
    fits = cold_start.fits(budget_ms)
    statement = _cold_statement(cold_start, budget_ms)
    if fits or (fits is False) or seen.cold_share <= SHARE:
        passes = seen.cold_share <= SHARE or fits is True
        return SCALE_OUT.settled(
            passes,
            statement,
            inputs=inputs,
            value=seen.cold_share,
            threshold=SHARE,
            remedy=_provisioned(case, warm),
            flips=flips,
        )
    init_ms_max = budget_ms - (cold_start.first_ms or 0.0)
    return SCALE_OUT.unknown(
        statement,
        missing=("Init Duration on AWS: this machine's is another",),
        value=seen.cold_share,
        threshold=SHARE,
        inputs=inputs,
        remedy=_provisioned(case, warm),
        condition=f"its init phase on AWS takes {init_ms_max:,.0f} ms at most",
        flips=flips,
    )


def _cold_statement(cold_start: ColdStart, budget_ms: float) -> str:
    here = f"{cold_start.here_ms:,.0f} ms here" if cold_start.here_ms is not None else "not seen here"
    least = f"at least {cold_start.least_ms:,.0f} ms on AWS" if cold_start.least_ms is not None else "unknown on AWS"
    return f"a cold start takes {here}, {least}; the budget is {budget_ms:,.0f} ms"


def _cold_inputs(case: Case, cold_start: ColdStart) -> tuple[str, ...]:
    published = INIT_DURATIONS.get(case.work.runtime)
    if published is None or cold_start.first_ms is None:
        return ()
    init = f"init p99 of an empty {case.work.runtime} function on AWS {published.p99_ms:g} ms ({INIT_SOURCE})"
    return (f"{init} + first invocation {cold_start.first_ms:,.0f} ms",)


def _provisioned(case: Case, warm: Distribution | None) -> str:
    """Rule 14: the fewest provisioned environments that spill at most 1 % at the busiest second (Erlang B)."""
    peak = case.evidence.offered_peak_per_s
    if warm is None or peak is None:
        return "provisioned concurrency, or a worker"
    load = busy(peak, warm.mean / 1_000)
    count = servers_for_loss(load, SHARE)
    usd = provisioned_month_usd(count, case.work.memory_mb)
    return (
        f"a worker, or provisioned concurrency of {count} (Erlang B: at most 1 % spill over at {load:,.1f} busy; "
        f"${usd:,.2f} a month)"
    )

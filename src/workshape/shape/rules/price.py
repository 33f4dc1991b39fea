"""Rule 19: what a month costs in either shape."""

from collections.abc import Iterator

from workshape.shape.case import RECORDS, Case, enough, too_few
from workshape.shape.cost import (
    TASKS_MIN,
    UTILISATION_MAX,
    CostComparison,
    FunctionCost,
    WorkerCost,
    compare,
    worker_for,
)
from workshape.shape.evidence import Evidence, in_words
from workshape.shape.finding import Finding, Flip, Rule, Severity
from workshape.shape.lifecycle import INIT_DURATIONS
from workshape.shape.prices import AS_OF, REGION
from workshape.shape.work import WorkDescription

MONTH = "the month's mean rate (observe a day, or give --rate)"
COST = Rule(
    "19",
    "a function is the cheaper shape",
    Severity.PREFERENCE,
    f"https://aws.amazon.com/lambda/pricing/ and https://aws.amazon.com/fargate/pricing/ ({REGION}, {AS_OF})",
    "requests/s",
)


def price_findings(case: Case) -> Iterator[Finding]:
    """Rule 19."""
    costs, rate = case.costs, case.rate_per_s
    if costs is None:
        missing = (too_few("warm invocations", case.evidence.warm_ms),)
        yield COST.unknown("too little was measured to price it", missing=missing)
        return
    crossover = costs.crossover_rate_per_s
    inputs = (f"mean billed duration in the {RECORDS}", *costs.assumptions)
    if crossover is None:
        yield COST.settled(True, "the function is cheaper at any rate", inputs=inputs, value=rate)
        return
    words = f"{crossover:,.3g} requests/s"
    flip = Flip(
        "mean rate", crossover, "requests/s", f"function until {words} (mean of a month), then a worker is cheaper"
    )
    if rate is None:
        yield COST.unknown(
            f"a worker is cheaper from {words} on, held all month",
            missing=(MONTH,),
            threshold=crossover,
            inputs=inputs,
            condition=f"the month's mean rate stays under {words}",
            flips=(flip,),
        )
        return
    yield COST.at_most(
        rate,
        crossover,
        f"a worker is cheaper from {words} on; the {case.rate_source} is {rate:,.3g} requests/s",
        inputs=inputs,
        remedy="the worker is cheaper",
        flips=(flip,),
    )


def price(work: WorkDescription, evidence: Evidence) -> CostComparison | None:
    """Price both shapes of a function at the rates that mean something; None when too little was measured."""
    warm, window = enough(evidence.warm_ms), evidence.window
    if warm is None or window is None:
        return None
    init_ms, init_source = _init(work, evidence)
    function = FunctionCost(work.memory_mb, warm.mean, init_ms)
    worker = worker_for(work.memory_mb, warm.mean / 1_000, work.in_flight_per_slot or 1.0)
    rates = []
    if work.rate_per_s is not None:
        rates.append(("the declared mean rate", work.rate_per_s))
    if window.is_long:
        rates.append((f"the rate of these {in_words(window.seconds)}, held all month", window.rate_per_s))
    else:
        rates.append((f"the rate of these {in_words(window.seconds)}, if it were held all month", window.rate_per_s))
    return compare(function, worker, rates, _assumptions(work, worker, init_source))


def _init(work: WorkDescription, evidence: Evidence) -> tuple[float, str]:
    if evidence.init_ms is not None:
        return evidence.init_ms.mean, f"init phase {evidence.init_ms.mean:,.0f} ms, as measured here"
    published = INIT_DURATIONS.get(work.runtime)
    if published is not None:
        return published.p50_ms, f"init phase {published.p50_ms:,.0f} ms, an empty {work.runtime} function's on AWS"
    return 0.0, "init phase not known, left out"


def _assumptions(work: WorkDescription, worker: WorkerCost, init_source: str) -> tuple[str, ...]:
    many = f"{worker.in_flight:g} in flight a task"
    kind = (
        "declared"
        if work.in_flight_per_slot is not None
        else "as many as functions of this size fit in; more if it mostly waits"
    )
    return (
        f"function: {work.memory_mb:,} MB on x86, billed to the millisecond, {init_source}, cold starts by rate",
        f"worker: Fargate tasks of {worker.vcpu:g} vCPU and {worker.memory_gb:g} GB, {TASKS_MIN} at least, "
        f"at most {UTILISATION_MAX:.0%} busy, {many} ({kind})",
        "left out of both: API Gateway or load balancer, queues, logs, NAT, data transfer, free tiers",
    )

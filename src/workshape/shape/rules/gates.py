"""Rules 1 to 4: what a function cannot do, at any price."""

from collections.abc import Iterator

from workshape.functions.limits import (
    MEMORY_MB_MAX,
    SCALING_ENVIRONMENTS,
    SYNC_PAYLOAD_BYTES_MAX,
    TIMEOUT_S_MAX,
)
from workshape.shape.case import APP_FILE, NO_INVOCATION, RECORDS, Case, enough, too_few
from workshape.shape.evidence import TriggerEvidence
from workshape.shape.finding import Finding, Flip, Rule, Severity

HTTP_API_S_MAX = 30.0
"""https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-quotas.html"""
SHARE_OF_LIMIT = 0.8
"""The rest is for the day on which the work is slower than it ever was."""
QUOTAS = "https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html"

DURATION = Rule("1", "duration within the limit", Severity.GATE, QUOTAS, "s")
MEMORY = Rule("2a", "memory within the limit", Severity.GATE, QUOTAS, "MB")
PAYLOAD = Rule("2b", "payload within the limit", Severity.GATE, QUOTAS, "bytes")
STATE = Rule("2c", "no state between events, no inbound sockets", Severity.ASSUMPTION, QUOTAS)
CONCURRENCY = Rule(
    "3a",
    "concurrency within the quota",
    Severity.GATE,
    "https://docs.aws.amazon.com/lambda/latest/dg/lambda-concurrency.html",
    "environments",
)
RAMP = Rule(
    "3b",
    "ramp within the scaling rate",
    Severity.GATE,
    "https://docs.aws.amazon.com/lambda/latest/dg/scaling-behavior.html",
    "environments per 10 s",
)
COORDINATION = Rule(
    "4",
    "no offsets of its own, no coordinated steps",
    Severity.ASSUMPTION,
    "https://docs.aws.amazon.com/lambda/latest/dg/invocation-eventsourcemapping.html",
)


def gate_findings(case: Case) -> Iterator[Finding]:
    """Rules 1 to 4."""
    yield from _duration(case)
    yield _memory(case)
    yield _payload(case)
    yield _state(case)
    yield _concurrency(case)
    yield _ramp(case)
    yield _coordination(case)


def _duration(case: Case) -> Iterator[Finding]:
    if not case.evidence.triggers:
        yield DURATION.unknown("how long it takes was not recorded", missing=(NO_INVOCATION,))
    for trigger in case.evidence.triggers:
        yield _duration_through(case, trigger)


def _duration_through(case: Case, trigger: TriggerEvidence) -> Finding:
    limit_s, limit_name = _limit(case, trigger.trigger)
    threshold_s = SHARE_OF_LIMIT * limit_s
    durations = enough(trigger.durations_ms)
    if durations is None:
        missing = (too_few("invocations", trigger.durations_ms),)
        return DURATION.unknown("too few invocations", missing=missing, threshold=threshold_s, scope=trigger.trigger)
    value_s, inputs = durations.quantile(0.999) / 1_000, [f"{durations.describe(0.999)} durations in the {RECORDS}"]
    batch = max((queue.batch_size for queue in case.work.queues), default=1)
    if trigger.trigger == "sqs" and trigger.per_item_ms is not None:
        value_s = max(value_s, trigger.per_item_ms.quantile(0.999) / 1_000 * batch)
        inputs.append(f"duration an item x batch size {batch}")
    inputs.append(limit_name)
    if trigger.timeouts and value_s >= case.work.timeout_s and value_s <= threshold_s:
        return DURATION.unknown(
            f"{trigger.timeouts:,} invocations were ended at the function's own timeout of {case.work.timeout_s:g} s",
            missing=(f"how long they would have taken: raise timeout_s to {limit_s:g} and measure again",),
            value=value_s,
            threshold=threshold_s,
            inputs=tuple(inputs),
            scope=trigger.trigger,
        )
    flip = Flip("p99.9 duration", threshold_s, "s", f"function while p99.9 x batch stays within {threshold_s:g} s")
    whole = " of a full batch" if batch > 1 and trigger.trigger == "sqs" else ""
    return DURATION.at_most(
        value_s,
        threshold_s,
        f"the p99.9 duration{whole} is {value_s:,.3g} s; 80 % of {limit_name} are {threshold_s:g} s",
        inputs=tuple(inputs),
        remedy="do it in a worker, or cut it into smaller steps",
        scope=trigger.trigger,
        flips=(flip,),
    )


def _limit(case: Case, trigger: str) -> tuple[float, str]:
    if trigger == "http":
        limit_s = min((HTTP_API_S_MAX, *case.work.route_timeouts_s))
        return limit_s, f"the HTTP API's {limit_s:g} s"
    return float(TIMEOUT_S_MAX), f"Lambda's {TIMEOUT_S_MAX} s"


def _memory(case: Case) -> Finding:
    peak = case.evidence.memory_mb_peak
    if peak is None:
        return MEMORY.unknown("memory was not recorded", missing=(NO_INVOCATION,), threshold=MEMORY_MB_MAX)
    if peak <= 0:
        return MEMORY.unknown("memory was not recorded", missing=("max_memory_mb",), threshold=MEMORY_MB_MAX)
    if peak >= case.work.memory_mb and case.work.memory_mb < MEMORY_MB_MAX:
        return MEMORY.unknown(
            f"it used all of its {case.work.memory_mb:,} MB",
            missing=("how much it would take: raise memory_mb and measure again",),
            value=peak,
            threshold=MEMORY_MB_MAX,
            inputs=(f"largest max_memory_mb in the {RECORDS}",),
        )
    return MEMORY.at_most(
        peak,
        MEMORY_MB_MAX,
        "most memory used by any environment",
        inputs=(f"largest max_memory_mb in the {RECORDS}",),
        remedy="a worker may have more",
    )


def _payload(case: Case) -> Finding:
    peak = case.evidence.payload_bytes_peak
    if peak is None:
        missing = (NO_INVOCATION,)
        return PAYLOAD.unknown("payloads were not recorded", missing=missing, threshold=SYNC_PAYLOAD_BYTES_MAX)
    return PAYLOAD.at_most(
        peak,
        SYNC_PAYLOAD_BYTES_MAX,
        "largest event or response",
        inputs=(f"largest request_bytes or response_bytes in the {RECORDS}",),
        remedy="pass a reference to S3, or use a worker",
    )


def _state(case: Case) -> Finding:
    if case.work.holds_state is None:
        return STATE.unknown(
            "no record shows what is kept in memory between events",
            missing=("whether losing an environment's memory loses anything",),
            condition="it keeps nothing in memory that must outlive an event, and accepts no connections",
        )
    return STATE.settled(
        not case.work.holds_state,
        "declared",
        inputs=("declared: holds_state",),
        remedy="keep the state elsewhere, or use a worker",
    )


def _concurrency(case: Case) -> Finding:
    evidence, around = case.evidence, case.surroundings
    reserved = case.work.reserved_concurrency or 0
    available = around.account_concurrency - (around.reserved_concurrency_total - reserved)
    warm = enough(evidence.warm_ms)
    if evidence.concurrency_peak is None:
        return CONCURRENCY.unknown("concurrency was not recorded", missing=(NO_INVOCATION,), threshold=available)
    required, inputs = float(evidence.concurrency_peak), [f"most environments busy at once in the {RECORDS}"]
    if evidence.throttled:
        if warm is None or evidence.offered_peak_per_s is None:
            missing = (too_few("warm invocations, to say what the throttled ones needed", evidence.warm_ms),)
            return CONCURRENCY.unknown(
                f"{evidence.throttled:,} were throttled", missing=missing, value=required, threshold=available
            )
        offered = evidence.offered_peak_per_s * warm.mean / 1_000
        required = max(required, offered)
        inputs.append(f"busiest second's arrivals x mean duration, with {evidence.throttled:,} throttled")
    inputs.append(f"account quota {around.account_concurrency:,} less the reservations of others ({APP_FILE})")
    flips: tuple[Flip, ...] = ()
    if warm is not None and warm.mean > 0:
        rate = available / (warm.mean / 1_000)
        flips = (
            Flip("peak rate", rate, "requests/s", f"function until a peak of {rate:,.0f} requests/s (rate x duration)"),
        )
    return CONCURRENCY.at_most(
        required,
        available,
        "environments busy at once, at the peak seen",
        inputs=tuple(inputs),
        remedy="ask AWS for a higher quota, or use a worker",
        flips=flips,
    )


def _ramp(case: Case) -> Finding:
    starts = case.evidence.starts_peak
    if starts is None:
        missing = (NO_INVOCATION,)
        return RAMP.unknown("environment starts were not recorded", missing=missing, threshold=SCALING_ENVIRONMENTS)
    return RAMP.at_most(
        starts,
        SCALING_ENVIRONMENTS,
        "environments started within 10 s, at most",
        inputs=(f"init phases in the {RECORDS}",),
        remedy="provisioned concurrency before the burst, or a worker",
    )


def _coordination(case: Case) -> Finding:
    sources = "its sources (queues, HTTP, direct calls) have no offsets"
    if case.work.coordinates is None:
        return COORDINATION.unknown(
            f"{sources}; no record shows whether its steps must be one process's",
            missing=("whether it coordinates steps, such as a reindex with an alias swap",),
            inputs=(f"sources in the {APP_FILE}",),
            condition="no step of it must be coordinated with others (a reindex with an alias swap)",
        )
    return COORDINATION.settled(
        not case.work.coordinates, "declared", inputs=("declared: coordinates",), remedy="use a worker"
    )

"""What must hold for every verdict: no fact's absence helps, and equal evidence gives equal bytes."""

from dataclasses import replace
from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from workshape.functions.batch_items import BatchItemFact, ItemOutcome
from workshape.shape.evidence import Evidence, gather_evidence
from workshape.shape.finding import Outcome
from workshape.shape.observations import ConnectionSample, Observation
from workshape.shape.report.document import write_report
from workshape.shape.report.json import encode_report
from workshape.shape.verdict import Shape, Verdict, judge
from workshape.shape.work import Profile, QueueSource, Surroundings, WorkDescription

observations = st.lists(
    st.builds(
        Observation,
        time=st.floats(0, 200_000),
        function=st.just("work"),
        trigger=st.sampled_from(["http", "sqs", "api"]),
        duration_ms=st.floats(1, 60_000),
        memory_mb=st.just(256),
        max_memory_mb=st.sampled_from([0, 90, 256]),
        timeout_s=st.just(10.0),
        status=st.sampled_from(["success", "success", "error", "timeout", "throttled"]),
        request_bytes=st.sampled_from([10, 7_000_000]),
        response_bytes=st.just(10),
        init_ms=st.one_of(st.none(), st.floats(50, 3_000)),
        batch_items=st.one_of(st.none(), st.just(10)),
        batch_failures=st.one_of(st.none(), st.integers(0, 10)),
        concurrency=st.integers(1, 1_200),
        environments=st.integers(1, 1_200),
    ),
    max_size=80,
)
facts = st.lists(
    st.builds(
        BatchItemFact,
        time=st.floats(0, 1_000),
        function=st.just("work"),
        source=st.just("queue"),
        request_id=st.sampled_from(["a", "b", "c"]),
        message_id=st.sampled_from(["m1", "m2", "m3"]),
        content_hash=st.sampled_from(["h1", "h2"]),
        receive_count=st.integers(1, 5),
        outcome=st.sampled_from(list(ItemOutcome)),
    ),
    max_size=20,
)
samples = st.lists(
    st.builds(
        ConnectionSample, time=st.floats(0, 200_000), connections=st.integers(1, 100), max_connections=st.just(100)
    ),
    max_size=20,
)
declared = st.one_of(st.none(), st.booleans())
works = st.builds(
    WorkDescription,
    name=st.just("work"),
    runtime=st.sampled_from(["nodejs22.x", "provided.al2023"]),
    memory_mb=st.just(256),
    timeout_s=st.just(10),
    reserved_concurrency=st.one_of(st.none(), st.just(40)),
    queues=st.sampled_from([(), (QueueSource("queue", 10, 0, True, 60, 10, 5),)]),
    database=st.sampled_from([None, "proxy", "direct"]),
    latency_p99_ms=st.one_of(st.none(), st.floats(50, 5_000)),
    rate_per_s=st.one_of(st.none(), st.floats(0.001, 1_000)),
    pool_size=st.one_of(st.none(), st.integers(1, 20)),
    is_idempotent=declared,
    holds_state=declared,
    coordinates=declared,
)
arounds = st.builds(
    Surroundings,
    account_concurrency=st.just(1_000),
    reserved_concurrency_total=st.just(40),
    max_connections=st.one_of(st.none(), st.just(100)),
    borrow_timeout_s=st.one_of(st.none(), st.just(120.0), st.just(5.0)),
    idle_client_timeout_s=st.one_of(st.none(), st.just(1_800.0), st.just(60.0)),
    profile=st.sampled_from(list(Profile)),
)
WORK_FACTS = ("latency_p99_ms", "rate_per_s", "pool_size", "is_idempotent", "holds_state", "coordinates")
AROUND_FACTS = ("max_connections", "borrow_timeout_s", "idle_client_timeout_s")
EVIDENCE_FACTS = (
    "window",
    "warm_ms",
    "warm_latency_ms",
    "cold_latency_ms",
    "init_ms",
    "scale_out",
    "concurrency_peak",
    "offered_peak_per_s",
    "starts_peak",
    "environments_peak",
    "memory_mb_peak",
    "payload_bytes_peak",
    "batches",
    "items",
    "connections",
)


def _outcomes(verdict: Verdict) -> dict[str, Outcome]:
    return {f"{finding.rule} {finding.scope}": finding.outcome for finding in verdict.findings}


def _without(evidence: Evidence, fact: str) -> Evidence:
    gone: dict[str, Any] = {fact: None}
    return replace(evidence, **gone)


@settings(max_examples=150, deadline=None)
@given(
    work=works,
    around=arounds,
    seen=observations,
    items=facts,
    counts=samples,
    fact=st.sampled_from((*WORK_FACTS, *AROUND_FACTS, *EVIDENCE_FACTS)),
)
def test_removing_a_fact_never_makes_a_rule_pass(
    work: WorkDescription,
    around: Surroundings,
    seen: list[Observation],
    items: list[BatchItemFact],
    counts: list[ConnectionSample],
    fact: str,
) -> None:
    evidence = gather_evidence(work, seen, items, counts)
    before = _outcomes(judge(work, evidence, around))
    gone: dict[str, Any] = {fact: None}

    if fact in WORK_FACTS:
        after = _outcomes(judge(replace(work, **gone), evidence, around))
    elif fact in AROUND_FACTS:
        after = _outcomes(judge(work, evidence, replace(around, **gone)))
    else:
        after = _outcomes(judge(work, _without(evidence, fact), around))

    assert not [
        rule for rule, outcome in after.items() if outcome is Outcome.PASS and before.get(rule) is not Outcome.PASS
    ]


@settings(max_examples=30, deadline=None)
@given(work=works, around=arounds, seen=observations, items=facts, counts=samples)
def test_equal_evidence_gives_equal_json_whatever_its_order(
    work: WorkDescription,
    around: Surroundings,
    seen: list[Observation],
    items: list[BatchItemFact],
    counts: list[ConnectionSample],
) -> None:
    seen = [msgspec.structs.replace(one, request_id=str(number)) for number, one in enumerate(seen)]

    def report(observed: list[Observation]) -> bytes:
        verdict = judge(work, gather_evidence(work, observed, items, counts), around)
        return encode_report(write_report("app", around.profile.value, [verdict]))

    first, again = report(seen), report(seen[::-1])

    assert first == again
    assert msgspec.json.decode(first)["schema"] == "workshape.verdict/1"


@settings(max_examples=40, deadline=None)
@given(work=works, around=arounds, seen=observations)
def test_a_verdict_is_never_given_on_an_unknown_gate(
    work: WorkDescription, around: Surroundings, seen: list[Observation]
) -> None:
    verdict = judge(work, gather_evidence(work, seen), around)

    if verdict.shape is Shape.UNKNOWN:
        assert verdict.missing
    if verdict.shape is Shape.FUNCTION:
        assert not [one for one in verdict.findings if one.severity.value == "gate" and one.outcome is not Outcome.PASS]
    if verdict.shape is Shape.WORKER:
        assert all(finding.outcome is Outcome.FAIL for finding in verdict.decisive)

"""Each rule passes, fails and knows what it does not know."""

from dataclasses import replace

import msgspec
import pytest

from workshape.functions.batch_items import BatchItemFact, ItemOutcome
from workshape.shape.evidence import gather_evidence
from workshape.shape.finding import Finding, Outcome
from workshape.shape.observations import ConnectionSample, Observation
from workshape.shape.verdict import Shape, Verdict, judge
from workshape.shape.work import Profile, QueueSource, Surroundings, WorkDescription

PASS, FAIL, UNKNOWN, SKIP = Outcome.PASS, Outcome.FAIL, Outcome.UNKNOWN, Outcome.NOT_APPLICABLE
AROUND = Surroundings(
    account_concurrency=1_000,
    reserved_concurrency_total=40,
    max_connections=100,
    borrow_timeout_s=5.0,
    idle_client_timeout_s=1_800.0,
)
WORK = WorkDescription(
    name="search", runtime="nodejs22.x", memory_mb=256, timeout_s=10, reserved_concurrency=40, latency_p99_ms=800.0
)
QUEUE = QueueSource(
    queue="events",
    batch_size=10,
    batch_window_s=0,
    report_batch_item_failures=True,
    visibility_timeout_s=60,
    concurrency_max=10,
    receive_count_max=5,
)
EVENTS = replace(WORK, queues=(QUEUE,), latency_p99_ms=None)


def _one(number: int = 0, **changes: object) -> Observation:
    one = Observation(
        time=1_000.0 + number,
        function="search",
        trigger="http",
        duration_ms=100.0,
        memory_mb=256,
        max_memory_mb=90,
        timeout_s=10,
        status="success",
        request_bytes=100,
        response_bytes=200,
        concurrency=2,
        environments=3,
        request_id=f"r{number:05}",
    )
    return msgspec.structs.replace(one, **changes)


def _many(count: int = 100, **changes: object) -> list[Observation]:
    return [_one(number, **changes) for number in range(count)]


def _batches(count: int = 40, **changes: object) -> list[Observation]:
    return _many(count, **{"trigger": "sqs", "batch_items": 10, "batch_failures": 0} | changes)


def _judge(
    work: WorkDescription,
    observations: list[Observation],
    facts: tuple[BatchItemFact, ...] = (),
    samples: tuple[ConnectionSample, ...] = (),
    around: Surroundings = AROUND,
) -> Verdict:
    return judge(work, gather_evidence(work, observations, facts, samples), around)


def _rule(verdict: Verdict, number: str) -> Finding:
    found = [finding for finding in verdict.findings if finding.rule == number]
    assert len(found) == 1
    return found[0]


def _samples(connections: int, maximum: int = 100) -> tuple[ConnectionSample, ...]:
    return tuple(
        ConnectionSample(time=1_000.0 + tick, connections=min(connections, 2 + tick), max_connections=maximum)
        for tick in range(100)
    )


def test_every_unknown_names_what_is_missing_and_every_rule_its_source() -> None:
    verdict = _judge(replace(EVENTS, database="direct"), [])

    assert all(finding.source for finding in verdict.findings)
    assert all(finding.missing for finding in verdict.findings if finding.outcome is UNKNOWN)
    assert verdict.shape is Shape.UNKNOWN
    assert verdict.missing == ("invocations: none was recorded",)


def test_rule_1_is_about_the_limit_of_each_way_in() -> None:
    slow = _many(60, duration_ms=25_000.0, timeout_s=60)
    work = replace(WORK, timeout_s=60, route_timeouts_s=(30,))

    assert _rule(_judge(work, _many(60, timeout_s=60)), "1").outcome is PASS
    failed = _judge(work, slow)
    assert _rule(failed, "1").outcome is FAIL
    assert _rule(failed, "1").threshold == 24.0
    assert failed.shape is Shape.WORKER
    assert _rule(_judge(work, _many(29, timeout_s=60)), "1").outcome is UNKNOWN


def test_rule_1_takes_a_full_batch() -> None:
    work = replace(EVENTS, timeout_s=900)

    verdict = _judge(work, _batches(40, batch_items=1, duration_ms=80_000.0, timeout_s=900))

    assert _rule(verdict, "1").value == 800.0
    assert _rule(verdict, "1").outcome is FAIL


def test_work_too_slow_for_http_but_not_for_a_queue_is_split() -> None:
    work = replace(WORK, timeout_s=300, queues=(QUEUE,), route_timeouts_s=(30,))
    http = _many(60, duration_ms=28_000.0, timeout_s=300)
    queued = [_one(100 + number, trigger="sqs", batch_items=10, timeout_s=300) for number in range(60)]

    verdict = _judge(work, http + queued)

    assert verdict.shape is Shape.SPLIT
    assert [finding.scope for finding in verdict.decisive] == ["http"]


def test_rule_1_does_not_guess_what_a_timeout_cut_off() -> None:
    verdict = _judge(WORK, _many(60, duration_ms=10_000.0, status="timeout"))

    assert _rule(verdict, "1").outcome is UNKNOWN
    assert verdict.shape is Shape.UNKNOWN


def test_rule_2_does_not_guess_how_much_memory_it_would_take() -> None:
    assert _rule(_judge(WORK, _many()), "2a").outcome is PASS
    assert _rule(_judge(WORK, _many(max_memory_mb=256)), "2a").outcome is UNKNOWN
    large = replace(WORK, memory_mb=10_240)
    assert _rule(_judge(large, _many(memory_mb=10_240, max_memory_mb=10_300)), "2a").outcome is FAIL


def test_rule_2_bounds_payloads() -> None:
    assert _rule(_judge(WORK, _many()), "2b").outcome is PASS
    assert _rule(_judge(WORK, _many(response_bytes=7_000_000)), "2b").outcome is FAIL


def test_rules_2_and_4_have_parts_that_only_the_owner_knows() -> None:
    asked, told = _judge(WORK, _many()), _judge(replace(WORK, holds_state=True, coordinates=False), _many())

    assert (_rule(asked, "2c").outcome, _rule(asked, "4").outcome) == (UNKNOWN, UNKNOWN)
    assert any("rule 2c" in condition for condition in asked.conditions)
    assert (_rule(told, "2c").outcome, _rule(told, "4").outcome) == (FAIL, PASS)
    assert told.shape is Shape.WORKER


def test_rule_3_counts_what_throttled_invocations_would_have_needed() -> None:
    throttled = [_one(200, request_id=f"t{number}", status="throttled", duration_ms=0.0) for number in range(9_700)]

    verdict = _judge(WORK, _many() + throttled)

    assert _rule(verdict, "3a").value == pytest.approx(970.0)
    assert _rule(verdict, "3a").outcome is PASS
    others = replace(AROUND, reserved_concurrency_total=100)
    assert _rule(_judge(WORK, _many() + throttled, around=others), "3a").outcome is FAIL
    assert _rule(verdict, "18f").outcome is FAIL


def test_rule_3_bounds_the_ramp() -> None:
    def cold(count: int) -> list[Observation]:
        return [
            _one(0, request_id=f"c{number}", init_ms=100.0, time=1_000.0 + number / 1_000) for number in range(count)
        ]

    assert _rule(_judge(WORK, cold(1_000)), "3b").outcome is PASS
    assert _rule(_judge(WORK, cold(1_001)), "3b").outcome is FAIL


def _facts(*, fails: bool, duplicates: int = 3) -> tuple[BatchItemFact, ...]:
    def fact(time: float, message: str, content: str, receives: int, outcome: ItemOutcome) -> BatchItemFact:
        return BatchItemFact(
            time=time,
            function="search",
            source="events",
            request_id=f"r{int(time):05}",
            message_id=message,
            content_hash=content,
            receive_count=receives,
            outcome=outcome,
        )

    facts = [fact(1.0, f"m{number}", f"h{number}", 1, ItemOutcome.SUCCEEDED) for number in range(10)]
    for number in range(duplicates):
        outcome = ItemOutcome.REPORTED if fails else ItemOutcome.SUCCEEDED
        facts += [fact(2.0 + receives, f"d{number}", f"h{number}", receives, outcome) for receives in range(1, 6)]
    return tuple(facts)


def test_rule_8_sees_duplicates_reported_as_failures() -> None:
    assert _rule(_judge(EVENTS, _batches(), _facts(fails=True)), "8a").outcome is FAIL
    assert _rule(_judge(EVENTS, _batches(), _facts(fails=False)), "8a").outcome is PASS
    assert _rule(_judge(EVENTS, _batches(), _facts(fails=True, duplicates=0)), "8a").outcome is UNKNOWN
    assert _rule(_judge(EVENTS, _batches()), "8a").outcome is UNKNOWN
    assert _rule(_judge(WORK, _many()), "8a").outcome is SKIP
    assert "such as message d0" in _rule(_judge(EVENTS, _batches(), _facts(fails=True)), "8a").statement


def test_rule_8_asks_whether_doing_it_twice_does_harm() -> None:
    assert _rule(_judge(EVENTS, _batches()), "8b").outcome is UNKNOWN
    assert _rule(_judge(replace(EVENTS, is_idempotent=True), _batches()), "8b").outcome is PASS


def test_rule_9_wants_partial_responses_configured_and_returned() -> None:
    unconfigured = replace(EVENTS, queues=(replace(QUEUE, report_batch_item_failures=False),))
    single = replace(EVENTS, queues=(replace(QUEUE, batch_size=1),))

    assert _rule(_judge(unconfigured, _batches()), "9").outcome is FAIL
    assert _rule(_judge(single, _batches()), "9").outcome is SKIP
    assert _rule(_judge(EVENTS, _batches()), "9").outcome is UNKNOWN
    assert _rule(_judge(EVENTS, _batches(batch_items=None)), "9").outcome is UNKNOWN
    assert _rule(_judge(EVENTS, _batches(batch_failures=2)), "9").outcome is PASS
    assert _rule(_judge(EVENTS, _batches(batch_failures=10, status="error")), "9").outcome is FAIL


def test_rule_9_sees_a_response_that_is_none() -> None:
    facts = tuple(
        BatchItemFact(
            time=1_001.0,
            function="search",
            source="events",
            request_id="r00001",
            message_id=f"m{number}",
            content_hash=f"h{number}",
            receive_count=1,
            outcome=ItemOutcome.BATCH_FAILED,
        )
        for number in range(10)
    )

    verdict = _judge(EVENTS, _batches(batch_failures=2), facts)

    assert _rule(verdict, "9").outcome is FAIL
    assert _rule(verdict, "9").value == 1


@pytest.mark.parametrize(("visibility_s", "outcome"), [(60, PASS), (59, FAIL)])
def test_rule_10_wants_six_timeouts_of_visibility(visibility_s: int, outcome: Outcome) -> None:
    work = replace(EVENTS, queues=(replace(QUEUE, visibility_timeout_s=visibility_s),))

    assert _rule(_judge(work, _batches()), "10a").outcome is outcome


def test_rule_10_adds_the_batch_window() -> None:
    work = replace(EVENTS, queues=(replace(QUEUE, batch_window_s=5),))

    assert _rule(_judge(work, _batches()), "10a").threshold == 65


@pytest.mark.parametrize(("receives", "outcome"), [(5, PASS), (4, FAIL), (None, FAIL)])
def test_rule_10_wants_five_receives(receives: int | None, outcome: Outcome) -> None:
    work = replace(EVENTS, queues=(replace(QUEUE, receive_count_max=receives),))

    assert _rule(_judge(work, _batches()), "10b").outcome is outcome


@pytest.mark.parametrize(("most", "outcome"), [(40, PASS), (41, FAIL), (None, FAIL)])
def test_rule_10_wants_no_more_batches_than_reserved_environments(most: int | None, outcome: Outcome) -> None:
    work = replace(EVENTS, queues=(replace(QUEUE, concurrency_max=most),))

    assert _rule(_judge(work, _batches()), "10c").outcome is outcome
    assert _rule(_judge(replace(work, reserved_concurrency=None), _batches()), "10c").outcome is SKIP


def _with_cold(init_ms: float) -> list[Observation]:
    return _many(100) + [_one(200, request_id=f"c{number}", init_ms=init_ms, queued_ms=init_ms) for number in range(10)]


def test_rule_13_passes_when_even_a_cold_start_is_within_the_budget() -> None:
    verdict = _judge(WORK, _with_cold(300.0))

    assert [_rule(verdict, rule).outcome for rule in ("13a", "13b", "13c")] == [PASS, PASS, PASS]


def test_rule_13_does_not_hold_a_wait_for_a_starting_environment_against_the_work() -> None:
    waited = [_one(300, request_id=f"w{number}", queued_ms=5_000.0) for number in range(50)]

    verdict = _judge(WORK, _many(100) + waited)

    assert _rule(verdict, "13a").outcome is PASS


def test_rule_13_does_not_take_this_machine_for_aws() -> None:
    verdict = _judge(WORK, _with_cold(2_000.0))

    assert _rule(verdict, "13c").outcome is UNKNOWN
    assert _rule(verdict, "13c").missing == ("Init Duration on AWS: this machine's is another",)
    assert _rule(verdict, "13c").condition == "its init phase on AWS takes 700 ms at most"
    assert verdict.shape is Shape.FUNCTION


def test_rule_13_fails_when_the_fastest_cold_start_of_aws_is_too_slow() -> None:
    verdict = _judge(replace(WORK, latency_p99_ms=250.0), _with_cold(300.0))

    assert _rule(verdict, "13c").outcome is FAIL
    assert "provisioned concurrency of" in _rule(verdict, "13c").remedy
    assert verdict.shape is Shape.WORKER


def test_rule_13_fails_where_the_work_itself_is_too_slow() -> None:
    verdict = _judge(replace(WORK, latency_p99_ms=90.0), _many())

    assert _rule(verdict, "13a").outcome is FAIL
    assert "neither shape helps" in _rule(verdict, "13a").remedy


def test_rule_13_needs_a_budget_unless_nobody_waits() -> None:
    assert _rule(_judge(replace(WORK, latency_p99_ms=None), _many()), "13a").outcome is UNKNOWN
    assert _rule(_judge(EVENTS, _batches()), "13a").outcome is SKIP


def test_rule_13_predicts_the_share_of_cold_starts_at_a_steady_rate() -> None:
    observations = _with_cold(2_000.0)

    often = _judge(replace(WORK, rate_per_s=1.0), observations)
    rarely = _judge(replace(WORK, rate_per_s=0.001, latency_p99_ms=250.0), observations)

    assert _rule(often, "13b").outcome is PASS
    assert _rule(often, "13b").value == pytest.approx(0.0007, abs=1e-5)
    assert _rule(rarely, "13b").outcome is FAIL


def test_rule_16_compares_connections_with_the_databases_own_limit() -> None:
    direct = replace(WORK, database="direct")

    assert _rule(_judge(direct, _many(), samples=_samples(80)), "16").outcome is PASS
    failed = _rule(_judge(direct, _many(environments=40), samples=_samples(81)), "16")
    assert failed.outcome is FAIL
    assert failed.threshold == 80
    assert failed.margin == pytest.approx(-1 / 80)
    assert _rule(_judge(WORK, _many(), samples=_samples(81)), "16").outcome is SKIP


def test_rule_16_without_samples_knows_only_the_worst() -> None:
    direct = replace(WORK, database="direct")

    assert _rule(_judge(direct, _many(environments=81)), "16").outcome is FAIL
    assert _rule(_judge(direct, _many(environments=80)), "16").outcome is UNKNOWN
    assert _rule(_judge(replace(WORK, database="proxy"), _many(environments=81)), "16").outcome is UNKNOWN


def test_rule_17_follows_the_profile() -> None:
    direct, proxied = replace(WORK, database="direct"), replace(WORK, database="proxy")
    evidence = replace(AROUND, profile=Profile.EVIDENCE)

    assert _rule(_judge(direct, _many(), samples=_samples(10)), "17").outcome is FAIL
    assert _rule(_judge(proxied, _many()), "17").outcome is PASS
    assert _rule(_judge(direct, _many(), samples=_samples(10), around=evidence), "17").outcome is PASS
    assert _rule(_judge(direct, _many(), samples=_samples(90), around=evidence), "17").outcome is FAIL
    assert _rule(_judge(direct, _many(), around=evidence), "17").outcome is UNKNOWN


def test_rule_17_says_when_the_proxy_is_unnecessary() -> None:
    verdict = _judge(replace(WORK, database="proxy"), _many(), samples=_samples(10))

    assert any("unnecessary if reserved concurrency <= 78" in flip.statement for flip in verdict.flips)


def test_rule_18_finds_settings_that_will_hurt() -> None:
    proxied = replace(WORK, database="proxy")
    defaults = replace(AROUND, borrow_timeout_s=120.0, idle_client_timeout_s=600.0)

    good, bad = _judge(proxied, _many()), _judge(proxied, _many(max_memory_mb=240), around=defaults)

    assert [_rule(good, rule).outcome for rule in ("18b", "18c", "18e", "18h")] == [PASS] * 4
    assert [_rule(bad, rule).outcome for rule in ("18b", "18c", "18h")] == [FAIL] * 3
    assert _rule(_judge(proxied, _many(), around=replace(AROUND, borrow_timeout_s=None)), "18b").outcome is UNKNOWN
    unreserved = replace(proxied, reserved_concurrency=None)
    assert _rule(_judge(unreserved, _many()), "18e").outcome is FAIL
    assert _rule(_judge(proxied, _many(duration_ms=8_001.0)), "18g").outcome is FAIL


def test_rule_18_sees_pools_that_are_too_large() -> None:
    direct = replace(WORK, database="direct")

    assert _rule(_judge(direct, _many(environments=30), samples=_samples(32)), "18a").outcome is UNKNOWN
    assert _rule(_judge(replace(direct, pool_size=1), _many()), "18a").outcome is PASS
    assert _rule(_judge(direct, _many(environments=10), samples=_samples(32)), "18a").outcome is FAIL
    assert _rule(_judge(replace(direct, pool_size=10), _many()), "18a").outcome is FAIL


def test_rule_19_does_not_take_a_burst_for_a_month() -> None:
    burst = _judge(WORK, _many())

    assert _rule(burst, "19").outcome is UNKNOWN
    assert any("the month's mean rate stays under" in condition for condition in burst.conditions)
    assert burst.case.evidence.cautions == ("observed for 99.1 s only: a burst is not a month",)
    assert burst.case.costs is not None
    assert burst.case.costs.rows[0].assumption == "the rate of these 99.1 s, if it were held all month"


def test_rule_19_takes_the_rate_that_is_declared_or_was_observed_for_a_day() -> None:
    days = [_one(number, time=1_000.0 + number * 900.0) for number in range(100)]

    assert _rule(_judge(replace(WORK, rate_per_s=1.0), _many()), "19").outcome is PASS
    dear = _judge(replace(WORK, rate_per_s=50.0), _many())
    assert _rule(dear, "19").outcome is FAIL
    assert dear.shape is Shape.WORKER
    assert _rule(_judge(WORK, days), "19").outcome is PASS
    assert _rule(_judge(WORK, _many(20)), "19").outcome is UNKNOWN


def test_records_of_another_configuration_are_set_aside() -> None:
    verdict = _judge(WORK, _many(40) + _many(7, memory_mb=512, duration_ms=9_999.0))

    assert verdict.case.evidence.set_aside == 7
    assert verdict.case.evidence.window is not None
    assert verdict.case.evidence.window.invocations == 40
    assert any("7 older records" in caution for caution in verdict.case.evidence.cautions)

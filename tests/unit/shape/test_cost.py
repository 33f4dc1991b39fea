"""Costs, checked by hand."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workshape.shape.cost import (
    MONTH_S,
    FunctionCost,
    WorkerCost,
    crossover_rate,
    provisioned_month_usd,
    proxy_month_usd,
    worker_for,
)


def test_a_function_costs_its_requests_and_its_gigabyte_seconds() -> None:
    function = FunctionCost(memory_mb=1_024, warm_ms=100.0, init_ms=0.0)

    usd = function.month_usd(10.0)

    assert usd == pytest.approx(10 * MONTH_S * (2e-7 + 0.1 * 1.66667e-5))


def test_the_init_phase_is_billed_at_the_share_of_cold_starts() -> None:
    rarely = FunctionCost(memory_mb=1_024, warm_ms=100.0, init_ms=1_000.0)

    assert rarely.billed_s(0.001) == pytest.approx(0.1 + 0.529, abs=0.001)
    assert rarely.billed_s(10.0) == pytest.approx(0.1, abs=0.001)


def test_large_bills_reach_the_cheaper_tiers() -> None:
    function = FunctionCost(memory_mb=10_240, warm_ms=1_000.0, init_ms=0.0)
    rate = 16e9 / (10 * MONTH_S)  # 16e9 GB-s a month

    usd = function.month_usd(rate)

    requests = rate * MONTH_S * 2e-7
    assert usd - requests == pytest.approx(6e9 * 1.66667e-5 + 9e9 * 1.5e-5 + 1e9 * 1.33334e-5, rel=1e-3)


def test_a_worker_has_two_tasks_at_least() -> None:
    worker = worker_for(memory_mb=256, duration_s=0.1, in_flight_per_slot=1.0)

    assert (worker.vcpu, worker.memory_gb) == (0.25, 0.5)
    assert worker.tasks(0.0) == 2
    assert worker.month_usd(0.0) == pytest.approx(2 * 730 * (0.25 * 0.04048 + 0.5 * 0.004445))


def test_a_worker_is_as_large_as_the_function_it_replaces() -> None:
    worker = worker_for(memory_mb=3_008, duration_s=0.1, in_flight_per_slot=1.0)

    assert worker.vcpu >= 3_008 / 1_769
    assert worker.memory_gb * 1_024 >= 3_008


def test_work_that_waits_needs_fewer_tasks() -> None:
    waits = worker_for(memory_mb=256, duration_s=0.1, in_flight_per_slot=10.0)

    assert waits.tasks(200.0) == 3
    assert worker_for(memory_mb=256, duration_s=0.1, in_flight_per_slot=1.0).tasks(200.0) == 29


def test_the_crossover_is_where_both_cost_the_same() -> None:
    function = FunctionCost(memory_mb=256, warm_ms=100.0, init_ms=300.0)
    worker = worker_for(memory_mb=256, duration_s=0.1, in_flight_per_slot=1.0)

    rate = crossover_rate(function, worker)

    assert rate is not None
    assert function.month_usd(rate) == pytest.approx(worker.month_usd(rate), rel=1e-3)
    assert rate == pytest.approx(11.12, abs=0.01)


def test_a_function_that_hardly_runs_is_never_dearer() -> None:
    function = FunctionCost(memory_mb=128, warm_ms=2.0, init_ms=0.0)
    slow_worker = WorkerCost(vcpu=8.0, memory_gb=16.0, in_flight=1.0, duration_s=2.0)

    assert crossover_rate(function, slow_worker) is None


@settings(max_examples=50, deadline=None)
@given(memory_mb=st.integers(128, 10_240), warm_ms=st.floats(1, 5_000), in_flight=st.floats(1, 50))
def test_a_worker_is_dearer_below_the_crossover_and_not_at_it(memory_mb: int, warm_ms: float, in_flight: float) -> None:
    function = FunctionCost(memory_mb, warm_ms, 0.0)
    worker = worker_for(memory_mb, warm_ms / 1_000, in_flight)

    rate = crossover_rate(function, worker)

    if rate is not None and function.month_gb_s(rate) < 6e9:
        assert worker.month_usd(rate * 0.98) > function.month_usd(rate * 0.98)
        assert worker.month_usd(rate * 0.999) <= function.month_usd(rate * 1.001)


def test_provisioned_concurrency_and_the_proxy_have_their_prices() -> None:
    assert provisioned_month_usd(10, 1_024) == pytest.approx(10 * 4.1667e-6 * MONTH_S)
    assert proxy_month_usd() == pytest.approx((21.9, 87.6))

"""The laws against published values: tables, SimFaaS's example, and AWS's own cold starts as traced in 2020."""

from math import inf, isclose

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workshape.shape.laws import (
    busy,
    cold_share,
    erlang_b,
    erlang_c,
    mean_wait_s,
    quantile,
    rate_for_cold_share,
    servers_for_loss,
    servers_for_wait,
)

KEEP_ALIVE_S, AGE_S = 637.0, 7_200.0


def test_erlang_b_gives_the_throttled_share_of_a_reservation() -> None:
    assert erlang_b(95.0, 100) == pytest.approx(0.0488, abs=5e-5)


def test_erlang_b_sizes_provisioned_concurrency() -> None:
    assert servers_for_loss(14.0, 0.01) == 23
    assert servers_for_loss(14.0, 0.001) == 27


def test_erlang_c_gives_the_wait_for_a_pool() -> None:
    # M/M/c in closed form; for 200/s x 90 ms the design page simulated 31 ms and 3 ms with more varied durations.
    assert mean_wait_s(18.0, 20, 0.09) == pytest.approx(0.02478, abs=1e-5)
    assert mean_wait_s(18.0, 20, 0.09, variation=1.5) == pytest.approx(0.031, abs=5e-4)
    assert mean_wait_s(18.0, 24, 0.09) == pytest.approx(0.00191, abs=1e-5)
    assert mean_wait_s(18.0, 18, 0.09) == inf
    assert erlang_c(18.0, 18) == 1.0


def test_a_pool_is_sized_by_its_wait() -> None:
    servers = servers_for_wait(18.0, 0.09, 0.003)

    assert mean_wait_s(18.0, servers, 0.09) <= 0.003 < mean_wait_s(18.0, servers - 1, 0.09)
    assert servers == 24


def test_little_counts_the_busy() -> None:
    assert busy(50.0, 0.2) == 10.0


@pytest.mark.parametrize(
    ("rate", "share"), [(0.001, 0.55), (0.005, 0.056), (0.02, 0.0080), (1.0, 0.00066), (100.0, 0.00004)]
)
def test_the_closed_form_of_cold_starts_is_near_the_simulated_one(rate: float, share: float) -> None:
    assert cold_share(rate, 0.1, KEEP_ALIVE_S, AGE_S) == pytest.approx(share, rel=0.15, abs=1.1e-5)


def test_the_closed_form_of_cold_starts_is_near_simfaas_example() -> None:
    assert cold_share(0.9, 1.991, 600.0) == pytest.approx(0.0014, rel=0.12)


@pytest.mark.parametrize(
    ("rate", "measured"),
    [(0.001863, 0.298), (0.002458, 0.179), (0.002882, 0.143), (0.003453, 0.0992), (0.004248, 0.0675)],
)
def test_the_closed_form_of_cold_starts_is_near_what_aws_did(rate: float, measured: float) -> None:
    # Some 30 cold starts in each trace: a fifth is one standard deviation.
    assert cold_share(rate, 1.95, KEEP_ALIVE_S, AGE_S) == pytest.approx(measured, rel=0.25)


def test_below_a_rate_the_p99_is_a_cold_start() -> None:
    rate = rate_for_cold_share(0.01, 0.1, KEEP_ALIVE_S, AGE_S)

    assert 0.01 < rate < 0.02
    assert cold_share(rate, 0.1, KEEP_ALIVE_S, AGE_S) == pytest.approx(0.01, rel=1e-3)
    assert rate_for_cold_share(0.01, 100.0, KEEP_ALIVE_S, AGE_S) == inf


def test_the_nearest_rank_quantile_is_one_of_the_values() -> None:
    values = [float(value) for value in range(1, 101)]

    assert quantile(values, 0.99) == 99.0
    assert quantile(values, 0.999) == 100.0
    assert quantile([7.0], 0.5) == 7.0


@given(load=st.floats(0.01, 500), servers=st.integers(1, 600))
def test_losses_are_shares_and_more_servers_lose_less(load: float, servers: int) -> None:
    lost = erlang_b(load, servers)

    assert 0 <= lost <= 1
    assert erlang_b(load, servers + 1) <= lost
    assert lost <= erlang_c(load, servers) or isclose(lost, erlang_c(load, servers))


@settings(max_examples=50, deadline=None)
@given(rate=st.floats(1e-5, 500), duration_s=st.floats(0.001, 2))
def test_cold_starts_are_a_share_and_a_longer_keep_alive_has_fewer(rate: float, duration_s: float) -> None:
    share = cold_share(rate, duration_s, KEEP_ALIVE_S, AGE_S)

    assert 0 < share <= 1
    assert cold_share(rate, duration_s, 1_100.0, AGE_S) <= share * (1 + 1e-9)

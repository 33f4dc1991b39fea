"""Token buckets, against the documentation's examples and their law."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workshape.gateway.throttle import TokenBucket, admit


def taken(bucket: TokenBucket, count: int, now: float) -> int:
    return sum(admit((bucket,), now) for _ in range(count))


@pytest.mark.parametrize(
    ("bursts", "passed"),
    [
        ([(0.0, 10_000)], 5_000),
        ([(0.0, 5_000), (0.1, 5_000)], 6_000),
        ([(0.0, 5_000), (0.1, 1_000)], 6_000),
    ],
)
def test_bursts_pass_as_in_the_documentations_examples(bursts: list[tuple[float, int]], passed: int) -> None:
    bucket = TokenBucket(10_000, 5_000, 0.0)

    assert sum(taken(bucket, count, at) for at, count in bursts) == passed


def test_a_rate_of_nothing_lets_nothing_pass() -> None:
    assert taken(TokenBucket(0, 0, 0.0), 1, 100.0) == 0


def test_of_several_buckets_all_give_a_token_or_none_does() -> None:
    wide, narrow = TokenBucket(0, 2, 0.0), TokenBucket(0, 1, 0.0)

    assert admit((wide, narrow), 0.0)
    assert not admit((wide, narrow), 0.0)
    assert admit((wide,), 0.0)
    assert not admit((wide,), 0.0)


def test_a_clock_that_steps_back_gives_nothing() -> None:
    bucket = TokenBucket(1, 1, 10.0)

    assert taken(bucket, 1, 10.0) == 1
    assert taken(bucket, 1, 5.0) == 0
    assert taken(bucket, 1, 10.5) == 0
    assert taken(bucket, 1, 11.0) == 1


@given(
    st.integers(1, 100),
    st.integers(1, 50),
    st.lists(st.tuples(st.floats(0, 2), st.integers(0, 60)), max_size=20),
)
def test_never_more_pass_than_the_burst_and_the_rate_allow(
    rate: int, burst: int, arrivals: list[tuple[float, int]]
) -> None:
    bucket, now, passed = TokenBucket(rate, burst, 0.0), 0.0, 0

    for later, count in arrivals:
        now += later
        passed += taken(bucket, count, now)
        assert passed <= burst + rate * now + 1e-6

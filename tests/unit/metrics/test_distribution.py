"""Distributions: nothing lost, sums exact, percentiles within the accuracy they claim."""

from fractions import Fraction
from math import ceil

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workshape.metrics.distribution import ACCURACY, VALUE_MAX, VALUE_MIN, Distribution

VALUES = st.one_of(
    st.just(0.0), st.floats(VALUE_MIN, VALUE_MAX), st.integers(0, 1_000).map(float), st.floats(0.5, 30_000.0)
)


def spread(values: list[float]) -> Distribution:
    made = Distribution()
    for value in values:
        made.add(value)
    return made


@given(st.lists(VALUES, min_size=1, max_size=200))
def test_count_extremes_and_sum_are_those_of_the_values(values: list[float]) -> None:
    made = spread(values)

    assert (made.count, made.minimum, made.maximum) == (len(values), min(values), max(values))
    assert made.total == pytest.approx(float(sum(map(Fraction, values))))
    assert sum(made.buckets.values()) == len(values)


@given(st.lists(st.integers(0, 2**40).map(float), min_size=1, max_size=200))
def test_a_sum_of_whole_numbers_is_exact(values: list[float]) -> None:
    assert spread(values).total == sum(map(int, values))


@given(st.lists(VALUES, min_size=1, max_size=200), st.floats(0, 100))
def test_a_percentile_is_within_its_accuracy_of_the_nearest_rank(values: list[float], percent: float) -> None:
    true = sorted(values)[max(1, ceil(len(values) * percent / 100)) - 1]

    assert spread(values).percentile(percent) == pytest.approx(true, rel=ACCURACY * 1.000_001, abs=VALUE_MIN)


@given(st.lists(VALUES, min_size=1), st.lists(VALUES, min_size=1))
def test_merging_is_the_same_as_adding_all_values(left: list[float], right: list[float]) -> None:
    merged = spread(left)

    merged.merge(spread(right))

    together = spread(left + right)
    assert (merged.count, merged.minimum, merged.maximum) == (together.count, together.minimum, together.maximum)
    assert merged.buckets == together.buckets
    assert merged.total == pytest.approx(together.total)


@given(st.lists(VALUES, max_size=100))
def test_what_is_written_is_read_back_whole(values: list[float]) -> None:
    made = spread(values)

    read = Distribution.decoded(made.encoded())

    assert (read.count, read.total, read.minimum, read.maximum) == (made.count, made.total, made.minimum, made.maximum)
    assert read.buckets == made.buckets


@given(st.lists(VALUES, min_size=1), st.lists(st.floats(VALUE_MIN * 2, VALUE_MAX), min_size=1, max_size=5))
def test_counts_up_to_a_bound_are_true_but_for_values_next_to_it(values: list[float], bounds: list[float]) -> None:
    counts = spread(values).counts_up_to(sorted(bounds))

    assert counts == sorted(counts)
    for bound, count in zip(sorted(bounds), counts, strict=True):
        least = sum(value <= bound for value in values)
        most = sum(value <= bound * (1 + 2.1 * ACCURACY) for value in values)
        assert least <= count <= most


@given(st.lists(VALUES), st.lists(VALUES))
def test_what_came_since_an_earlier_state_is_told_apart(before: list[float], after: list[float]) -> None:
    came = spread(before + after).since(spread(before))

    expected = spread(after)
    assert (came.count, came.buckets) == (expected.count, expected.buckets)
    assert came.total == pytest.approx(expected.total, abs=1e-9 * (1 + sum(before) + sum(after)))
    if after:
        assert came.minimum == pytest.approx(expected.minimum, rel=2.1 * ACCURACY, abs=VALUE_MIN)
        assert came.maximum == pytest.approx(expected.maximum, rel=2.1 * ACCURACY, abs=VALUE_MIN)


def test_a_value_can_be_added_as_often_as_it_was_seen() -> None:
    made = Distribution()

    made.add(0.0, 3)
    made.add(1.0, 2)

    assert (made.count, made.total, made.average()) == (5, 2.0, 0.4)
    assert (made.percentile(60), made.percentile(100)) == (0.0, 1.0)
    assert made.percentile(61) == pytest.approx(1.0, rel=ACCURACY)

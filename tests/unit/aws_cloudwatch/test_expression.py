"""Metric math: arithmetic, summaries, and what is refused."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workshape.aws.cloudwatch.errors import InvalidQuery, NotBuilt
from workshape.aws.cloudwatch.expression import Scope, Series, Value, evaluate

ERRORS = Series({0.0: 1.0, 60.0: 3.0, 120.0: 0.0}, 60)
INVOCATIONS = Series({0.0: 10.0, 60.0: 4.0, 180.0: 8.0}, 60)
KNOWN: dict[str, Value] = {"errors": ERRORS, "m1": INVOCATIONS, "zero": Series({0.0: 0.0, 60.0: 2.0}, 60)}


def value(expression: str) -> Value:
    return evaluate(expression, Scope(KNOWN.__getitem__, lambda: [ERRORS, INVOCATIONS], 0.0, 240.0))


def points(expression: str) -> dict[float, float]:
    found = value(expression)
    assert isinstance(found, Series)
    return dict(found.points)


@pytest.mark.parametrize(
    ("expression", "result"),
    [
        ("1+2*3", 7.0),
        ("(1 + 2) * 3", 9.0),
        ("2^3^2", 512.0),
        ("-2^2", 4.0),
        ("10 - 4 - 3", 3.0),
        ("7 / 2 / .5", 7.0),
        ("SUM(m1)", 22.0),
        ("AVG(errors) * 3", 4.0),
        ("max(m1) - MIN(m1)", 6.0),
        ("PERIOD(m1)", 60.0),
    ],
)
def test_numbers(expression: str, result: float) -> None:
    assert value(expression) == pytest.approx(result)


@pytest.mark.parametrize(
    ("expression", "result"),
    [
        ("errors / m1 * 100", {0.0: 10.0, 60.0: 75.0}),
        ("m1 / zero", {60.0: 2.0}),
        ("100 - errors", {0.0: 99.0, 60.0: 97.0, 120.0: 100.0}),
        ("SUM([errors, m1])", {0.0: 11.0, 60.0: 7.0, 120.0: 0.0, 180.0: 8.0}),
        ("AVG(METRICS())", {0.0: 5.5, 60.0: 3.5, 120.0: 0.0, 180.0: 8.0}),
        ("FILL(m1, 0)", {0.0: 10.0, 60.0: 4.0, 120.0: 0.0, 180.0: 8.0}),
        ("CEIL(m1 / 3)", {0.0: 4.0, 60.0: 2.0, 180.0: 3.0}),
        ("ABS(-errors)", {0.0: 1.0, 60.0: 3.0, 120.0: 0.0}),
    ],
)
def test_series_are_combined_period_by_period(expression: str, result: dict[float, float]) -> None:
    assert points(expression) == pytest.approx(result)


def test_a_span_that_is_too_long_is_not_filled() -> None:
    with pytest.raises(InvalidQuery, match="100,800"):
        evaluate("FILL(m1, 0)", Scope(KNOWN.__getitem__, list, 0.0, 1e9))


def test_an_array_stays_an_array() -> None:
    found = value("METRICS() * 2")

    assert isinstance(found, list)
    assert [dict(series.points) for series in found] == [
        {0.0: 2.0, 60.0: 6.0, 120.0: 0.0},
        {0.0: 20.0, 60.0: 8.0, 180.0: 16.0},
    ]


@pytest.mark.parametrize(
    ("expression", "named"),
    [
        ("SEARCH(m1, 1)", "SEARCH"),
        ("IF(m1, 1, 2)", "IF"),
        ("FILL(m1, errors)", "FILL"),
        ("m1 > 3", ">"),
        ("SELECT AVG(x) FROM y", "Metrics Insights"),
    ],
)
def test_what_cloudwatch_has_and_workshape_not_is_named(expression: str, named: str) -> None:
    with pytest.raises(NotBuilt, match=named):
        value(expression)


@pytest.mark.parametrize(
    "expression",
    [
        *("", "1 +", "(1", "[m1", "m1 m1", "M1", "1 ; 2", "SUM(m1", "1 / 0", "0 ^ -1", "METRICS() + METRICS()", "[1]"),
        "(" * 40 + "1" + ")" * 40,
        "-" * 2_000,
    ],
)
def test_what_is_no_expression_is_refused(expression: str) -> None:
    with pytest.raises(InvalidQuery):
        value(expression)


@given(st.text("mMerosSUMAVG0123456789.+-*/^()[], ", max_size=60))
def test_any_text_gives_a_value_or_one_of_our_errors(text: str) -> None:
    try:
        found = evaluate(text, Scope(lambda name: KNOWN.get(name, 1.0), lambda: [ERRORS], 0.0, 240.0))
    except (InvalidQuery, NotBuilt):
        return
    assert isinstance(found, float | Series | list)

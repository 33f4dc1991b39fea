"""Metric math: arithmetic on time series, and the functions that sum them up. A core.

    expression := term {("+" | "-") term}        term  := power {("*" | "/") power}
    power      := sign ["^" power]               sign  := "-" sign | atom
    atom       := number | id | NAME "(" [expression {"," expression}] ")" | "(" expression ")"
                  | "[" expression {"," expression} "]"

Source: https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/using-metric-math.html#metric-math-syntax
"""

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from workshape.aws.cloudwatch.errors import InvalidQuery, NotBuilt

FILLED_POINTS_MAX = 100_800  # as many as GetMetricData answers with
DEPTH_MAX = 32  # of brackets; an expression has 2,048 characters, and each bracket takes several calls to read
_TOKEN = re.compile(r"\s*(?:(\d+(?:\.\d*)?|\.\d+)|([a-zA-Z]\w*)|(.))", re.ASCII | re.DOTALL)
_ID = re.compile(r"[a-z]\w*", re.ASCII)


@dataclass(frozen=True, slots=True)
class Series:
    """Values by the beginnings of their periods, in Unix time."""

    points: Mapping[float, float]
    period_s: int


Value = float | Series | list[Series]
Lookup = Callable[[str], Value]
Apply = Callable[[float, float], float | None]


@dataclass(frozen=True, slots=True)
class Scope:
    """What an expression may refer to."""

    lookup: Lookup
    """Finds the value of another query by its id."""
    metrics: Callable[[], list[Series]]
    """Every query that is a metric, in order."""
    begin_s: float
    end_s: float


def evaluate(expression: str, scope: Scope) -> Value:
    """Work an expression out.

    Raises:
        InvalidQuery: it is none, or its values do not fit together.
        NotBuilt: CloudWatch has a function or an operator in it that workshape has not.
    """
    return _Evaluation(expression, scope).run()


class _Evaluation:
    def __init__(self, expression: str, scope: Scope) -> None:
        self._text = expression
        self._scope = scope
        self._tokens = [found.group().strip() for found in _TOKEN.finditer(expression.strip())]
        self._next = 0
        self._depth = 0

    def run(self) -> Value:
        value = self._sum()
        if self._next < len(self._tokens):
            raise self._unexpected()
        return value

    def _sum(self) -> Value:
        value = self._product()
        while (sign := self._peek()) in ("+", "-"):
            self._next += 1
            value = self._combine(_OPERATORS[sign], value, self._product())
        return value

    def _product(self) -> Value:
        value = self._power()
        while (sign := self._peek()) in ("*", "/"):
            self._next += 1
            value = self._combine(_OPERATORS[sign], value, self._power())
        return value

    def _power(self) -> Value:
        value = self._sign()
        if self._peek() != "^":
            return value
        self._next += 1
        return self._combine(_OPERATORS["^"], value, self._nested(self._power))

    def _sign(self) -> Value:
        if self._peek() != "-":
            return self._atom()
        self._next += 1
        return self._combine(_OPERATORS["*"], -1.0, self._nested(self._sign))

    def _atom(self) -> Value:
        word = self._peek()
        self._next += 1
        if word[:1].isdigit() or (word[:1] == "." and len(word) > 1):
            return float(word)
        if word == "(":
            value = self._nested(self._sum)
            self._expect(")")
            return value
        if word == "[":
            return [each for value in self._list("]") for each in _series(value, self._text)]
        if self._peek() == "(" and word[:1].isalpha():
            self._next += 1
            return self._call(word.upper(), self._list(")"))
        if _ID.fullmatch(word):
            return self._scope.lookup(word)
        self._next -= 1
        raise self._unexpected()

    def _list(self, end: str) -> list[Value]:
        values: list[Value] = []
        while self._peek() != end:
            if values:
                self._expect(",")
            values.append(self._nested(self._sum))
        self._next += 1
        return values

    def _nested(self, read: Callable[[], Value]) -> Value:
        self._depth += 1
        if self._depth > DEPTH_MAX:
            raise InvalidQuery(reason=f"The expression {self._text[:100]!r} nests deeper than {DEPTH_MAX}.")
        value = read()
        self._depth -= 1
        return value

    def _call(self, name: str, values: list[Value]) -> Value:
        if name == "METRICS" and not values:
            return self._scope.metrics()
        if name in _SUMMARIES and len(values) == 1:
            return _summary(_SUMMARIES[name], values[0])
        if name in _EACH and len(values) == 1:
            return self._combine(lambda left, _right: _EACH[name](left), values[0], 0.0)
        if name == "PERIOD" and len(values) == 1 and isinstance(values[0], Series):
            return float(values[0].period_s)
        if name == "FILL" and len(values) == 2 and isinstance(filler := values[1], float):
            filled = [self._filled(series, filler) for series in _series(values[0], self._text)]
            return filled if isinstance(values[0], list) else filled[0]
        raise NotBuilt(feature=f"{name} with {len(values)} arguments of these kinds in metric math")

    def _filled(self, series: Series, filler: float) -> Series:
        at = self._scope.begin_s
        if (self._scope.end_s - at) / series.period_s > FILLED_POINTS_MAX:
            raise InvalidQuery(reason=f"FILL in {self._text!r} would give more than {FILLED_POINTS_MAX:,} data points.")
        points = {}
        while at < self._scope.end_s:
            points[at] = series.points.get(at, filler)
            at += series.period_s
        return Series(points, series.period_s)

    def _combine(self, apply: Apply, left: Value, right: Value) -> Value:
        if isinstance(left, list):
            if isinstance(right, list):
                raise InvalidQuery(reason=f"The expression {self._text!r} combines two arrays of time series.")
            return [_combined(apply, each, right) for each in left]
        if isinstance(right, list):
            return [_combined(apply, left, each) for each in right]
        if isinstance(left, float) and isinstance(right, float):
            result = apply(left, right)
            if result is None:
                raise InvalidQuery(reason=f"The expression {self._text!r} has no value: {left:g} and {right:g}.")
            return result
        return _combined(apply, left, right)

    def _peek(self) -> str:
        return self._tokens[self._next] if self._next < len(self._tokens) else ""

    def _expect(self, token: str) -> None:
        if self._peek() != token:
            raise self._unexpected()
        self._next += 1

    def _unexpected(self) -> InvalidQuery | NotBuilt:
        token = self._peek()
        if token.upper() == "SELECT":
            return NotBuilt(feature="Metrics Insights queries (SELECT ...)")
        if token in ("<", ">", "=", "!", "&", "|"):
            return NotBuilt(feature=f"the operator {token} in metric math")
        where = f"at {token!r}" if token else "at its end"
        return InvalidQuery(reason=f"The expression {self._text!r} cannot be read {where}.")


def _combined(apply: Apply, left: float | Series, right: float | Series) -> Series:
    """Combine period by period; where one side has no value, or the operator none, the result has none."""
    if isinstance(left, Series) and isinstance(right, Series):
        pairs = {at: (value, right.points[at]) for at, value in left.points.items() if at in right.points}
    elif isinstance(left, Series):
        assert isinstance(right, float)
        pairs = {at: (value, right) for at, value in left.points.items()}
    else:
        assert isinstance(right, Series)
        pairs = {at: (left, value) for at, value in right.points.items()}
    period_s = max(side.period_s for side in (left, right) if isinstance(side, Series))
    results = {at: apply(*pair) for at, pair in pairs.items()}
    return Series({at: result for at, result in results.items() if result is not None}, period_s)


def _summary(apply: Callable[[Sequence[float]], float], value: Value) -> Value:
    """Of one series: over its periods. Of an array: over its series, period by period."""
    if isinstance(value, float):
        return value
    if isinstance(value, Series):
        return apply(list(value.points.values())) if value.points else 0.0
    if not value:
        return []
    moments = sorted({at for series in value for at in series.points})
    points = {at: apply([series.points[at] for series in value if at in series.points]) for at in moments}
    return Series(points, max(series.period_s for series in value))


def _series(value: Value, expression: str) -> list[Series]:
    if isinstance(value, float):
        raise InvalidQuery(reason=f"The expression {expression!r} has a number where a time series is needed.")
    return value if isinstance(value, list) else [value]


def _divide(left: float, right: float) -> float | None:
    # AWS: undocumented what a division by zero gives; we chose no data point.
    return left / right if right else None


def _raise(left: float, right: float) -> float | None:
    try:
        result = left**right
    except (OverflowError, ZeroDivisionError):
        return None
    return result if isinstance(result, float) else None  # a root of a negative number is complex


_OPERATORS: dict[str, Apply] = {
    "+": lambda left, right: left + right,
    "-": lambda left, right: left - right,
    "*": lambda left, right: left * right,
    "/": _divide,
    "^": _raise,
}
_SUMMARIES: dict[str, Callable[[Sequence[float]], float]] = {
    "SUM": math.fsum,
    "AVG": lambda values: math.fsum(values) / len(values),
    "MIN": min,
    "MAX": max,
}
_EACH: dict[str, Callable[[float], float]] = {
    "ABS": abs,
    "CEIL": lambda value: float(math.ceil(value)),
    "FLOOR": lambda value: float(math.floor(value)),
}

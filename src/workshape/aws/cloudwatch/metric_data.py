"""The operation GetMetricData.

A request is ours when all its metrics are, and the upstream's when none is. One that mixes them is refused: metric
math would need the values of both.

Source: https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_GetMetricData.html
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from workshape.aws.cloudwatch.errors import InvalidNextToken, InvalidParameter, InvalidQuery, NotBuilt
from workshape.aws.cloudwatch.expression import Scope, Series, Value, evaluate
from workshape.aws.cloudwatch.series import OUR_NAMESPACES, SeriesReader, metric_of
from workshape.aws.cloudwatch.statistics import statistic
from workshape.aws.operation import Call, NotOurs, Operation
from workshape.metrics.metric import MINUTE_S

QUERIES_MAX = 500
DATAPOINTS_MAX = 100_800
DEPTH_MAX = 32  # expressions that refer to expressions; each level takes several calls
_ID = re.compile(r"[a-z][a-zA-Z0-9_]*")

Query = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class _Result:
    """One series of the answer, newest first or oldest first as was asked."""

    id: str
    label: str
    points: Sequence[tuple[float, float]]


def metric_data_operation(reader: SeriesReader) -> Operation:
    """Offer the operation."""

    async def answer(_call: Call, parameters: dict[str, Any]) -> dict[str, Any]:
        queries: list[Query] = parameters["MetricDataQueries"]
        _check_owner(queries)
        begin_s = parameters["StartTime"].timestamp() // MINUTE_S * MINUTE_S
        end_s = parameters["EndTime"].timestamp()
        _check(queries, begin_s, end_s, parameters)
        reader.flush()
        measured = {
            query["Id"]: await _measured(reader, query, begin_s, end_s) for query in queries if "MetricStat" in query
        }
        values = _Values(queries, measured, begin_s, end_s)
        descending = parameters.get("ScanBy", "TimestampDescending") == "TimestampDescending"
        results = [
            _Result(query["Id"], label, sorted(series.points.items(), reverse=descending))
            for query in queries
            if query.get("ReturnData", True)
            for label, series in _labelled(query, values.of(query["Id"]), values)
        ]
        size = parameters.get("MaxDatapoints", DATAPOINTS_MAX)
        return _page(results, _offset(parameters.get("NextToken", "")), min(size, DATAPOINTS_MAX))

    return answer


def _check_owner(queries: Sequence[Query]) -> None:
    namespaces = {query["MetricStat"]["Metric"].get("Namespace", "") for query in queries if "MetricStat" in query}
    theirs = namespaces - OUR_NAMESPACES
    if theirs == namespaces:
        raise NotOurs(kind="namespace", name=", ".join(sorted(theirs)))
    if theirs:
        feature = f"{', '.join(sorted(theirs))} beside {', '.join(sorted(namespaces - theirs))} in one GetMetricData"
        raise NotBuilt(feature=feature)


def _check(queries: Sequence[Query], begin_s: float, end_s: float, parameters: Mapping[str, Any]) -> None:
    if begin_s >= end_s:
        raise InvalidQuery(reason="The parameter StartTime must be less than the parameter EndTime.")
    if len(queries) > QUERIES_MAX:
        raise InvalidQuery(reason=f"The collection MetricDataQueries must not have more than {QUERIES_MAX} members.")
    if parameters.get("MaxDatapoints", 1) < 1:
        value = parameters["MaxDatapoints"]
        raise InvalidParameter(parameter="MaxDatapoints", value=value, reason="it is less than 1")
    seen: set[str] = set()
    for query in queries:
        name = query["Id"]
        if not _ID.fullmatch(name):
            raise InvalidQuery(reason=f"The id {name!r} must begin with a lowercase letter, then letters, digits, _.")
        if name in seen:
            raise InvalidQuery(reason=f"The id {name!r} is there twice: ids must be unique.")
        if ("MetricStat" in query) == ("Expression" in query):
            raise InvalidQuery(reason=f"The query {name!r} needs either MetricStat or Expression, and not both.")
        seen.add(name)


async def _measured(reader: SeriesReader, query: Query, begin_s: float, end_s: float) -> Series:
    wanted = query["MetricStat"]
    compute = statistic(wanted["Stat"], "MetricStat.Stat")
    _, periods = await reader.read(metric_of(wanted["Metric"]), begin_s, end_s, wanted["Period"], wanted.get("Unit"))
    return Series({at: compute(values) for at, values in periods.items()}, wanted["Period"])


class _Values:
    """The values of a request's queries: metrics as measured, expressions worked out when somebody asks."""

    def __init__(self, queries: Sequence[Query], measured: Mapping[str, Series], begin_s: float, end_s: float) -> None:
        self._queries = {query["Id"]: query for query in queries}
        self._measured = measured
        self._values: dict[str, Value] = dict(measured)
        self._open: list[str] = []
        self._scope = Scope(self.of, lambda: list(measured.values()), begin_s, end_s)

    def of(self, name: str) -> Value:
        """Find a query's value.

        Raises:
            InvalidQuery: there is no such query, or it needs itself.
        """
        if name in self._values:
            return self._values[name]
        if name not in self._queries:
            raise InvalidQuery(reason=f"The id {name!r} is used in an expression, and no query has it.")
        if name in self._open or len(self._open) >= DEPTH_MAX:
            raise InvalidQuery(
                reason=f"The expressions {' -> '.join([*self._open, name])} go in a circle, or too deep."
            )
        self._open.append(name)
        value = self._values[name] = evaluate(self._queries[name]["Expression"], self._scope)
        self._open.pop()
        return value

    def constant(self, value: float) -> Series:
        """Spread a number over every period that any metric of the request has a value in."""
        moments = {at for series in self._measured.values() for at in series.points}
        return Series(dict.fromkeys(moments, value), MINUTE_S)


def _labelled(query: Query, value: Value, values: _Values) -> list[tuple[str, Series]]:
    """Name what a query gives: one series, or one for each of an array."""
    if "MetricStat" in query:
        label = query.get("Label", query["MetricStat"]["Metric"].get("MetricName", ""))
    else:
        label = query.get("Label", query["Id"])
    if isinstance(value, list):
        return [(f"{label} {number}", series) for number, series in enumerate(value, 1)]
    # AWS: undocumented what becomes of an expression that gives a single number; we chose a level line.
    return [(label, value if isinstance(value, Series) else values.constant(value))]


def _page(results: Sequence[_Result], offset: int, size: int) -> dict[str, Any]:
    """Cut so many data points out of all results in a row."""
    shown: list[dict[str, Any]] = []
    passed, end = 0, offset + size
    total = sum(len(result.points) for result in results)
    for result in results:
        first, last = max(0, offset - passed), max(0, end - passed)
        points = result.points[first:last]
        is_whole = passed + len(result.points) <= end
        passed += len(result.points)
        if offset and not points:
            continue  # an earlier page had it, or a later one has
        shown.append(
            {
                "Id": result.id,
                "Label": result.label,
                "Timestamps": [at for at, _ in points],
                "Values": [value for _, value in points],
                "StatusCode": "Complete" if is_whole else "PartialData",
            }
        )
    return {"MetricDataResults": shown, "NextToken": str(end) if end < total else None}


def _offset(token: str) -> int:
    if token and not token.isdecimal():
        raise InvalidNextToken()
    return int(token or 0)

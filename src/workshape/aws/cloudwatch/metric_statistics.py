"""The operation GetMetricStatistics.

Source: https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_GetMetricStatistics.html
"""

from typing import Any

from workshape.aws.cloudwatch.errors import InvalidCombination, InvalidParameter
from workshape.aws.cloudwatch.series import OUR_NAMESPACES, SeriesReader, metric_of
from workshape.aws.cloudwatch.statistics import statistic
from workshape.aws.operation import Call, NotOurs, Operation
from workshape.metrics.distribution import Distribution

DATAPOINTS_MAX = 1_440


def metric_statistics_operation(reader: SeriesReader) -> Operation:
    """Offer the operation."""

    async def answer(_call: Call, parameters: dict[str, Any]) -> dict[str, Any]:
        if parameters["Namespace"] not in OUR_NAMESPACES:
            raise NotOurs(kind="namespace", name=parameters["Namespace"])
        begin_s, end_s = parameters["StartTime"].timestamp(), parameters["EndTime"].timestamp()
        period_s = parameters["Period"]
        _check(parameters, begin_s, end_s, period_s)
        reader.flush()
        unit, periods = await reader.read(metric_of(parameters), begin_s, end_s, period_s, parameters.get("Unit"))
        told = [_datapoint(at, values, unit, parameters) for at, values in periods.items()]
        return {"Label": parameters["MetricName"], "Datapoints": told}

    return answer


def _check(parameters: dict[str, Any], begin_s: float, end_s: float, period_s: int) -> None:
    if bool(parameters.get("Statistics")) == bool(parameters.get("ExtendedStatistics")):
        raise InvalidCombination(reason="Specify either Statistics or ExtendedStatistics, and not both.")
    for name in parameters.get("ExtendedStatistics") or ():
        statistic(name, "ExtendedStatistics")
    if begin_s >= end_s:
        reason = "it must be less than the parameter EndTime"
        raise InvalidParameter(parameter="StartTime", value=parameters["StartTime"].isoformat(), reason=reason)
    asked = int((end_s - begin_s) // period_s)
    if asked > DATAPOINTS_MAX:
        raise InvalidCombination(
            reason=f"You have requested up to {asked:,} datapoints, which exceeds the limit of {DATAPOINTS_MAX:,}. "
            "You may reduce the datapoints requested by increasing Period, or decreasing the time range."
        )


def _datapoint(at: float, values: Distribution, unit: str, parameters: dict[str, Any]) -> dict[str, Any]:
    simple = {name: statistic(name, "Statistics")(values) for name in parameters.get("Statistics") or ()}
    extended = {
        name: statistic(name, "ExtendedStatistics")(values) for name in parameters.get("ExtendedStatistics") or ()
    }
    return {"Timestamp": at, "Unit": unit, **simple, "ExtendedStatistics": extended or None}

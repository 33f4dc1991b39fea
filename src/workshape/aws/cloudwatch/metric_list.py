"""The operation ListMetrics: the upstream's metrics, then ours.

Whoever names a namespace gets it from whom it belongs to. Otherwise the upstream answers first, page by page with
tokens of its own; ours follow its last page.

Source: https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_ListMetrics.html
"""

from collections.abc import Mapping, Sequence
from typing import Any

from workshape.aws.cloudwatch.errors import InvalidNextToken
from workshape.aws.cloudwatch.series import OUR_NAMESPACES
from workshape.aws.operation import Call, NotOurs, Operation
from workshape.clock import Clock
from workshape.metrics.keeper import MetricKeeper
from workshape.metrics.metric import Metric, minute_of

RESULTS_MAX = 500
LISTED_MINUTES = 14 * 24 * 60  # two weeks
ACTIVE_MINUTES = 3 * 60  # RecentlyActive=PT3H
_TOKEN = "workshape:"  # noqa: S105 - how a token of ours begins; any other is the upstream's


def metric_list_operation(keeper: MetricKeeper, clock: Clock) -> Operation:
    """Offer the operation."""

    async def answer(call: Call, parameters: dict[str, Any]) -> dict[str, Any]:
        namespace, token = parameters.get("Namespace"), parameters.get("NextToken", "")
        if namespace is not None and namespace not in OUR_NAMESPACES:
            raise NotOurs(kind="namespace", name=namespace)
        theirs: list[dict[str, Any]] = []
        if namespace is None and not token.startswith(_TOKEN):
            answered = await call.ask_upstream() or {}
            theirs = answered.get("Metrics", [])
            if answered.get("NextToken"):
                return answered
        keeper.flush()
        kept_minutes = ACTIVE_MINUTES if parameters.get("RecentlyActive") else LISTED_MINUTES
        ours = keeper.metrics(minute_of(clock.wall_s()) - kept_minutes)
        return _page(theirs, [metric for metric in ours if _matches(metric, parameters)], token)

    return answer


def _page(theirs: list[dict[str, Any]], ours: Sequence[Metric], token: str) -> dict[str, Any]:
    begin = 0
    if token.startswith(_TOKEN):
        number = token.removeprefix(_TOKEN)
        if not number.isdecimal():
            raise InvalidNextToken()
        begin = int(number)
    end = begin + RESULTS_MAX - len(theirs)
    shown = [
        {
            "Namespace": metric.namespace,
            "MetricName": metric.name,
            "Dimensions": [{"Name": name, "Value": value} for name, value in metric.dimensions],
        }
        for metric in ours[begin:end]
    ]
    return {"Metrics": theirs + shown, "NextToken": f"{_TOKEN}{end}" if end < len(ours) else None}


def _matches(metric: Metric, parameters: Mapping[str, Any]) -> bool:
    if parameters.get("Namespace", metric.namespace) != metric.namespace:
        return False
    if parameters.get("MetricName", metric.name) != metric.name:
        return False
    dimensions = dict(metric.dimensions)
    return all(
        dimensions.get(wanted["Name"], "") == wanted.get("Value", dimensions.get(wanted["Name"]))
        for wanted in parameters.get("Dimensions") or ()
    )

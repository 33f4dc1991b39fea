"""What all operations' requests have in common: whose scaling is meant, pages, times."""

from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import Any, TypeVar

from workshape.aws import pages
from workshape.aws.application_autoscaling.errors import InvalidNextToken, MissingParameter, NotBuilt
from workshape.aws.operation import Call
from workshape.functions.autoscaling.model import DIMENSION, NAMESPACE

T = TypeVar("T")

RESULTS_MAX = 50
"""Source: https://docs.aws.amazon.com/autoscaling/application/APIReference/API_DescribeScalableTargets.html"""


def check_scope(parameters: dict[str, Any]) -> None:
    """Check that it is about provisioned concurrency.

    Raises:
        NotBuilt: it is about another service's, or another dimension's scaling.
        MissingParameter: a resource is named without its dimension.
    """
    namespace = parameters["ServiceNamespace"]
    if namespace != NAMESPACE:
        raise NotBuilt(feature=f"the service namespace {namespace}")
    dimension = parameters.get("ScalableDimension")
    if dimension not in (None, DIMENSION):
        raise NotBuilt(feature=f"the scalable dimension {dimension}")
    if dimension is not None and not parameters.get("ResourceId") and not parameters.get("ResourceIds"):
        raise MissingParameter(parameter="ResourceId", reason="a scalable dimension is one of a resource")


def scope(resource_id: str) -> dict[str, str]:
    """Write what identifies a target in every answer."""
    return {"ServiceNamespace": NAMESPACE, "ResourceId": resource_id, "ScalableDimension": DIMENSION}


def arn(call: Call, kind: str, id_: str, resource_id: str, name: str) -> str:
    """Name a policy or a scheduled action as AWS does."""
    label = {"scalingPolicy": "policyName", "scheduledAction": "scheduledActionName"}[kind]
    resource = f"{kind}:{id_}:resource/{NAMESPACE}/{resource_id}:{label}/{name}"
    return f"arn:aws:autoscaling:{call.region}:{call.account}:{resource}"


def page(
    parameters: dict[str, Any], member: str, items: Iterable[T], write: Callable[[T], dict[str, Any]]
) -> dict[str, Any]:
    """Write the page that a request asks for, and its `NextToken` if there is more.

    Raises:
        InvalidNextToken: it is none.
    """
    size = max(1, min(parameters.get("MaxResults", RESULTS_MAX), RESULTS_MAX))
    try:
        return pages.page(parameters, member, items, write, size=size)
    except pages.InvalidNextToken as error:
        raise InvalidNextToken() from error


def when(unix_time: float | None) -> datetime | None:
    """Write a time."""
    return None if unix_time is None else datetime.fromtimestamp(unix_time, UTC)

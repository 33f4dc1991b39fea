"""What provisioned concurrency is used for, as metrics. A core.

Source: https://docs.aws.amazon.com/lambda/latest/dg/monitoring-concurrency.html (names, meanings, whose they are)
Source: https://docs.aws.amazon.com/lambda/latest/dg/monitoring-metrics-view.html (dimensions)
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from workshape.functions.function_metrics import FUNCTION_NAME, NAMESPACE, Dimensions
from workshape.functions.model import FunctionName
from workshape.functions.provisioned import ProvisionedUse
from workshape.metrics.book import MetricBook
from workshape.metrics.metric import Metric, Point, Unit


@dataclass(frozen=True, slots=True)
class ProvisionedResource:
    """A version or an alias that provisioned concurrency is configured for."""

    function: FunctionName
    qualifier: str
    versions: tuple[str, ...]
    """Whose environments those are."""


def provisioned_points(
    resources: Iterable[ProvisionedResource],
    uses: Mapping[tuple[FunctionName, str], ProvisionedUse],
    now: float,
) -> list[Point]:
    """Tell of each resource, its function and the account what was used since the last time.

    `uses` is by function and version. Concurrency and utilization are to be viewed with the maximum, invocations with
    the sum.
    """
    # AWS: only versions and aliases are documented to have these; we chose the two wider dimensions as other metrics
    # have them. A utilization is one resource's.
    totals: defaultdict[Dimensions, list[ProvisionedUse]] = defaultdict(list)
    book = MetricBook()
    for resource in resources:
        used = [use for version in resource.versions if (use := uses.get((resource.function, version))) is not None]
        by_function: Dimensions = ((FUNCTION_NAME, resource.function),)
        by_resource: Dimensions = (*by_function, ("Resource", f"{resource.function}:{resource.qualifier}"))
        wider: Dimensions = ()
        for dimensions in (wider, by_function, by_resource):
            totals[dimensions] += used
        allocated = sum(use.allocated for use in used)
        if allocated:
            share = sum(use.busy_peak for use in used) / allocated
            book.record(Metric(NAMESPACE, "ProvisionedConcurrencyUtilization", by_resource, Unit.NONE), share, now)
    for dimensions, used in totals.items():
        executions = sum(use.busy_peak for use in used)
        book.record(Metric(NAMESPACE, "ProvisionedConcurrentExecutions", dimensions), executions, now)
        for name, count in (
            ("ProvisionedConcurrencyInvocations", sum(use.invocations for use in used)),
            ("ProvisionedConcurrencySpilloverInvocations", sum(use.spillovers for use in used)),
        ):
            metric = Metric(NAMESPACE, name, dimensions)
            if count:
                book.record(metric, 1.0, now, count)
            else:
                book.record(metric, 0.0, now)
    return book.take()

"""API Gateway's metrics: counted with a few additions a request, told by name and dimensions now and then. A core.

Source: https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-metrics.html
Source: https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-metrics-and-dimensions.html
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

import msgspec

from workshape.metrics.book import MetricBook
from workshape.metrics.distribution import Distribution
from workshape.metrics.metric import Metric, Point, Unit, minute_of

NAMESPACE = "AWS/ApiGateway"

Dimensions = tuple[tuple[str, str], ...]


class Measured(msgspec.Struct, frozen=True):
    """Whose requests are counted together."""

    api: str
    """An HTTP API's id, a REST API's name."""
    stage: str
    is_rest: bool = False
    method: str = ""
    """With `resource`, where a stage is measured route by route."""
    resource: str = ""

    def dimensions(self) -> list[Dimensions]:
        """The API, its stage, and the route if that is measured."""
        label = "ApiName" if self.is_rest else "ApiId"
        found: list[Dimensions] = [((label, self.api),), ((label, self.api), ("Stage", self.stage))]
        if self.resource:
            route: Dimensions = (("Method", self.method), ("Resource", self.resource))
            found.append(((label, self.api), *route, ("Stage", self.stage)))
        return found


@dataclass(slots=True)
class _Tally:
    count: int = 0
    client_errors: int = 0
    server_errors: int = 0
    latency_ms: Distribution = field(default_factory=Distribution)
    integration_ms: Distribution = field(default_factory=Distribution)


class ApiMetrics:
    """Counts, until it is asked. What it holds is bounded by who asks: everything taken is forgotten."""

    def __init__(self) -> None:
        self._tallies: dict[tuple[Measured, int], _Tally] = {}

    def __repr__(self) -> str:
        return f"<ApiMetrics tallies={len(self._tallies)}>"

    def answered(
        self, measured: Measured, at: float, status: int, latency_s: float, integration_s: float | None
    ) -> None:
        """Count an answer to a request that came at a Unix time; `integration_s` is None where it got to none."""
        key = (measured, minute_of(at))
        tally = self._tallies.get(key)
        if tally is None:
            tally = self._tallies[key] = _Tally()
        tally.count += 1
        if 400 <= status < 500:
            tally.client_errors += 1
        elif status >= 500:
            tally.server_errors += 1
        tally.latency_ms.add(latency_s * 1_000)
        if integration_s is not None:
            tally.integration_ms.add(integration_s * 1_000)

    def take(self, _now: float) -> list[Point]:
        """Return what was counted since the last time, and forget it."""
        tallies, self._tallies = self._tallies, {}
        book = MetricBook()
        for (measured, minute), tally in tallies.items():
            for dimensions in measured.dimensions():
                for metric, values in _told(tally, dimensions, is_rest=measured.is_rest):
                    book.merge(Point(metric, minute, values))
        return book.take()


def _told(tally: _Tally, dimensions: Dimensions, *, is_rest: bool) -> Iterator[tuple[Metric, Distribution]]:
    """Name what a tally counted. Errors are binary: their average is the rate of errors."""
    client, server = ("4XXError", "5XXError") if is_rest else ("4xx", "5xx")
    yield Metric(NAMESPACE, "Count", dimensions), Distribution.of_binary(tally.count, tally.count)
    yield Metric(NAMESPACE, client, dimensions), Distribution.of_binary(tally.client_errors, tally.count)
    yield Metric(NAMESPACE, server, dimensions), Distribution.of_binary(tally.server_errors, tally.count)
    yield Metric(NAMESPACE, "Latency", dimensions, Unit.MILLISECONDS), tally.latency_ms
    if tally.integration_ms.count:
        yield Metric(NAMESPACE, "IntegrationLatency", dimensions, Unit.MILLISECONDS), tally.integration_ms

"""What Prometheus scrapes from a running engine: `/_workshape/metrics`. docs/observability.md has the names."""

from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Sequence

from workshape.functions.function_metrics import FunctionMetrics
from workshape.functions.invoker import Invoker
from workshape.functions.provisioned_configs import ProvisionedConfigs
from workshape.metrics.exposition import Family, Labels, counter, exposition, gauge, histogram
from workshape.pgproxy.prometheus import proxy_families
from workshape.queues.broker import Broker
from workshape.queues.model import QueueName
from workshape.status import ProxyFigures, RouteStatus

DURATION_BOUNDS_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 900.0)
"""From what a warm function takes to Lambda's longest timeout."""


class Scrape:
    """Gathers the figures from the engine's own objects."""

    def __init__(
        self,
        *,
        functions: FunctionMetrics,
        invoker: Invoker,
        provisioned: ProvisionedConfigs,
        allocated: Callable[[], int],
        broker: Broker,
        routes: Callable[[], Sequence[RouteStatus]],
        proxies: Callable[[], Awaitable[Sequence[tuple[str, ProxyFigures]]]],
    ) -> None:
        """`allocated` is the concurrency that is reserved or provisioned.

        `proxies` asks every PostgreSQL proxy that answers for its figures, by name.
        """
        self._functions = functions
        self._invoker = invoker
        self._provisioned = provisioned
        self._allocated = allocated
        self._broker = broker
        self._routes = routes
        self._proxies = proxies

    async def text(self) -> bytes:
        """Write all of them as they are now."""
        figures: list[tuple[Labels, ProxyFigures]] = [({"proxy": name}, one) for name, one in await self._proxies()]
        proxy = proxy_families(figures)
        functions = [*self._function_families(), self._environments(), *self._provisioned_families()]
        return exposition([*functions, self._concurrency(), self._queues(), self._answers(), *proxy])

    def _function_families(self) -> Iterator[Family]:
        rows: list[tuple[Labels, int, int, int]] = []
        durations, inits = [], []
        for function, version, totals in self._functions.totals():
            labels = {"function": function, "version": version}
            rows.append((labels, totals.invocations, totals.errors, totals.throttles))
            durations.append((labels, totals.duration_ms))
            if totals.init_ms.count:
                inits.append((labels, totals.init_ms))
        prefix = "workshape_function"
        yield counter(
            f"{prefix}_invocations_total", "Invocations that ran.", [(labels, ran) for labels, ran, _, _ in rows]
        )
        yield counter(
            f"{prefix}_errors_total",
            "Invocations that ended in a function error.",
            [(labels, errors) for labels, _, errors, _ in rows],
        )
        yield counter(
            f"{prefix}_throttles_total",
            "Invocations that were refused.",
            [(labels, throttles) for labels, _, _, throttles in rows],
        )
        yield histogram(f"{prefix}_duration_seconds", "How long invocations ran.", durations, DURATION_BOUNDS_S)
        yield histogram(f"{prefix}_init_duration_seconds", "How long init phases took.", inits, DURATION_BOUNDS_S)

    def _environments(self) -> Family:
        counts = Counter((view.function, view.version, view.state) for view in self._invoker.environments())
        values = [
            ({"function": function, "version": version, "state": state}, count)
            for (function, version, state), count in sorted(counts.items())
        ]
        return gauge("workshape_function_environments", "Execution environments by state.", values)

    def _provisioned_families(self) -> Iterator[Family]:
        environments: list[tuple[Labels, float]] = []
        invocations: list[tuple[Labels, float]] = []
        for name, view in self._provisioned.views():
            labels = {"function": name, "qualifier": view.config.qualifier}
            stands = view.allocation
            environments += [
                ({**labels, "state": "requested"}, stands.requested),
                ({**labels, "state": "allocated"}, stands.allocated),
                ({**labels, "state": "available"}, stands.available),
                ({**labels, "state": "busy"}, stands.busy),
            ]
            invocations += [
                ({**labels, "kind": "provisioned"}, stands.invocations),
                ({**labels, "kind": "spillover"}, stands.spillovers),
            ]
        prefix = "workshape_function_provisioned"
        yield gauge(f"{prefix}_environments", "Provisioned concurrency by state.", environments)
        yield counter(
            f"{prefix}_invocations_total",
            "Invocations of what has provisioned concurrency, on it or spilled over.",
            invocations,
        )

    def _concurrency(self) -> Family:
        concurrency = self._invoker.concurrency
        values: list[tuple[Labels, float]] = [
            ({"kind": "unreserved"}, concurrency.unreserved),
            ({"kind": "claimed"}, concurrency.unreserved + self._allocated()),
        ]
        return gauge("workshape_account_concurrency", "Concurrency of the account, as CloudWatch has it.", values)

    def _queues(self) -> Family:
        values: list[tuple[Labels, float]] = []
        for name in self._broker.list_queues():
            depth = self._broker.depth(QueueName(name))
            for state, count in (
                ("visible", depth.visible),
                ("in_flight", depth.in_flight),
                ("delayed", depth.delayed),
            ):
                values.append(({"queue": name, "state": state}, count))
        return gauge("workshape_queue_messages", "Messages by state.", values)

    def _answers(self) -> Family:
        values = [
            ({"route": route.route, "function": route.function, "status": str(status)}, count)
            for route in self._routes()
            for status, count in sorted(route.answers.items())
        ]
        return counter("workshape_http_responses_total", "Answers of the HTTP API by route and status.", values)

"""RDS Proxy's metrics: counters grow once, gauges are told once a minute, in the sets of dimensions that AWS has."""

from hypothesis import given
from hypothesis import strategies as st

from workshape.metrics.book import total
from workshape.metrics.distribution import Distribution
from workshape.metrics.metric import Point, Unit
from workshape.proxies.proxy_metrics import Measured, ProxyMetrics
from workshape.status import ProxyFigures

SHOP = Measured("shop", "shopdb")
PROXY = (("ProxyName", "shop"),)
TARGET = (("ProxyName", "shop"), ("Target", "shopdb"), ("TargetGroup", "default"))
ROLE = (("ProxyName", "shop"), ("TargetGroup", "default"), ("TargetRole", "READ_WRITE"))


def figures(began: str = "first", latencies: tuple[float, ...] = (), **values: float) -> ProxyFigures:
    spread = Distribution()
    for latency in latencies:
        spread.add(latency)
    told = {"DatabaseConnectionsBorrowLatency": spread.encoded()} if latencies else {}
    return ProxyFigures(began, values, told)


def found(points: list[Point], name: str, dimensions: tuple[tuple[str, str], ...]) -> Distribution:
    return total(point for point in points if (point.metric.name, point.metric.dimensions) == (name, dimensions))


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 50), st.integers(0, 90)), max_size=30))
def test_whatever_is_counted_is_told_once_over_restarts_of_the_proxy(steps: list[tuple[bool, int, int]]) -> None:
    metrics, now, began, count, true = ProxyMetrics(), 0.0, 0, 0, 0
    points: list[Point] = []

    for restarts, more, wait_s in steps:
        now += wait_s
        if restarts:
            began, count = began + 1, 0
        count, true = count + more, true + more
        metrics.observe(SHOP, figures(str(began), QueryRequests=count), now)
        points += metrics.take(now)

    assert found(points, "QueryRequests", PROXY).total == true


def test_a_gauge_is_told_once_a_minute_so_that_its_sum_is_its_value() -> None:
    metrics = ProxyMetrics()

    for second in range(0, 180, 5):
        metrics.observe(SHOP, figures(ClientConnections=7), float(second))

    told = [point for point in metrics.take(0.0) if point.metric.name == "ClientConnections"]
    assert [(point.minute, point.values.total, point.values.count) for point in told] == [
        (0, 7, 1),
        (1, 7, 1),
        (2, 7, 1),
    ]


def test_metrics_have_the_sets_of_dimensions_that_aws_has() -> None:
    metrics = ProxyMetrics()

    totals = {"ClientConnections": 1.0, "DatabaseConnections": 2.0}
    metrics.observe(SHOP, ProxyFigures("first", totals, {}, {"reports": {"ClientConnections": 1.0}}), 0.0)

    sets = [(point.metric.name, point.metric.dimensions) for point in metrics.take(0.0)]
    endpoint = (("EndpointName", "reports"), ("ProxyName", "shop"))
    assert sets == [
        ("ClientConnections", PROXY),
        ("DatabaseConnections", PROXY),
        ("DatabaseConnections", TARGET),
        ("DatabaseConnections", ROLE),
        ("ClientConnections", endpoint),
    ]


def test_latencies_are_microseconds_and_only_what_came_since_the_last_time() -> None:
    metrics = ProxyMetrics()

    metrics.observe(SHOP, figures(latencies=(100.0, 300.0)), 0.0)
    first = metrics.take(0.0)
    metrics.observe(SHOP, figures(latencies=(100.0, 300.0, 5_000.0)), 5.0)
    second = metrics.take(5.0)

    assert first[0].metric.unit is Unit.MICROSECONDS
    assert found(first, "DatabaseConnectionsBorrowLatency", PROXY).average() == 200.0
    latest = found(second, "DatabaseConnectionsBorrowLatency", PROXY)
    assert (latest.count, latest.total) == (1, 5_000.0)


def test_availability_is_the_share_of_good_checks_told_when_the_minute_is_over() -> None:
    metrics = ProxyMetrics()

    for second, is_good in ((0, True), (15, False), (30, True), (45, True)):
        metrics.checked(SHOP, is_good, float(second))
    early = metrics.take(50.0)
    metrics.checked(SHOP, True, 60.0)

    assert early == []
    (point,) = metrics.take(60.0)
    assert (point.metric.dimensions, point.minute, point.values.average()) == (ROLE, 0, 75.0)
    assert point.metric.unit is Unit.PERCENT


def test_a_proxy_that_is_gone_is_forgotten() -> None:
    metrics = ProxyMetrics()
    metrics.observe(SHOP, figures(QueryRequests=5), 0.0)
    metrics.take(0.0)

    metrics.keep(())
    metrics.observe(SHOP, figures(QueryRequests=5), 5.0)

    assert found(metrics.take(5.0), "QueryRequests", PROXY).total == 5, "another one of that name"

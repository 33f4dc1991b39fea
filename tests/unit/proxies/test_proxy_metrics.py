"""RDS Proxy's metrics: counters grow once, gauges are told once a minute, in the sets of dimensions that AWS has."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from workshape.hosted import TargetRole
from workshape.metrics.book import total
from workshape.metrics.distribution import Distribution
from workshape.metrics.metric import Point, Unit
from workshape.proxies.proxy_metrics import MeasuredTarget, ProxyMetrics
from workshape.status import ProxyEndpointFigures, ProxyFigures, ProxyTargetFigures

ALONE = (MeasuredTarget("shopdb", "10.0.0.1:5432", TargetRole.READ_WRITE, is_available=True),)
PROXY = (("ProxyName", "shop"),)
TARGET = (("ProxyName", "shop"), ("Target", "shopdb"), ("TargetGroup", "default"))
ROLE = (("ProxyName", "shop"), ("TargetGroup", "default"), ("TargetRole", "READ_WRITE"))


def figures(began: str = "first", latencies: tuple[float, ...] = (), **values: float) -> ProxyFigures:
    spread = Distribution()
    for latency in latencies:
        spread.add(latency)
    told = {"DatabaseConnectionsBorrowLatency": spread.encoded()} if latencies else {}
    return ProxyFigures(began, values, told)


def of_target(**values: float) -> ProxyTargetFigures:
    return ProxyTargetFigures(dict(values), "READ_WRITE")


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
        metrics.observe("shop", figures(str(began), QueryRequests=count), ALONE, now)
        points += metrics.take(now)

    assert found(points, "QueryRequests", PROXY).total == true


def test_a_gauge_is_told_once_a_minute_so_that_its_sum_is_its_value() -> None:
    metrics = ProxyMetrics()

    for second in range(0, 180, 5):
        metrics.observe("shop", figures(ClientConnections=7), ALONE, float(second))

    told = [point for point in metrics.take(0.0) if point.metric.name == "ClientConnections"]
    assert [(point.minute, point.values.total, point.values.count) for point in told] == [
        (0, 7, 1),
        (1, 7, 1),
        (2, 7, 1),
    ]


def test_metrics_have_the_sets_of_dimensions_that_aws_has() -> None:
    metrics = ProxyMetrics()

    totals = {"ClientConnections": 1.0, "DatabaseConnections": 2.0}
    endpoints = {"reports": ProxyEndpointFigures({"ClientConnections": 1.0})}
    targets = {"10.0.0.1:5432": of_target(DatabaseConnections=2.0)}
    metrics.observe("shop", ProxyFigures("first", totals, {}, endpoints, targets), ALONE, 0.0)

    sets = [(point.metric.name, point.metric.dimensions) for point in metrics.take(0.0)]
    endpoint = (("EndpointName", "reports"), ("ProxyName", "shop"))
    assert sets == [
        ("ClientConnections", PROXY),
        ("DatabaseConnections", PROXY),
        ("ClientConnections", endpoint),
        ("DatabaseConnections", TARGET),
        ("DatabaseConnections", ROLE),
    ]


def test_latencies_are_microseconds_and_only_what_came_since_the_last_time() -> None:
    metrics = ProxyMetrics()

    metrics.observe("shop", figures(latencies=(100.0, 300.0)), ALONE, 0.0)
    first = metrics.take(0.0)
    metrics.observe("shop", figures(latencies=(100.0, 300.0, 5_000.0)), ALONE, 5.0)
    second = metrics.take(5.0)

    assert first[0].metric.unit is Unit.MICROSECONDS
    assert found(first, "DatabaseConnectionsBorrowLatency", PROXY).average() == 200.0
    latest = found(second, "DatabaseConnectionsBorrowLatency", PROXY)
    assert (latest.count, latest.total) == (1, 5_000.0)


def test_latencies_are_told_by_endpoint_by_target_and_by_role() -> None:
    metrics = ProxyMetrics()
    name = "QueryDatabaseResponseLatency"

    def spread(*values: float) -> dict[str, bytes]:
        made = Distribution()
        for value in values:
            made.add(value)
        return {name: made.encoded()}

    endpoints = {"web": ProxyEndpointFigures({}, spread(1.0)), "reports": ProxyEndpointFigures({}, spread(2.0, 3.0))}
    targets = {
        "1": ProxyTargetFigures({}, "READ_WRITE", latencies_us=spread(1.0, 2.0)),
        "2": ProxyTargetFigures({}, "READ_ONLY", latencies_us=spread(3.0)),
    }
    metrics.observe(
        "shop",
        ProxyFigures("first", {}, spread(1.0, 2.0, 3.0), endpoints, targets),
        cluster("READ_WRITE", "READ_ONLY"),
        0.0,
    )
    points = metrics.take(0.0)

    totals = {
        dimensions: found(points, name, dimensions).total
        for dimensions in (
            PROXY,
            (("EndpointName", "web"), *PROXY),
            (("EndpointName", "reports"), *PROXY),
            by_role("READ_WRITE"),
            by_role("READ_ONLY"),
        )
    }
    assert list(totals.values()) == [6.0, 1.0, 5.0, 3.0, 3.0]


def test_availability_is_the_share_of_good_checks_told_when_the_minute_is_over() -> None:
    metrics = ProxyMetrics()

    for second, is_good in ((0, True), (15, False), (30, True), (45, True)):
        metrics.checked("shop", (replace(ALONE[0], is_available=is_good),), float(second))
    early = metrics.take(50.0)
    metrics.checked("shop", ALONE, 60.0)

    assert early == []
    (point,) = metrics.take(60.0)
    assert (point.metric.dimensions, point.minute, point.values.average()) == (ROLE, 0, 75.0)
    assert point.metric.unit is Unit.PERCENT


def by_role(role: str) -> tuple[tuple[str, str], ...]:
    return (("ProxyName", "shop"), ("TargetGroup", "default"), ("TargetRole", role))


def cluster(*roles: str, is_available: bool = True) -> list[MeasuredTarget]:
    """Instances of these roles, at the servers 1, 2, ..."""
    return [
        MeasuredTarget(f"shopdb-instance-{number}", str(number), TargetRole(role), is_available)
        for number, role in enumerate(roles, 1)
    ]


def test_what_goes_on_at_several_servers_is_told_by_each_and_by_their_roles_of_the_moment() -> None:
    metrics = ProxyMetrics()

    def counted(*requests: float) -> ProxyFigures:
        each = {
            str(number): of_target(DatabaseConnectionRequests=count, DatabaseConnections=2.0)
            for number, count in enumerate(requests, 1)
        }
        return ProxyFigures("first", {"DatabaseConnectionRequests": sum(requests)}, {}, {}, each)

    before = cluster("READ_WRITE", "READ_ONLY", "READ_ONLY")
    metrics.observe("shop", counted(3, 5, 7), before, 0.0)
    after = cluster("UNKNOWN", "READ_WRITE", "READ_ONLY")
    metrics.observe("shop", counted(4, 15, 8), after, 5.0)
    points = metrics.take(5.0)

    requests, connections = "DatabaseConnectionRequests", "DatabaseConnections"
    second = (("ProxyName", "shop"), ("Target", "shopdb-instance-2"), ("TargetGroup", "default"))
    assert found(points, requests, PROXY).total == 27
    assert found(points, requests, second).total == 15
    assert found(points, requests, by_role("READ_WRITE")).total == 3 + 10
    assert found(points, requests, by_role("READ_ONLY")).total == 12 + 1
    assert found(points, connections, by_role("READ_ONLY")).total == 4, "a minute's Sum is how many there are"
    assert not [point for point in points if point.metric.dimensions == by_role("UNKNOWN")]


def test_availability_of_several_readers_is_the_average_over_them() -> None:
    metrics = ProxyMetrics()
    writer, reader = cluster("READ_WRITE", "READ_ONLY")
    (away,) = cluster("READ_ONLY", is_available=False)

    metrics.checked("shop", (writer, reader, away), 0.0)
    metrics.checked("shop", (writer, reader, reader), 30.0)
    metrics.checked("shop", (), 60.0)

    points = metrics.take(60.0)
    assert found(points, "AvailabilityPercentage", by_role("READ_WRITE")).average() == 100.0
    assert found(points, "AvailabilityPercentage", by_role("READ_ONLY")).average() == 75.0


def test_a_proxy_that_is_gone_is_forgotten() -> None:
    metrics = ProxyMetrics()
    metrics.observe("shop", figures(QueryRequests=5), ALONE, 0.0)
    metrics.take(0.0)

    metrics.keep(())
    metrics.observe("shop", figures(QueryRequests=5), ALONE, 5.0)

    assert found(metrics.take(5.0), "QueryRequests", PROXY).total == 5, "another one of that name"

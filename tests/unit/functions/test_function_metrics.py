"""Lambda's metrics: what counts where, under which dimensions."""

from hypothesis import given
from hypothesis import strategies as st

from workshape.functions.concurrency import Concurrency
from workshape.functions.function_metrics import NAMESPACE, OWN_NAMESPACE, FunctionMetrics, concurrency_points
from workshape.functions.model import LATEST, FunctionName
from workshape.functions.resource_concurrency import ResourceConcurrency
from workshape.metrics.book import total
from workshape.metrics.distribution import Distribution
from workshape.metrics.metric import Point

ARN = "arn:aws:lambda:us-east-1:123456789012:function:f"
AT = 1_791_442_429.0
OF_FUNCTION = {"FunctionName": "f"}


def found(points: list[Point], name: str, dimensions: dict[str, str], namespace: str = NAMESPACE) -> Distribution:
    wanted = tuple(sorted(dimensions.items()))
    of_metric = [point for point in points if (point.metric.namespace, point.metric.name) == (namespace, name)]
    return total(point for point in of_metric if point.metric.dimensions == wanted)


def test_an_invocation_counts_for_the_account_the_function_and_what_was_named() -> None:
    metrics = FunctionMetrics()
    metrics.ended(ARN, "$LATEST", AT, 12.5, None, failed=False)
    metrics.ended(f"{ARN}:live", "7", AT, 100.0, 250.0, failed=True)

    points = metrics.take(AT)

    alias = {"FunctionName": "f", "Resource": "f:live"}
    counts = {
        (): found(points, "Invocations", {}).total,
        "function": found(points, "Invocations", OF_FUNCTION).total,
        "unqualified": found(points, "Invocations", {"FunctionName": "f", "Resource": "f"}).total,
        "alias": found(points, "Invocations", alias).total,
        "alias and version": found(points, "Invocations", {**alias, "ExecutedVersion": "7"}).total,
        "unqualified and version": found(
            points, "Invocations", {"FunctionName": "f", "Resource": "f", "ExecutedVersion": "$LATEST"}
        ).count,
    }
    assert counts == {
        (): 2,
        "function": 2,
        "unqualified": 1,
        "alias": 1,
        "alias and version": 1,
        "unqualified and version": 0,
    }
    errors = found(points, "Errors", OF_FUNCTION)
    assert (errors.count, errors.total) == (2, 1), "each invocation says 0 or 1: the average is the error rate"
    assert found(points, "Duration", OF_FUNCTION).maximum == 100.0
    assert found(points, "InitDuration", OF_FUNCTION, OWN_NAMESPACE).total == 250.0
    assert metrics.take(AT) == []


def test_a_throttled_invocation_is_no_invocation() -> None:
    metrics = FunctionMetrics()
    metrics.throttled(f"{ARN}:3", "3", AT)
    metrics.ended(f"{ARN}:3", "3", AT, 1.0, None, failed=False)

    points = metrics.take(AT)

    throttles = found(points, "Throttles", {"FunctionName": "f", "Resource": "f:3"})
    assert (throttles.count, throttles.total) == (2, 1)
    assert found(points, "Invocations", {}).total == 1


def test_an_invocation_counts_in_the_minute_in_which_it_came() -> None:
    metrics = FunctionMetrics()
    metrics.ended(ARN, "$LATEST", AT - 120, 120_000.0, None, failed=False)

    assert {point.minute for point in metrics.take(AT)} == {int(AT // 60) - 2}


def test_events_are_counted_when_received_attempted_and_dropped() -> None:
    metrics = FunctionMetrics()
    metrics.event_received("f", None, AT)
    metrics.event_attempted("f", None, 0.25, AT)
    metrics.event_attempted("f", None, 60.25, AT)
    metrics.event_dropped("f", None, AT)

    points = metrics.take(AT)

    ages = found(points, "AsyncEventAge", OF_FUNCTION)
    assert (ages.count, ages.minimum, ages.maximum) == (2, 250.0, 60_250.0)
    assert found(points, "AsyncEventsReceived", {}).total == 1
    assert found(points, "AsyncEventsDropped", {"FunctionName": "f", "Resource": "f"}).total == 1


def test_concurrency_tells_the_peak_since_it_was_last_asked() -> None:
    concurrency, name = Concurrency(1_000), FunctionName("f")
    for _ in range(3):
        concurrency.admit(name, reserved=False)
    concurrency.admit(FunctionName("g"), reserved=True)
    for _ in range(2):
        concurrency.release(name, reserved=False)

    first = concurrency_points(concurrency.take_peaks(), [], 10, AT)
    second = concurrency_points(concurrency.take_peaks(), [], 10, AT)

    def peaks(points: list[Point]) -> list[float]:
        return [
            found(points, "ConcurrentExecutions", OF_FUNCTION).maximum,
            found(points, "ConcurrentExecutions", {}).maximum,
            found(points, "UnreservedConcurrentExecutions", {}).maximum,
            found(points, "ClaimedAccountConcurrency", {}).maximum,
        ]

    assert peaks(first) == [3, 4, 3, 13]
    assert peaks(second) == [1, 2, 1, 11]


def test_concurrency_is_told_of_what_was_named_and_of_the_versions_that_an_alias_chose() -> None:
    running = ResourceConcurrency()
    for version in ("1", "2", "2"):
        running.admit(f"{ARN}:live", version)
    running.release(f"{ARN}:live", "1")
    running.admit(f"{ARN}:2", "2")
    running.admit(ARN, LATEST)

    points = concurrency_points(Concurrency(1_000).take_peaks(), running.take_peaks(), 0, AT)

    def peak(**more: str) -> float:
        return found(points, "ConcurrentExecutions", {**OF_FUNCTION, **more}).maximum

    assert peak(Resource="f:live") == 3
    assert (peak(Resource="f:live", ExecutedVersion="1"), peak(Resource="f:live", ExecutedVersion="2")) == (1, 2)
    assert (peak(Resource="f:2"), peak(Resource="f")) == (1, 1)
    assert [point.metric.name for point in points] == ["ConcurrentExecutions"] * 5


@given(st.lists(st.tuples(st.booleans(), st.sampled_from(["", ":live", ":2"])), max_size=40))
def test_a_peak_is_the_most_that_ran_at_once_by_that_name(steps: list[tuple[bool, str]]) -> None:
    running, now, most = ResourceConcurrency(), dict[str, int](), dict[str, int]()

    for begins, qualifier in steps:
        arn, version = f"{ARN}{qualifier}", "2" if qualifier else LATEST
        if begins:
            running.admit(arn, version)
            now[arn] = now.get(arn, 0) + 1
            most[arn] = max(most.get(arn, 0), now[arn])
        elif now.get(arn):
            running.release(arn, version)
            now[arn] -= 1

    assert {peak.invoked_arn: peak.count for peak in running.take_peaks() if not peak.version} == most
    assert {peak.invoked_arn: peak.count for peak in running.take_peaks() if not peak.version} == {
        arn: count for arn, count in now.items() if count
    }


def test_totals_go_on_until_the_function_is_deleted() -> None:
    metrics = FunctionMetrics()
    for _ in range(2):
        metrics.ended(ARN, "$LATEST", AT, 5.0, None, failed=True)
        metrics.take(AT)

    (only,) = metrics.totals()
    metrics.forget(FunctionName("f"), frozenset({"another-revision"}))
    kept = list(metrics.totals())
    metrics.forget(FunctionName("f"), frozenset())

    assert (only[0], only[1], only[2].invocations, only[2].errors) == ("f", "$LATEST", 2, 2)
    assert len(kept) == 1
    assert list(metrics.totals()) == []


@given(
    st.lists(st.tuples(st.sampled_from(["", ":1", ":live"]), st.sampled_from("12"), st.integers(0, 300), st.booleans()))
)
def test_every_sum_over_a_function_is_the_sum_of_its_parts(ended: list[tuple[str, str, int, bool]]) -> None:
    metrics = FunctionMetrics()
    for qualifier, version, second, failed in ended:
        metrics.ended(ARN + qualifier, version, AT + second, float(second), None, failed=failed)

    points = metrics.take(AT)

    resources = [{"FunctionName": "f", "Resource": f"f{qualifier}"} for qualifier in ("", ":1", ":live")]
    for name in ("Invocations", "Errors", "Duration", "Throttles"):
        whole = found(points, name, OF_FUNCTION)
        parts = [found(points, name, resource) for resource in resources]
        assert whole.total == sum(part.total for part in parts) == found(points, name, {}).total
        assert whole.count == sum(part.count for part in parts) == len(ended)

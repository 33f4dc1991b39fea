"""SQS's metrics: of active queues only."""

from workshape.queues.model import FairDepth, QueueDepth, QueueName
from workshape.queues.queue_metrics import ACTIVE_S, QueueMetrics

FULL, EMPTY = QueueName("full"), QueueName("empty")


def test_a_queue_that_never_held_anything_has_no_metrics() -> None:
    points = list(QueueMetrics().points({FULL: QueueDepth(3, 1, 2), EMPTY: QueueDepth(0, 0, 0)}, {}, 0.0))

    assert {(point.metric.name, point.values.total) for point in points} == {
        ("ApproximateNumberOfMessagesVisible", 3),
        ("ApproximateNumberOfMessagesNotVisible", 1),
        ("ApproximateNumberOfMessagesDelayed", 2),
    }
    assert {point.metric.dimensions for point in points} == {(("QueueName", "full"),)}


def test_a_queue_stays_active_for_six_hours_and_while_it_exists() -> None:
    metrics, empty = QueueMetrics(), {FULL: QueueDepth(0, 0, 0)}
    list(metrics.points({FULL: QueueDepth(1, 0, 0)}, {}, 0.0))

    assert len(list(metrics.points(empty, {}, ACTIVE_S))) == 3
    assert list(metrics.points(empty, {}, ACTIVE_S + 1)) == []
    list(metrics.points({FULL: QueueDepth(1, 0, 0)}, {}, ACTIVE_S + 2))
    assert list(metrics.points({}, {}, ACTIVE_S + 3)) == []


def test_a_fair_queue_tells_how_many_groups_are_noisy_and_what_the_others_have() -> None:
    fair = {FULL: FairDepth(2, QueueDepth(4, 5, 6, oldest_sent_at=70.0))}

    points = list(QueueMetrics().points({FULL: QueueDepth(30, 10, 20)}, fair, 100.0))

    assert {(point.metric.name, point.values.total) for point in points if "Groups" in point.metric.name} == {
        ("ApproximateNumberOfNoisyGroups", 2),
        ("ApproximateNumberOfMessagesVisibleInQuietGroups", 4),
        ("ApproximateNumberOfMessagesNotVisibleInQuietGroups", 5),
        ("ApproximateNumberOfMessagesDelayedInQuietGroups", 6),
        ("ApproximateAgeOfOldestMessageInQuietGroups", 30),
    }

"""How many pollers a topic has: more while records wait longer than an interval, never more than partitions."""

from hypothesis import given
from hypothesis import strategies as st

from workshape.triggers.model import Pollers
from workshape.triggers.poller_scale import EVALUATE_S, PROVISIONED_EVALUATE_S, PollerScale


def test_on_demand_pollers_double_each_minute_that_more_waits_than_was_done_in_it() -> None:
    scale, now, seen = PollerScale(None, 0.0), 0.0, []

    for _ in range(5):
        now += EVALUATE_S
        scale.finished(100)
        scale.observed(101, 12, now)
        seen.append(scale.lanes(12))

    assert seen == [2, 4, 8, 12, 12]


def test_nothing_is_decided_within_an_interval() -> None:
    scale = PollerScale(None, 0.0)

    for second in range(59):
        scale.observed(1_000, 12, float(second))

    assert scale.lanes(12) == 1


def test_pollers_are_given_back_when_nothing_waits_and_kept_while_something_does() -> None:
    scale = PollerScale(None, 0.0)
    for minute in range(1, 4):
        scale.observed(1_000, 8, minute * EVALUATE_S)
    assert scale.pollers(8) == 8

    scale.finished(500)
    scale.observed(10, 8, 4 * EVALUATE_S)
    assert scale.pollers(8) == 8
    scale.observed(0, 8, 5 * EVALUATE_S)
    assert scale.pollers(8) == 4


def test_provisioned_pollers_stay_within_their_bounds_and_have_five_invocations_each() -> None:
    scale, now = PollerScale(Pollers(2, 3), 0.0), 0.0
    assert (scale.pollers(40), scale.lanes(40)) == (2, 10)

    for _ in range(3):
        now += PROVISIONED_EVALUATE_S
        scale.observed(1_000, 40, now)
    assert (scale.pollers(40), scale.lanes(40)) == (3, 15)
    for _ in range(3):
        now += PROVISIONED_EVALUATE_S
        scale.observed(0, 40, now)

    assert scale.pollers(40) == 2


def test_throttles_take_pollers_away() -> None:
    scale = PollerScale(None, 0.0)
    for minute in range(1, 4):
        scale.observed(1_000, 8, minute * EVALUATE_S)

    for _ in range(20):
        scale.throttled(8)

    assert scale.pollers(8) == 1


@given(
    st.none() | st.tuples(st.integers(1, 9), st.integers(0, 9)).map(lambda two: Pollers(two[0], two[0] + two[1])),
    st.lists(st.tuples(st.sampled_from(["lag", "none", "throttled"]), st.integers(0, 20)), max_size=30),
)
def test_there_are_never_more_lanes_than_partitions(pollers: Pollers | None, events: list[tuple[str, int]]) -> None:
    scale, now = PollerScale(pollers, 0.0), 0.0

    for what, partitions in events:
        now += EVALUATE_S
        if what == "throttled":
            scale.throttled(partitions)
        else:
            scale.observed(1_000 if what == "lag" else 0, partitions, now)
        assert 1 <= scale.lanes(partitions) <= max(1, partitions)
        assert scale.pollers(partitions) <= scale.lanes(partitions) or partitions == 0
        if pollers is not None:
            assert scale.pollers(partitions) <= pollers.most

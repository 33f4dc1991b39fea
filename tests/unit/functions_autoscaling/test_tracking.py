"""Target tracking: the alarms' rows of data points, steps, cooldowns, bounds. No clock: `now` is a number."""

from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from workshape.functions.autoscaling.model import ScalableTarget, Suspended, TrackingPolicy
from workshape.functions.autoscaling.tracking import Decision, Tracking


def policy(name: str = "p", target_value: float = 0.7, **more: float) -> TrackingPolicy:
    return TrackingPolicy(name, "id", target_value, 0.0, **more)  # type: ignore[arg-type]  # the test's shorthand


def target(*policies: TrackingPolicy, low: int = 1, high: int = 100, **more: Suspended) -> ScalableTarget:
    by_name = {each.name: each for each in policies or (policy(),)}
    return ScalableTarget("function:f:live", "id", low, high, 0.0, policies=by_name, **more)  # type: ignore[arg-type]


class Minutes:
    """A tracking, minute by minute."""

    def __init__(self) -> None:
        self.tracking = Tracking()
        self.now = 0.0
        self.tracking.sample(None, self.now)

    def points(self, values: Sequence[float | None]) -> None:
        """Let minutes pass, each with this utilization all through it."""
        for value in values:
            self.tracking.sample(value, self.now + 1)
            self.now += 60.0
            assert self.tracking.sample(None, self.now)

    def decide(self, scaled: ScalableTarget, capacity: int) -> Decision | None:
        return self.tracking.decide(scaled, capacity, self.now)


def test_three_minutes_above_the_target_scale_out_in_proportion() -> None:
    minutes = Minutes()

    minutes.points([0.9, 1.0])
    early = minutes.decide(target(), 10)
    minutes.points([0.91])
    due = minutes.decide(target(), 10)

    assert early is None
    assert due == Decision(13, "p", is_out=True)


def test_a_minute_at_the_target_or_without_data_breaks_the_row() -> None:
    for between in (0.7, None):
        minutes = Minutes()

        minutes.points([0.9, between, 0.9])

        assert minutes.decide(target(), 10) is None


def test_a_data_point_is_the_average_of_a_minute() -> None:
    tracking = Tracking()
    for minute in range(3):
        for second, value in ((0, 0.5), (20, 1.0), (40, 0.9)):
            tracking.sample(value, minute * 60.0 + second)

    assert tracking.sample(None, 180.0)
    assert tracking.decide(target(), 10, 180.0) == Decision(12, "p", is_out=True)


def test_fifteen_minutes_below_nine_tenths_of_the_target_scale_in_by_a_small_step() -> None:
    minutes = Minutes()

    minutes.points([0.1] * 14)
    early = minutes.decide(target(), 50)
    minutes.points([0.1])
    due = minutes.decide(target(), 50)
    minutes.points([0.1])
    next_one = minutes.decide(target(), 45)

    assert early is None
    assert due == Decision(45, "p", is_out=False)
    assert next_one == Decision(41, "p", is_out=False)


def test_between_the_two_thresholds_nothing_changes() -> None:
    minutes = Minutes()

    minutes.points([0.63, 0.7] * 8)

    assert minutes.decide(target(), 10) is None


def test_scaling_in_never_goes_so_far_that_it_would_have_to_go_out_again() -> None:
    minutes = Minutes()

    minutes.points([0.62] * 15)

    assert minutes.decide(target(), 10) == Decision(9, "p", is_out=False)
    assert minutes.decide(target(), 2) is None, "1 would be at 1.24"


def test_the_bounds_hold_and_are_given_as_the_reason() -> None:
    busy, idle = Minutes(), Minutes()
    busy.points([1.0] * 3)
    idle.points([0.0] * 15)

    assert busy.decide(target(high=11), 10) == Decision(11, "p", is_out=True)
    assert busy.decide(target(high=10), 10) == Decision(15, "p", is_out=True, not_scaled="AlreadyAtMaxCapacity")
    assert idle.decide(target(low=10), 10) == Decision(9, "p", is_out=False, not_scaled="AlreadyAtMinCapacity")


def test_during_a_scale_out_cooldown_only_a_larger_one_is_done() -> None:
    minutes = Minutes()
    scaled = target(policy(scale_out_cooldown_s=120))
    minutes.points([0.8] * 3)

    first = minutes.decide(scaled, 10)
    minutes.points([0.8])
    same = minutes.decide(scaled, 12)
    minutes.points([1.0])
    larger = minutes.decide(scaled, 12)

    assert first == Decision(12, "p", is_out=True)
    assert same is None, "what the first added is part of it"
    assert larger == Decision(18, "p", is_out=True), "the cooldown has just ended: in proportion to what there is"


def test_a_larger_scale_out_during_the_cooldown_counts_from_before_it() -> None:
    minutes = Minutes()
    scaled = target(policy(scale_out_cooldown_s=600))
    minutes.points([0.8] * 3)
    minutes.decide(scaled, 10)

    minutes.points([1.0])

    assert minutes.decide(scaled, 12) == Decision(15, "p", is_out=True)


def test_a_scale_in_cooldown_blocks_scale_ins_and_a_scale_out_ends_it() -> None:
    minutes = Minutes()
    scaled = target(policy(scale_in_cooldown_s=3_600))
    minutes.points([0.1] * 15)

    first = minutes.decide(scaled, 50)
    minutes.points([0.1])
    blocked = minutes.decide(scaled, 45)
    minutes.points([1.0] * 3)
    out = minutes.decide(scaled, 45)
    minutes.points([0.1] * 15)
    again = minutes.decide(scaled, 65)

    assert first == Decision(45, "p", is_out=False)
    assert blocked is None
    assert out == Decision(65, "p", is_out=True)
    assert again == Decision(59, "p", is_out=False)


def test_the_policy_that_wants_most_is_followed_and_scaling_in_needs_all() -> None:
    out, into = Minutes(), Minutes()
    out.points([0.9] * 3)
    into.points([0.4] * 15)
    both = target(policy("near"), policy("wide", 0.3))

    assert out.decide(both, 10) == Decision(30, "wide", is_out=True)
    assert into.decide(target(policy("near"), policy("low", 0.42)), 10) is None
    assert into.decide(target(policy("near"), policy("low", 0.42, disable_scale_in=True)), 10) == Decision(
        9, "near", is_out=False
    )


def test_what_is_suspended_or_disabled_is_not_done() -> None:
    busy, idle = Minutes(), Minutes()
    busy.points([1.0] * 3)
    idle.points([0.0] * 15)

    assert busy.decide(target(suspended=Suspended(scale_out=True)), 10) is None
    assert idle.decide(target(suspended=Suspended(scale_in=True)), 10) is None
    assert idle.decide(target(policy(disable_scale_in=True)), 10) is None


def test_minutes_in_which_nothing_was_measured_are_data_points_without_data() -> None:
    minutes = Minutes()
    minutes.points([0.9, 0.9])

    minutes.now += 600.0
    minutes.points([0.9])

    assert minutes.decide(target(), 10) is None


def test_without_capacity_there_is_nothing_to_decide() -> None:
    minutes = Minutes()
    minutes.points([1.0] * 3)

    assert minutes.decide(target(low=0), 0) is None


@given(
    st.lists(st.one_of(st.none(), st.floats(0, 1)), min_size=1, max_size=40),
    st.floats(0.1, 0.9),
    st.integers(0, 20),
    st.integers(0, 50),
    st.integers(0, 300),
)
def test_the_capacity_stays_within_its_bounds_and_moves_only_for_a_row_of_data(
    points: list[float | None], wanted: float, low: int, width: int, cooldown_s: int
) -> None:
    minutes = Minutes()
    scaled = target(
        policy(target_value=wanted, scale_out_cooldown_s=cooldown_s, scale_in_cooldown_s=cooldown_s),
        low=low,
        high=low + width,
    )
    capacity = low + width // 2

    for index in range(len(points)):
        minutes.points([points[index]])
        decision = minutes.decide(scaled, capacity)
        if decision is None or decision.not_scaled is not None:
            continue
        row = points[: index + 1][-3:] if decision.is_out else points[: index + 1][-15:]
        assert None not in row
        assert low <= decision.capacity <= low + width
        assert (decision.capacity > capacity) == decision.is_out
        assert decision.capacity != capacity
        capacity = decision.capacity

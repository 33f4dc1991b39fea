"""When a part is started again: no clock, no process."""

from hypothesis import given
from hypothesis import strategies as st

from workshape.parts.restart import GiveUp, Restart, RestartLimits, RestartPolicy

LIMITS = RestartLimits(delay_s_first=1.0, delay_s_max=10.0, healthy_after_s=30.0, deaths_max=6)


def test_each_death_in_a_row_waits_twice_as_long_up_to_a_bound() -> None:
    policy = RestartPolicy(LIMITS)

    decisions = [policy.exited(100.0, "exit status 1") for _ in range(5)]

    assert decisions == [Restart(100.0 + delay_s, death) for death, delay_s in enumerate((1, 2, 4, 8, 10), 1)]


def test_a_part_that_was_healthy_long_enough_starts_with_a_clean_slate() -> None:
    policy = RestartPolicy(LIMITS)
    policy.exited(0.0, "exit status 1")
    policy.exited(1.0, "exit status 1")
    policy.became_ready(10.0)

    decision = policy.exited(40.0, "exit status 1")

    assert decision == Restart(41.0, 1)


def test_a_part_that_was_ready_only_briefly_does_not() -> None:
    policy = RestartPolicy(LIMITS)
    policy.exited(0.0, "exit status 1")
    policy.became_ready(10.0)

    decision = policy.exited(39.0, "exit status 1")

    assert decision == Restart(41.0, 2)


def test_a_part_that_keeps_dying_is_given_up_and_its_last_death_is_told() -> None:
    policy = RestartPolicy(LIMITS)
    for _ in range(5):
        policy.exited(0.0, "exit status 1")

    decision = policy.exited(0.0, "killed by SIGSEGV")

    assert decision == GiveUp("died 6 times in a row, last: killed by SIGSEGV")


@given(st.lists(st.tuples(st.floats(0, 100), st.floats(0, 100)), max_size=40))
def test_a_restart_is_never_in_the_past_and_never_further_away_than_the_bound(lives: list[tuple[float, float]]) -> None:
    policy = RestartPolicy(LIMITS)
    now = 0.0
    unhealthy = 0

    for start_s, ready_s in lives:
        policy.became_ready(now + start_s)
        now += start_s + ready_s
        unhealthy = 1 if ready_s >= LIMITS.healthy_after_s else unhealthy + 1
        match policy.exited(now, "exit status 1"):
            case Restart(at, _):
                assert now < at <= now + LIMITS.delay_s_max
                now = at
            case GiveUp():
                assert unhealthy >= LIMITS.deaths_max - 1  # rounding may make a life a hair too short
                break
    else:
        assert unhealthy <= LIMITS.deaths_max

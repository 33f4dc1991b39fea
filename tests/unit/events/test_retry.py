"""What becomes of a failed delivery: bounded by attempts and by age, whatever happens."""

from hypothesis import given
from hypothesis import strategies as st

from workshape.events.retry import BACKOFF_S_MAX, Failure, GiveUp, RetryPolicy, TryAgain, after_failure

PASSING = Failure("THROTTLING", "slow down", is_retryable=True)
FINAL = Failure("NO_RESOURCE", "gone", is_retryable=False)


def test_what_cannot_succeed_is_not_tried_again() -> None:
    assert after_failure(RetryPolicy(), FINAL, 0, 0.0, 1.0, 0.5) == GiveUp()


def test_waits_double_and_are_spread() -> None:
    waits = [after_failure(RetryPolicy(), PASSING, retries, 0.0, 0.0, 1.0) for retries in range(4)]

    assert waits == [TryAgain(1.0), TryAgain(2.0), TryAgain(4.0), TryAgain(8.0)]
    assert after_failure(RetryPolicy(), PASSING, 3, 0.0, 0.0, 0.0) == TryAgain(4.0)


def test_without_retries_the_first_failure_is_the_last() -> None:
    assert after_failure(RetryPolicy(retries_max=0), PASSING, 0, 0.0, 1.0, 0.5) == GiveUp("MaximumRetryAttempts")


def test_what_would_be_too_old_at_its_next_attempt_is_given_up() -> None:
    outcome = after_failure(RetryPolicy(age_s_max=60), PASSING, 5, 0.0, 45.0, 0.5)

    assert outcome == GiveUp("MaximumEventAgeInSeconds")


@given(
    st.builds(RetryPolicy, st.integers(0, 185), st.integers(60, 86_400)),
    st.floats(0, 1),
    st.floats(0, 30),
)
def test_it_ends_within_its_attempts_and_its_age(policy: RetryPolicy, chance: float, takes_s: float) -> None:
    now, retries = 0.0, 0

    while True:
        now += takes_s
        outcome = after_failure(policy, PASSING, retries, 0.0, now, chance)
        if isinstance(outcome, GiveUp):
            break
        assert now < outcome.due_at <= now + BACKOFF_S_MAX
        now, retries = outcome.due_at, retries + 1
        assert now <= policy.age_s_max

    assert retries <= policy.retries_max
    assert outcome.exhausted in ("MaximumRetryAttempts", "MaximumEventAgeInSeconds")

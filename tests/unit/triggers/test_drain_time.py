"""The pace against AWS's scaling law: five batches at first, five more a second, 1,250 at most."""

from workshape.triggers.pace import Pace

STEP_S = 0.2


def test_a_million_messages_in_batches_of_ten_that_take_a_second_drain_in_199_seconds() -> None:
    pace, now, left = Pace(None, 0.0), 0.0, 1_000_000.0

    while left > 0:
        now += STEP_S
        pace.observed(now, messages_wait=True)
        left -= pace.allowed * 10 * STEP_S

    assert 198 <= now <= 201

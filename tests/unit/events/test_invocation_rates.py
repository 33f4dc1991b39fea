"""The lines of API destinations: no more a second than they take, in order, and everyone once."""

import heapq
from collections.abc import Sequence

from hypothesis import given, settings
from hypothesis import strategies as st

from workshape.events.api_destinations.invocation_rate import IN_FLIGHT_MAX, LATE_S_MAX, InvocationRates

ARN = "arn:aws:events:us-east-1:123456789012:api-destination/d/1"


class Driver:
    """What a target queue does with the rates: it attempts what is due, and holds who was told a time."""

    def __init__(self, rate: int | None) -> None:
        self.rate = rate
        self.rates = InvocationRates(lambda _: self.rate)
        self.went: list[tuple[float, str]] = []
        self._due: list[tuple[float, int, str]] = []
        self._numbers = 0

    def hold(self, key: str, at: float) -> None:
        """Have one attempted."""
        self._numbers += 1
        heapq.heappush(self._due, (at, self._numbers, key))

    def run(self, until: float = 1e9, late_s: float = 0.0) -> None:
        """Attempt what is due until then, each attempt ending at once; timers are late by so much."""
        while self._due and self._due[0][0] <= until:
            due_at, _, key = heapq.heappop(self._due)
            now = due_at + late_s
            at = self.rates.arrive(ARN, key, now)
            if at is None:
                continue
            if at > now:
                self.hold(key, at)
                continue
            self.went.append((now, key))
            self._call(now)
            self.rates.ended(ARN)
            self._call(now)

    def _call(self, now: float) -> None:
        called = self.rates.call(ARN, now)
        if called is not None:
            self.hold(called.key, called.at)


def times(driver: Driver) -> Sequence[float]:
    return [round(at, 6) for at, _ in driver.went]


def test_invocations_of_one_moment_go_evenly_and_in_their_order() -> None:
    driver = Driver(rate=4)
    for number in range(5):
        driver.hold(str(number), 10.0)

    driver.run()

    assert times(driver) == [10.0, 10.25, 10.5, 10.75, 11.0]
    assert [key for _, key in driver.went] == ["0", "1", "2", "3", "4"]


def test_what_has_no_rate_goes_at_once() -> None:
    driver = Driver(rate=None)
    for number in range(3):
        driver.hold(str(number), 10.0)

    driver.run()

    assert times(driver) == [10.0, 10.0, 10.0]


def test_a_higher_rate_is_felt_by_those_who_wait_already() -> None:
    driver = Driver(rate=1)
    for number in range(11):
        driver.hold(str(number), 0.0)

    driver.run(until=0.0)
    driver.rate = 10
    driver.run()

    assert times(driver)[:3] == [0.0, 1.0, 1.1]
    assert times(driver)[-1] == 1.9


def test_a_clock_that_is_set_back_keeps_nobody_waiting() -> None:
    rates = InvocationRates(lambda _: 2)
    rates.arrive(ARN, "before", 5_000.0)

    assert rates.arrive(ARN, "after", 1_400.0) == 1_400.5


def test_those_who_wait_go_at_once_when_their_destination_is_deleted() -> None:
    driver = Driver(rate=1)
    for number in range(4):
        driver.hold(str(number), 0.0)

    driver.run(until=0.0)
    driver.rate = None
    driver.run()

    assert times(driver) == [0.0, 1.0, 1.0, 1.0]
    assert repr(driver.rates) == "<InvocationRates lines=0 waiting=0>"


def test_late_timers_cost_a_line_no_throughput() -> None:
    driver = Driver(rate=100)
    for number in range(101):
        driver.hold(str(number), 0.0)

    driver.run(late_s=LATE_S_MAX / 2)

    assert times(driver)[-1] - times(driver)[0] <= 1.0 + LATE_S_MAX


def test_who_is_over_takes_no_turn() -> None:
    driver = Driver(rate=1)
    for key in ("first", "over", "next"):
        driver.hold(key, 0.0)
    driver.run(until=0.0)

    driver.rates.leave(ARN, "over")
    called = driver.rates.call(ARN, 0.5)

    assert called is not None
    assert (called.key, called.at) == ("next", 1.0)


def test_a_destination_that_does_not_answer_has_so_many_requests_and_no_more() -> None:
    rates = InvocationRates(lambda _: 1_000_000)
    arrived = [rates.arrive(ARN, str(number), number * 1.0) for number in range(IN_FLIGHT_MAX + 2)]

    waits = rates.call(ARN, 1_000.0)
    rates.ended(ARN)
    called = rates.call(ARN, 1_000.0)

    assert arrived.count(None) == 2
    assert waits is None
    assert called is not None
    assert called.key == str(IN_FLIGHT_MAX)


@given(
    arrivals=st.lists(st.floats(0.0, 5.0), min_size=1, max_size=60),
    rate=st.integers(1, 20),
    late_s=st.floats(0.0, LATE_S_MAX),
)
@settings(deadline=None)
def test_no_second_has_more_than_the_rate_and_everyone_goes_once(
    arrivals: list[float], rate: int, late_s: float
) -> None:
    driver = Driver(rate)
    for number, at in enumerate(arrivals):
        driver.hold(str(number), at)

    driver.run(late_s=late_s)

    went = [at for at, _ in driver.went]
    assert sorted(key for _, key in driver.went) == sorted(str(number) for number in range(len(arrivals)))
    for first in went:
        within = [at for at in went if first <= at < first + 1.0 - LATE_S_MAX - 1e-6]
        assert len(within) <= rate

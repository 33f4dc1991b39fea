"""How many processes are kept waiting."""

from hypothesis import example, given
from hypothesis import strategies as st

from workshape.functions.launch.shelf import BURST_GAP_S, CALM_S, FORGOTTEN_S, Shelf


def test_as_many_are_kept_as_a_burst_wanted_at_once() -> None:
    shelf = Shelf(2, 8, 0.0)

    for number in range(5):
        shelf.used(10.0 + number * BURST_GAP_S / 2)

    assert shelf.wanted(12.5) == 5


def test_what_comes_apart_is_no_burst() -> None:
    shelf = Shelf(2, 8, 0.0)

    for number in range(5):
        shelf.used(10.0 + number * BURST_GAP_S * 2)

    assert shelf.wanted(20.0) == 2


def test_what_is_about_to_be_wanted_is_kept_before_it_is() -> None:
    shelf = Shelf(2, 8, 0.0)

    shelf.used(1.0, soon=6)

    assert shelf.wanted(1.0) == 6


def test_without_another_burst_half_of_what_is_above_the_least_goes_at_a_time() -> None:
    shelf = Shelf(2, 8, 0.0)
    shelf.used(1.0, count=8)

    later = [shelf.wanted(1.0 + CALM_S * minutes) for minutes in range(4)]

    assert later == [8, 5, 3, 2]
    assert shelf.changes_at(1.0 + CALM_S * 3) == 1.0 + FORGOTTEN_S


def test_what_nobody_wants_for_long_is_not_kept_at_all_until_it_is_wanted_again() -> None:
    shelf = Shelf(2, 8, 0.0)

    forgotten = shelf.wanted(FORGOTTEN_S)
    shelf.used(FORGOTTEN_S + 5.0)

    assert forgotten == 0
    assert shelf.wanted(FORGOTTEN_S + 5.0) == 2


def test_where_none_are_to_be_kept_none_are() -> None:
    shelf = Shelf(0, 0, 0.0)

    shelf.used(1.0, count=5, soon=5)

    assert shelf.wanted(1.0) == 0


@given(
    st.integers(0, 4),
    st.integers(0, 8),
    st.lists(st.tuples(st.floats(0, 300), st.integers(0, 10), st.integers(0, 10)), max_size=30),
)
@example(
    0,
    2,
    [
        (5.717593102730234, 0, 0),
        (299.7949308432992, 0, 0),
        (299.92120829058587, 0, 0),
        (299.315067545297, 0, 2),
        (120.0, 0, 0),
    ],
)
def test_what_is_kept_is_within_its_bounds_and_says_when_it_changes(
    least: int, more: int, uses: list[tuple[float, int, int]]
) -> None:
    shelf = Shelf(least, least + more, 0.0)
    now = 0.0

    for gap_s, count, soon in uses:
        now += gap_s
        shelf.used(now, count, soon)

        wanted, changes_at = shelf.wanted(now), shelf.changes_at(now)
        assert least <= wanted <= least + more
        assert changes_at > now
        if changes_at - 0.001 > now:
            assert shelf.wanted(min(changes_at - 0.001, now + FORGOTTEN_S)) == wanted

"""How often the database has refused a connection, by what it writes."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from workshape.parts.refusals import SPAN_S, Refusals

NOW = 1_700_000_000.0
REFUSED = b"2026-01-01 03:00:00.123 UTC [4711] 53300 app@shop FATAL:  sorry, too many clients already\n"
ELSE = (
    b"2026-01-01 03:00:00.123 UTC [4712] 00000 app@shop LOG:  took 53300 ms\n"
    b"2026-01-01 03:00:00.124 UTC [4713] 42P01 app@shop ERROR:  relation does not exist\n"
)


def test_only_refusals_for_want_of_room_are_counted() -> None:
    refusals = Refusals()

    refusals.read(ELSE + REFUSED + ELSE + REFUSED, NOW)

    assert refusals.last_minute(NOW) == 2


def test_a_refusal_counts_for_a_minute() -> None:
    refusals = Refusals()
    refusals.read(REFUSED, NOW)
    refusals.read(REFUSED, NOW + 30)

    assert refusals.last_minute(NOW + SPAN_S - 1) == 2
    assert refusals.last_minute(NOW + SPAN_S) == 1
    assert refusals.last_minute(NOW + SPAN_S + 30) == 0


@given(st.lists(st.sampled_from([REFUSED, ELSE]), max_size=20), st.lists(st.integers(0, 2_000), max_size=10))
def test_however_the_log_comes_in_pieces_each_refusal_counts_once(lines: list[bytes], cuts: list[int]) -> None:
    log, refusals = b"".join(lines), Refusals()
    places = sorted({0, *(cut for cut in cuts if cut < len(log)), len(log)})

    for begin, end in pairwise(places):
        refusals.read(log[begin:end], NOW)

    assert refusals.last_minute(NOW) == lines.count(REFUSED)

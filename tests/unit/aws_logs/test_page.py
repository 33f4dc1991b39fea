"""Pages of events: together they are the log, whichever way one reads, and no event is twice in them."""

from hypothesis import given
from hypothesis import strategies as st

from workshape.aws.logs.page import BYTES_MAX, Event, Position, first_page, last_page, numbered, read_token, write_token
from workshape.functions.log_line import LogLine
from workshape.functions.model import FunctionName

F = FunctionName("f")


def log(times_ms: list[int], message: str = "a line") -> list[Event]:
    return list(numbered(LogLine(F, ms / 1_000, "stream", f"{message} {number}") for number, ms in enumerate(times_ms)))


def messages(events: list[Event]) -> list[str]:
    return [event.line.message for event in events]


TIMES = st.lists(st.integers(0, 20), max_size=40).map(sorted)


@given(TIMES, st.integers(1, 7))
def test_reading_forward_page_by_page_gives_every_event_once(times_ms: list[int], limit: int) -> None:
    events, found, position, has_more = log(times_ms), [], Position(0), True
    while has_more:
        page = first_page(iter(events), lambda _line: True, position, limit)
        found += messages(page.events)
        has_more = page.has_more
        if page.events:
            _, position = read_token(write_token("f", page.events[-1].position.following))

    assert found == messages(events)


@given(TIMES, st.integers(1, 7))
def test_reading_backward_page_by_page_gives_every_event_once(times_ms: list[int], limit: int) -> None:
    events, position, has_more = log(times_ms), None, True
    found: list[str] = []
    while has_more:
        page = last_page(iter(events), lambda _line: True, position, limit)
        found = messages(page.events) + found
        has_more = page.has_more
        if page.events:
            _, position = read_token(write_token("b", page.events[0].position))

    assert found == messages(events)


def test_a_page_ends_before_a_megabyte_but_is_never_empty_for_it() -> None:
    long = log([1, 1, 2], "x" * (BYTES_MAX // 2))
    longer = log([1, 2], "x" * BYTES_MAX)

    assert len(first_page(iter(long), lambda _line: True, Position(0), 10).events) == 1
    assert messages(last_page(iter(long), lambda _line: True, None, 10).events) == messages(long[2:])
    assert len(first_page(iter(longer), lambda _line: True, Position(0), 10).events) == 1


def test_a_clock_that_was_set_back_gives_no_place_twice() -> None:
    positions = [event.position for event in log([5, 3, 3, 6])]

    assert positions == [Position(5), Position(5, 1), Position(5, 2), Position(6)]

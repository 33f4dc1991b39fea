"""How often an event has come back to a function, told by its trace header."""

from urllib.parse import quote

from hypothesis import given
from hypothesis import strategies as st

from workshape.functions.async_event import Condition, Ended, Event, before_attempt
from workshape.functions.event_invoke import EventPolicy
from workshape.functions.lineage import FUNCTIONS_MAX, ROUNDS_MAX, carried, entered, rounds, together

HEADER = "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=0"


@given(st.lists(st.sampled_from("abc"), max_size=40), st.booleans())
def test_a_chain_tells_how_often_it_has_been_through_each_function(path: list[str], quoted: bool) -> None:
    header = HEADER

    for function in path:
        header = entered(header, function)
        if quoted:
            header = quote(header, safe="-=;:+&[]{}\"',")  # as the SDK for Python hands it on

    assert {function: rounds(header, function) for function in "abc"} == {each: path.count(each) for each in "abc"}
    assert header.startswith(HEADER)


def test_the_rounds_outlive_a_new_header_and_only_they() -> None:
    other = "Root=1-00000000-000000000000000000000001;Sampled=1"

    assert rounds(carried(entered(HEADER, "f"), other), "f") == 1
    assert carried(entered(HEADER, "f"), other).startswith(other)
    assert carried(HEADER, other) == other


def test_a_header_does_not_grow_for_ever_and_nonsense_is_passed_over() -> None:
    header = HEADER
    for number in range(FUNCTIONS_MAX + 10):
        header = entered(header, str(number))

    assert len(header) < 600
    assert rounds(header, "0") == 1
    assert rounds(header, str(FUNCTIONS_MAX + 1)) == 0
    assert rounds("Lineage=;Lineage=x", "f") == rounds("Lineage=1a2b3c4d:many", "f") == 0


def test_an_event_that_came_back_too_often_ends_unless_its_function_may_loop() -> None:
    header = HEADER
    for _ in range(ROUNDS_MAX):
        header = entered(header, "f")
    event = Event("r", "f", None, b"{}", 0.0, 0.0, trace_id=header)
    other = Event("r", "g", None, b"{}", 0.0, 0.0, trace_id=header)

    stopped = before_attempt(event, 1.0, EventPolicy())

    assert isinstance(stopped, Ended)
    assert stopped.condition is Condition.RECURSIVE_INVOCATION
    assert before_attempt(event, 1.0, EventPolicy(stops_loops=False)) is None
    assert before_attempt(other, 1.0, EventPolicy()) is None


def test_several_chains_together_tell_the_most_rounds_of_each() -> None:
    first = entered(entered(entered("", "f"), "f"), "g")
    second = entered(entered(entered(HEADER, "g"), "g"), "h")

    header = together([HEADER, first, "", second])

    assert {name: rounds(header, name) for name in "fgh"} == {"f": 2, "g": 2, "h": 1}
    assert "Root=" not in header
    assert together([HEADER, ""]) == ""

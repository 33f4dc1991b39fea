"""Aliases: what they may point at, and how a draw chooses."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workshape.functions.alias import Alias, InvalidRouting, check_routing, choose_version


@given(weight=st.floats(0, 1), draws=st.lists(st.floats(0, 1, exclude_max=True)))
def test_a_draw_chooses_the_second_version_as_often_as_its_weight_says(weight: float, draws: list[float]) -> None:
    alias = Alias("live", "1", "r", additional_weights={"2": weight})

    chosen = Counter(choose_version(alias, draw) for draw in draws)

    assert chosen["2"] == sum(1 for draw in draws if draw < weight)
    assert chosen["1"] + chosen["2"] == len(draws)


@pytest.mark.parametrize(("weight", "version"), [(0.0, "1"), (1.0, "2")])
def test_all_or_nothing_leaves_nothing_to_the_draw(weight: float, version: str) -> None:
    alias = Alias("live", "1", "r", additional_weights={"2": weight})

    assert {choose_version(alias, draw) for draw in (0.0, 0.5, 0.999999)} == {version}


@pytest.mark.parametrize(
    ("version", "weights", "what"),
    [
        ("1", {"2": 0.1, "3": 0.1}, "at most two versions"),
        ("1", {"1": 0.1}, "another one than 1"),
        ("$LATEST", {"2": 0.1}, "published"),
        ("1", {"$LATEST": 0.1}, "published"),
        ("1", {"live": 0.1}, "published"),
        ("1", {"2": 1.1}, "between 0.0 and 1.0, not 1.1"),
    ],
)
def test_what_no_alias_can_do_is_refused(version: str, weights: dict[str, float], what: str) -> None:
    with pytest.raises(InvalidRouting, match=what):
        check_routing(Alias("live", version, "r", additional_weights=weights))

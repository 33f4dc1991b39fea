"""Patterns of policies: what they are like, and that nobody's path makes finding out take long."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workshape.arn import is_like

PATTERNS = st.text("ab*?[.", max_size=8)
TEXTS = st.text("ab[.\n", max_size=10)


def by_hand(pattern: str, text: str) -> bool:
    """Try everything."""
    if not pattern:
        return not text
    if pattern[0] == "*":
        return any(by_hand(pattern[1:], text[begin:]) for begin in range(len(text) + 1))
    return bool(text) and pattern[0] in ("?", text[0]) and by_hand(pattern[1:], text[1:])


@given(PATTERNS, TEXTS)
def test_an_asterisk_is_any_characters_and_a_question_mark_one(pattern: str, text: str) -> None:
    assert is_like(pattern, text) is by_hand(pattern, text)


@pytest.mark.parametrize("end", ["x", "y"])
def test_a_long_path_is_compared_in_one_go(end: str) -> None:
    path = "arn:aws:execute-api:us-east-1:123456789012:abc/prod/GET/" + "a/GET/" * 20_000 + end

    assert is_like("arn:aws:execute-api:*:*:*/*/GET/*/GET/*/x", path) is (end == "x")

"""Random passwords: what must be in them, and what must not."""

import string
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workshape.secrets.model import InvalidParameter
from workshape.secrets.password import PUNCTUATION, PasswordRules, make_password

TYPES = (string.ascii_uppercase, string.ascii_lowercase, string.digits, PUNCTUATION)


def test_the_punctuation_is_that_of_aws() -> None:
    assert PUNCTUATION == "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~"


@given(
    st.integers(4, 80),
    st.lists(st.sampled_from(TYPES), min_size=1, unique=True),
    st.text(string.printable, max_size=20),
    st.booleans(),
    st.integers(),
)
def test_a_password_has_its_length_one_of_each_type_and_nothing_excluded(
    length: int, types: list[str], excluded: str, has_space: bool, seed: int
) -> None:
    rules = PasswordRules(length, excluded, types, has_space=has_space)

    try:
        password = make_password(rules, Random(seed))
    except InvalidParameter:
        assert not set("".join(types)) - set(excluded)
        return

    allowed = set("".join(types) + " " * has_space) - set(excluded)
    assert len(password) == length
    assert set(password) <= allowed
    assert all(set(type_) & set(password) for type_ in types if set(type_) - set(excluded))


def test_a_password_too_short_for_each_type_is_refused() -> None:
    with pytest.raises(InvalidParameter, match="one of each of 4"):
        make_password(PasswordRules(length=3), Random(1))

    assert len(make_password(PasswordRules(length=3, needs_each_type=False), Random(1))) == 3

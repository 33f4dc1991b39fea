"""Whom environments run as: nobody else does at the same time, whatever order they come and go in."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workshape.functions.launch.users import Users

FIRST, COUNT = 1_000, 8


def take(users: Users) -> int:
    user = users.first()
    users.took(user)
    return user


@given(st.lists(st.integers(min_value=0, max_value=COUNT)))
def test_nobody_runs_as_the_user_of_an_environment_that_is_there(steps: list[int]) -> None:
    users = Users(FIRST, COUNT)
    living: list[int] = []
    for step in steps:
        if step < len(living):
            users.left(living.pop(step))
        elif len(living) < COUNT:
            user = take(users)
            assert user not in living
            living.append(user)


def test_a_user_is_used_again_when_all_others_have_been() -> None:
    users = Users(FIRST, COUNT)
    users.left(take(users))

    assert [take(users) for _ in range(COUNT)][-1] == FIRST


def test_a_user_of_others_is_neither_taken_nor_given_back() -> None:
    users = Users(FIRST, COUNT)
    users.took(FIRST + COUNT)
    users.left(FIRST + COUNT)

    assert sorted(take(users) for _ in range(COUNT)) == [*range(FIRST, FIRST + COUNT)]
    with pytest.raises(OSError, match="8 environments already"):
        users.first()

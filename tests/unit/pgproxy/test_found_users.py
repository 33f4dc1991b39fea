"""Users that were asked for are known for a while, in a bounded number, and are not asked for without end."""

from hypothesis import given, settings
from hypothesis import strategies as st

from workshape.pgproxy.found_users import ASK_AGAIN_S_MIN, KNOWN_S_MAX, USERS_MAX, FoundUsers


def test_who_was_found_is_fresh_until_it_is_old_and_is_fresh_again_when_it_was_asked_for() -> None:
    users = FoundUsers()
    users.note("app", "verifier", 10.0)
    users.note("nobody", "", 10.0)

    assert users.fresh() == {"app": "verifier"}
    assert not users.grow_old(9.0 + KNOWN_S_MAX)
    assert users.grow_old(10.0 + KNOWN_S_MAX)
    assert (users.fresh(), users.old()) == ({}, {"app": "verifier"})
    users.note("app", "another", 400.0)
    assert (users.fresh(), users.old()) == ({"app": "another"}, {})


def test_who_is_gone_from_the_database_is_gone_here() -> None:
    users = FoundUsers()
    users.note("app", "verifier", 0.0)
    users.all_old()

    users.note("app", "", 1.0)

    assert (users.fresh(), users.old()) == ({}, {})


def test_one_name_is_not_asked_for_at_once_again() -> None:
    users = FoundUsers()

    assert users.may_ask_at("app", 5.0) == 5.0
    users.note("app", "", 5.0)
    assert users.may_ask_at("app", 5.1) == 5.0 + ASK_AGAIN_S_MIN
    assert users.may_ask_at("app", 7.0) == 7.0


@settings(max_examples=50, deadline=None)
@given(said=st.lists(st.tuples(st.integers(0, 2 * USERS_MAX), st.sampled_from(["", "v"]), st.floats(0, 100))))
def test_they_are_never_more_than_so_many_and_fresh_for_so_long(said: list[tuple[int, str, float]]) -> None:
    users = FoundUsers()
    now = 0.0
    last = {}
    for number in range(-USERS_MAX, 0):
        users.note(str(number), "v", now)
        last[str(number)] = ("v", now)
    for number, verifier, passed in said:
        now += passed
        users.grow_old(now)
        users.note(str(number), verifier, now)
        last[str(number)] = (verifier, now)

        fresh, old = users.fresh(), users.old()
        assert len(fresh) + len(old) <= USERS_MAX
        assert not fresh.keys() & old.keys()
        assert all(now - last[name][1] < KNOWN_S_MAX for name in fresh)
        assert all(last[name][0] == "v" for name in (*fresh, *old))

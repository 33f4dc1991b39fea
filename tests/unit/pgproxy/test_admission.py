"""How many clients are admitted."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from workshape.pgproxy.admission import Admission
from workshape.pgproxy.sqlstate import TOO_MANY_CONNECTIONS, WireError
from workshape.settings import ProxySettings

SETTINGS = ProxySettings(clients_max=6, clients_per_user_max=3, clients_per_address_max=4)


@given(st.lists(st.one_of(st.tuples(st.sampled_from("ab"), st.sampled_from("xyz")), st.integers(0, 9)), max_size=60))
def test_no_limit_is_ever_passed_and_whoever_leaves_makes_room(steps: list[tuple[str, str] | int]) -> None:
    admission = Admission()
    inside: list[tuple[str, str]] = []

    for step in steps:
        users, hosts = Counter(user for user, _ in inside), Counter(host for _, host in inside)
        if isinstance(step, int):
            if step < len(inside):
                admission.left(*inside.pop(step))
            continue
        user, host = step
        answer = admission.admit(user, host, len(inside) + 1, SETTINGS)
        has_room = len(inside) < 6 and users[user] < 3 and hosts[host] < 4
        assert (answer is None) is has_room
        if answer is None:
            inside.append(step)


def test_who_is_one_too_many_is_told_of_which_limit() -> None:
    admission = Admission()
    for host in "abc":
        admission.admit("app", host, 1, SETTINGS)

    refused = admission.admit("app", "d", 4, SETTINGS)

    assert isinstance(refused, WireError)
    assert refused.code == TOO_MANY_CONNECTIONS
    assert refused.detail == "The proxy serves 3 clients of user app at most."
    assert refused.hint == "Raise proxy.clients_per_user_max."

"""Which messages are duplicates, by advancing `now`."""

import hashlib

from hypothesis import given, settings
from hypothesis import strategies as st

from workshape.queues.deduplication import Deduplication, Token, content_id
from workshape.queues.model import DeduplicationScope, MessageNumber

NOW = 1_700_000_000.0
QUEUE, GROUP = DeduplicationScope.QUEUE, DeduplicationScope.MESSAGE_GROUP


def token(number: int, deduplication_id: str, group: str = "a", accepted_at: float = NOW) -> Token:
    return Token(MessageNumber(number), f"id-{number}", group, deduplication_id, accepted_at)


def test_an_id_is_remembered_for_five_minutes_and_not_longer() -> None:
    memory = Deduplication(QUEUE)
    memory.remember(token(1, "x"))

    assert memory.find("a", "x", NOW + 299.9) == token(1, "x")
    assert memory.find("a", "x", NOW + 300) is None


def test_an_id_counts_in_the_whole_queue_or_in_its_group() -> None:
    for scope, found in ((QUEUE, token(1, "x")), (GROUP, None)):
        memory = Deduplication(scope)
        memory.remember(token(1, "x", "a"))

        assert memory.find("a", "x", NOW) == token(1, "x", "a")
        assert memory.find("b", "x", NOW) == found


def test_a_changed_scope_counts_for_what_is_remembered_too() -> None:
    memory = Deduplication(GROUP)
    memory.remember(token(1, "x", "a"))
    memory.remember(token(2, "x", "b"))

    memory.rescope(QUEUE)
    assert memory.find("c", "x", NOW) == token(2, "x", "b")

    memory.rescope(GROUP)
    assert memory.find("a", "x", NOW) == token(1, "x", "a")
    assert memory.find("c", "x", NOW) is None


def test_what_is_old_takes_no_memory() -> None:
    memory = Deduplication(QUEUE)
    for second in range(1_000):
        memory.remember(token(second, str(second), accepted_at=NOW + second))
        memory.forget_old(NOW + second)

    assert len(memory) == 300


def test_forgetting_an_old_message_does_not_forget_the_one_sent_since() -> None:
    memory = Deduplication(QUEUE)
    memory.remember(token(1, "x"))
    memory.remember(token(2, "x", accepted_at=NOW + 300))

    memory.forget_old(NOW + 301)

    assert memory.find("a", "x", NOW + 301) == token(2, "x", accepted_at=NOW + 300)


def test_the_id_of_a_message_without_one_is_the_sha256_of_its_body() -> None:
    assert content_id("grüße") == hashlib.sha256("grüße".encode()).hexdigest()


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from("xyz"), st.sampled_from("ab"), st.sampled_from([0, 1, 100, 200, 299, 300])),
        max_size=60,
    ),
    st.sampled_from([QUEUE, GROUP]),
)
def test_no_message_is_accepted_twice_within_five_minutes(
    sends: list[tuple[str, str, int]], scope: DeduplicationScope
) -> None:
    memory = Deduplication(scope)
    accepted_at: dict[tuple[str, str], float] = {}
    now = NOW

    for number, (deduplication_id, group, seconds) in enumerate(sends):
        now += seconds
        memory.forget_old(now)
        among = (deduplication_id, group if scope is GROUP else "")
        is_duplicate = now - accepted_at.get(among, 0.0) < 300

        assert (memory.find(group, deduplication_id, now) is not None) == is_duplicate
        if not is_duplicate:
            memory.remember(token(number, deduplication_id, group, now))
            accepted_at[among] = now

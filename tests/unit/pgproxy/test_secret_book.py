"""When secrets are read: soon enough, never by two at once, and not as often as somebody guesses passwords."""

from hypothesis import given, settings
from hypothesis import strategies as st

from workshape.pgproxy.secret_book import (
    READ_AGAIN_S_MIN,
    RETRY_S_MAX,
    RETRY_S_MIN,
    ROTATION_S_MAX,
    SECRET_S_MAX,
    SecretBook,
)


def read(book: SecretBook, name: str, now: float, *, is_news: bool = False) -> None:
    book.began(name, now)
    book.succeeded(name, now, is_news=is_news)


def test_each_secret_is_read_at_first_and_again_when_it_has_grown_old() -> None:
    book = SecretBook(["a", "b"])

    assert book.due(0.0) == ["a", "b"]
    for name in ("a", "b"):
        read(book, name, 0.0)
    assert book.due(SECRET_S_MAX - 1) == []
    assert book.due(SECRET_S_MAX) == ["a", "b"]


def test_what_cannot_be_read_is_tried_again_ever_more_rarely() -> None:
    book = SecretBook(["a"])
    waits = []
    now = 0.0
    for _ in range(8):
        book.began("a", now)
        book.failed("a", now)
        tried = now
        while not book.due(now):
            now += RETRY_S_MIN
        waits.append(now - tried)

    assert waits == [1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0, 30.0]


def test_a_reload_reads_all_again_and_forgets_who_is_gone() -> None:
    book = SecretBook(["a", "b"])
    for name in ("a", "b"):
        read(book, name, 0.0)

    book.apply(["b", "c"])

    assert book.due(1.0) == ["b", "c"]
    assert book.may_read_at("a", 1.0) is None


def test_a_doubt_waits_its_moment_and_is_no_reason_while_it_is_being_read() -> None:
    book = SecretBook(["a"])
    read(book, "a", 10.0)

    assert book.may_read_at("a", 10.2) == 10.0 + READ_AGAIN_S_MIN
    assert book.may_read_at("a", 12.0) == 12.0
    book.began("a", 12.0)
    assert book.may_read_at("a", 12.0) is None


def test_a_refused_password_leaves_hope_for_one_rotation_until_there_is_news() -> None:
    book = SecretBook(["a"])
    read(book, "a", 0.0, is_news=True)

    assert book.refused("a", 100.0) == 100.0 + ROTATION_S_MAX
    read(book, "a", 105.0)
    assert book.refused("a", 109.0) == 100.0 + ROTATION_S_MAX
    read(book, "a", 110.0, is_news=True)
    assert book.refused("a", 200.0) == 200.0 + ROTATION_S_MAX
    assert book.refused("gone", 5.0) == 5.0


EVENTS = st.lists(
    st.tuples(
        st.sampled_from(["tick", "doubt", "succeed", "fail", "reload"]), st.sampled_from("ab"), st.floats(0.0, 100.0)
    ),
    max_size=60,
)


@settings(max_examples=200, deadline=None)
@given(events=EVENTS)
def test_no_secret_is_read_by_two_at_once_nor_sooner_than_allowed_nor_later_than_it_is_old(
    events: list[tuple[str, str, float]],
) -> None:
    book = SecretBook(["a", "b"])
    now = 0.0
    reading: dict[str, float] = {}
    ended: dict[str, float] = {}
    for kind, name, passed in events:
        now += passed
        if kind == "tick":
            for due in book.due(now):
                assert due not in reading
                book.began(due, now)
                reading[due] = now
            for waiting in {"a", "b"} - set(reading):
                assert now - ended[waiting] < SECRET_S_MAX
        elif kind == "doubt":
            at = book.may_read_at(name, now)
            assert (at is None) == (name in reading)
            if at is not None:
                assert now <= at <= now + READ_AGAIN_S_MIN
                now = at  # whoever doubts waits until then
                book.began(name, now)
                reading[name] = now
        elif kind == "reload":
            book.apply(["a", "b"])
        elif name in reading:
            del reading[name]
            ended[name] = now
            if kind == "succeed":
                book.succeeded(name, now, is_news=False)
            else:
                book.failed(name, now)
                assert book.due(now + RETRY_S_MAX).count(name) == 1

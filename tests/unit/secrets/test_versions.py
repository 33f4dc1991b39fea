"""Versions of a secret, by their labels: where AWSPREVIOUS goes, and what is let go."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workshape.errors import CallerError
from workshape.secrets.model import (
    CURRENT,
    DAY_S,
    LABELS_MAX,
    PENDING,
    PREVIOUS,
    VERSIONS_KEPT,
    InvalidParameter,
    LimitExceeded,
    Secret,
    SecretVersion,
    VersionId,
    VersionNotFound,
)
from workshape.secrets.versions import add_version, move_label, with_key

NOW = 1_700_000_000.0
BARE = Secret(name="shop", arn="arn", created_at=NOW, changed_at=NOW)


def add(secret: Secret, version_id: str, *labels: str, at: float = NOW, has_value: bool = True) -> Secret:
    return add_version(secret, VersionId(version_id), SecretVersion(at, has_value=has_value), labels)


def move(secret: Secret, label: str, source: str | None, target: str | None) -> Secret:
    return move_label(
        secret,
        label,
        source=None if source is None else VersionId(source),
        target=None if target is None else VersionId(target),
    )


def test_the_first_version_is_the_current_one_whatever_its_labels_are() -> None:
    secret = add(BARE, "a", "blue")

    assert secret.labels == {"blue": "a", CURRENT: "a"}


def test_the_previous_label_goes_where_the_current_one_comes_from() -> None:
    secret = add(add(add(BARE, "a", CURRENT), "b", CURRENT), "c", CURRENT)

    assert secret.labels == {CURRENT: "c", PREVIOUS: "b"}
    assert secret.labels_of(VersionId("a")) == []


def test_a_version_that_pends_takes_nothing_from_the_current_one() -> None:
    secret = add(add(BARE, "a", CURRENT), "b", PENDING)

    assert secret.labels == {CURRENT: "a", PENDING: "b"}


def test_going_back_makes_the_newer_version_the_previous_one() -> None:
    secret = add(add(BARE, "a", CURRENT), "b", CURRENT)

    back = move(secret, CURRENT, "b", "a")

    assert back.labels == {CURRENT: "a", PREVIOUS: "b"}


def test_a_rotation_that_ends_leaves_the_pending_label_at_the_current_version() -> None:
    secret = add(add(BARE, "a", CURRENT), "b", PENDING)

    ended = move(secret, CURRENT, "a", "b")

    assert ended.labels == {CURRENT: "b", PENDING: "b", PREVIOUS: "a"}


@pytest.mark.parametrize(
    ("source", "target", "why"),
    [
        (None, "b", "give it as RemoveFromVersionId"),
        ("b", None, "is attached to version a"),
        ("a", None, "not removed"),
        (None, None, "Specify"),
    ],
)
def test_a_label_moves_only_from_where_it_is(source: str | None, target: str | None, why: str) -> None:
    secret = add(add(BARE, "a", CURRENT), "b", PENDING)

    with pytest.raises(InvalidParameter, match=why):
        move(secret, CURRENT, source, target)


def test_a_label_that_is_attached_to_its_target_stays_there() -> None:
    secret = add(BARE, "a", CURRENT)

    assert move(secret, CURRENT, None, "a") == secret
    with pytest.raises(InvalidParameter, match="not attached to version a"):
        move(secret, "blue", "a", None)
    with pytest.raises(VersionNotFound):
        move(secret, "blue", None, "nowhere")


def test_a_label_is_taken_away() -> None:
    secret = add(add(BARE, "a", CURRENT), "b", PENDING)

    assert move(secret, PENDING, "b", None).labels == {CURRENT: "a"}


def test_there_are_so_many_labels_and_no_more() -> None:
    secret = add(BARE, "a", *(f"label-{number}" for number in range(LABELS_MAX - 1)))

    with pytest.raises(LimitExceeded, match="20 staging labels"):
        move(secret, "one too many", None, "a")


def test_versions_without_labels_are_let_go_when_they_are_many_and_old() -> None:
    secret = BARE
    for number in range(VERSIONS_KEPT + 10):
        secret = add(secret, f"v{number:03}", CURRENT, at=NOW + number)
    young = secret

    later = add(young, "last", CURRENT, at=NOW + DAY_S + 5)

    assert len(young.versions) == VERSIONS_KEPT + 10, "all of the last day stay"
    assert [f"v{number:03}" in later.versions for number in (0, 5, 6, 7)] == [False, False, True, True]


def test_another_key_is_that_of_the_versions_in_use_too() -> None:
    secret = BARE
    for version_id in "abc":
        secret = add(secret, version_id, CURRENT)

    changed = with_key(add(secret, "d", PENDING), "alias/mine")

    assert changed.kms_key == "alias/mine"
    assert {version_id: version.kms_key for version_id, version in changed.versions.items()} == {
        "a": "",
        **dict.fromkeys("bcd", "alias/mine"),
    }


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["add", "move"]),
        st.sampled_from(["a", "b", "c", "d"]),
        st.sampled_from([None, "a", "b", "c"]),
        st.sampled_from([CURRENT, PENDING, PREVIOUS, "blue"]),
    ),
    max_size=20,
)


@given(STEPS)
def test_there_is_a_current_version_and_every_label_is_attached_to_one_that_is_there(
    steps: list[tuple[str, str, str | None, str]],
) -> None:
    secret = BARE
    for what, version_id, source, label in steps:
        before = secret.labels.get(CURRENT)
        try:
            if what == "add" and version_id not in secret.versions:
                secret = add(secret, version_id, label)
            elif what == "move":
                secret = move(secret, label, source, version_id)
        except CallerError:
            continue
        after = secret.labels.get(CURRENT)

        assert set(secret.labels.values()) <= set(secret.versions)
        assert not secret.versions or after is not None
        if before not in (None, after):
            assert secret.labels[PREVIOUS] == before

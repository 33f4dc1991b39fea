"""Which changes of which objects go where, and what is refused."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workshape.buckets.notification import (
    NotificationConfiguration,
    NotificationInvalid,
    NotificationTarget,
    ObjectChange,
    ObjectEvent,
    check_configuration,
    targets_of,
)

QUEUE = "arn:aws:sqs:us-east-1:123456789012:q"


def target(name: str, *events: str, prefix: str = "", suffix: str = "") -> NotificationTarget:
    return NotificationTarget(id=name, arn=QUEUE, events=events, prefix=prefix, suffix=suffix)


def refusal(*targets: NotificationTarget) -> str:
    with pytest.raises(NotificationInvalid) as refused:
        check_configuration(NotificationConfiguration(targets))
    return str(refused.value)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (("ObjectCreated:*", "", ""), ("ObjectCreated:*", "images", "")),
        (("ObjectCreated:*", "", "jpg"), ("ObjectCreated:Put", "", "pg")),
        (("ObjectCreated:*", "images", "jpg"), ("ObjectCreated:Put", "", "jpg")),
        (("ObjectCreated:Put", "a/", ""), ("ObjectCreated:Put", "a/b/", "")),
    ],
)
def test_configurations_that_aws_shows_as_overlapping_are_refused(
    one: tuple[str, str, str], other: tuple[str, str, str]
) -> None:
    said = refusal(
        target("one", one[0], prefix=one[1], suffix=one[2]), target("other", other[0], prefix=other[1], suffix=other[2])
    )

    assert said.startswith(
        "Configurations overlap. Configurations on the same bucket cannot share a common event type."
    )
    assert said.endswith("one, other.")


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (("ObjectCreated:Put", "images/", ""), ("ObjectCreated:Put", "logs/", "")),
        (("ObjectCreated:Put", "", ".jpg"), ("ObjectCreated:Put", "", ".png")),
        (("ObjectCreated:Put", "images", ".jpg"), ("ObjectCreated:Put", "images", ".png")),
        (("ObjectCreated:Put", "image/", ""), ("ObjectRemoved:*", "image/", "")),
        (("ObjectCreated:Put", "", ""), ("ObjectCreated:Copy", "", "")),
    ],
)
def test_configurations_that_aws_shows_as_valid_are_taken(
    one: tuple[str, str, str], other: tuple[str, str, str]
) -> None:
    targets = (
        target("one", one[0], prefix=one[1], suffix=one[2]),
        target("other", other[0], prefix=other[1], suffix=other[2]),
    )

    check_configuration(NotificationConfiguration(targets))


def test_what_never_comes_by_itself_may_be_asked_for_and_what_is_not_sent_is_refused_by_name() -> None:
    check_configuration(NotificationConfiguration((target("a", "LifecycleExpiration:*", "Replication:*"),)))

    assert refusal(target("a", "ObjectRestore:Post")).startswith("workshape sends no event s3:ObjectRestore:Post.")
    assert "s3:ObjectCreated:Put" in refusal(target("a", "ObjectCreated:Moved"))
    assert refusal(target("a")) == "The configuration a names no event."
    assert "the same Id" in refusal(target("a", "ObjectAcl:Put"), target("a", "ObjectTagging:*"))
    assert "1024 bytes" in refusal(target("a", "ObjectAcl:Put", prefix="é" * 513))
    assert "at most 100" in refusal(*(target(str(n), "ObjectAcl:Put", prefix=f"{n}/") for n in range(101)))


EVENTS = st.lists(
    st.sampled_from(["ObjectCreated:*", "ObjectRemoved:*", *(event.value for event in ObjectEvent)]),
    min_size=1,
    max_size=3,
)
FRAGMENTS = st.text("ab/.", max_size=3)
TARGETS = st.lists(st.tuples(EVENTS, FRAGMENTS, FRAGMENTS), max_size=4)


@given(TARGETS, st.sampled_from(ObjectEvent), st.text("ab/.", max_size=6))
def test_no_change_of_an_object_goes_to_two_targets_of_a_configuration_that_is_taken(
    described: list[tuple[list[str], str, str]], event: ObjectEvent, key: str
) -> None:
    targets = tuple(
        target(str(number), *events, prefix=prefix, suffix=suffix)
        for number, (events, prefix, suffix) in enumerate(described)
    )
    configuration = NotificationConfiguration(targets)
    pairs = list(targets_of(configuration, [ObjectChange(event, key)]))

    try:
        check_configuration(configuration)
    except NotificationInvalid:
        return

    assert len(pairs) <= 1
    for found, _ in pairs:
        assert key.startswith(found.prefix)
        assert key.endswith(found.suffix)
        assert event.value in found.events or f"{event.value.partition(':')[0]}:*" in found.events

"""The secrets there are, on a real store: found by name and ARN, idempotent, durable, readable by their owner alone."""

import logging
import re
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fakes.queue_clock import FakeClock
from workshape.secrets.model import (
    CURRENT,
    DAY_S,
    PENDING,
    InvalidParameter,
    InvalidRequest,
    Secret,
    SecretExists,
    SecretNotFound,
    SecretValue,
    SecretVersion,
    VersionExists,
    VersionId,
    VersionNotFound,
)
from workshape.secrets.registry import VALUE_KIND, Secrets
from workshape.secrets.versions import add_version
from workshape.store.documents import Documents

PREFIX = "arn:aws:secretsmanager:us-east-1:123456789012:secret:"
PASSWORD, OTHER = SecretValue("hunter2-the-password"), SecretValue("swordfish")
TOKEN, NEXT = "a" * 32, "b" * 32


def wanted(name: str = "shop", **more: object) -> Secret:
    return Secret(name=name, arn="", created_at=0.0, changed_at=0.0, **more)  # type: ignore[arg-type]  # each test's own


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def documents(tmp_path: Path) -> Iterator[Documents]:
    documents = Documents(tmp_path / "store.sqlite")
    yield documents
    documents.close()


@pytest.fixture
def secrets(documents: Documents, clock: FakeClock) -> Secrets:
    return opened(documents, clock)


def opened(documents: Documents, clock: FakeClock) -> Secrets:
    return Secrets(documents, clock, region="us-east-1", account="123456789012")


def test_a_secret_outlives_its_registry(secrets: Secrets, documents: Documents, clock: FakeClock) -> None:
    made = secrets.create(wanted(tags={"team": "a"}), PASSWORD, TOKEN)
    secrets.put_value("shop", SecretValue(binary=b"\x00\xff"), NEXT, (CURRENT,))

    again = opened(documents, clock)

    assert again.find(made.arn).tags == {"team": "a"}
    assert again.value("shop")[1:] == (NEXT, SecretValue(binary=b"\x00\xff"))
    assert again.value("shop", label="AWSPREVIOUS")[1:] == (TOKEN, PASSWORD)


def test_an_arn_ends_in_six_random_characters_and_is_found_without_them(secrets: Secrets) -> None:
    made = secrets.create(wanted(), PASSWORD, TOKEN)

    assert re.fullmatch(f"{PREFIX}shop-[A-Za-z0-9]{{6}}", made.arn)
    assert secrets.find("shop") == secrets.find(made.arn) == secrets.find(f"{PREFIX}shop") == made
    for stranger in ("sho", f"{PREFIX}sho", made.arn[:-1], made.arn.removeprefix(PREFIX)):
        with pytest.raises(SecretNotFound):
            secrets.find(stranger)


def test_a_partial_arn_that_looks_whole_is_taken_as_whole(secrets: Secrets) -> None:
    made = secrets.create(wanted("shop-secret"), PASSWORD, TOKEN)

    with pytest.raises(SecretNotFound):
        secrets.find(f"{PREFIX}shop-secret")
    assert secrets.find(made.arn) == secrets.find("shop-secret") == made


@pytest.mark.parametrize("name", ["", "with space", "umlaut-ä", "star*", "x" * 513])
def test_a_name_is_of_certain_characters(secrets: Secrets, name: str) -> None:
    with pytest.raises(InvalidParameter, match="Invalid name"):
        secrets.create(wanted(name), None, "")


def test_the_same_creation_again_makes_nothing_new(secrets: Secrets) -> None:
    made = secrets.create(wanted(), PASSWORD, TOKEN)

    assert secrets.create(wanted(), PASSWORD, TOKEN) == made
    for value, token in ((OTHER, TOKEN), (PASSWORD, NEXT), (None, TOKEN)):
        with pytest.raises(SecretExists, match="shop already exists"):
            secrets.create(wanted(), value, token)


def test_the_same_value_again_does_nothing_and_another_is_refused(secrets: Secrets) -> None:
    secrets.create(wanted(), PASSWORD, TOKEN)
    secrets.put_value("shop", OTHER, NEXT, (CURRENT,))

    again, version_id = secrets.put_value("shop", PASSWORD, TOKEN, (CURRENT,))

    assert (version_id, again.labels[CURRENT]) == (TOKEN, NEXT)
    with pytest.raises(VersionExists):
        secrets.put_value("shop", OTHER, TOKEN, (CURRENT,))
    with pytest.raises(VersionExists):
        secrets.update(again, PASSWORD, TOKEN)


def test_a_version_without_a_value_is_there_to_be_filled(secrets: Secrets, clock: FakeClock) -> None:
    made = secrets.create(wanted(), PASSWORD, TOKEN)
    empty = SecretVersion(clock.wall_s(), has_value=False)
    secrets.change(add_version(made, VersionId(NEXT), empty, (PENDING,)))

    with pytest.raises(VersionNotFound):
        secrets.value("shop", label=PENDING)
    filled, _ = secrets.put_value("shop", OTHER, NEXT, (PENDING,))

    assert secrets.value("shop", label=PENDING)[1:] == (NEXT, OTHER)
    assert filled.labels == {CURRENT: TOKEN, PENDING: NEXT}


def test_a_version_is_read_by_its_id_its_label_or_both(secrets: Secrets) -> None:
    secrets.create(wanted(), PASSWORD, TOKEN)
    secrets.put_value("shop", OTHER, NEXT, (PENDING,))

    assert secrets.value("shop", NEXT, PENDING)[2] == OTHER
    assert secrets.value("shop", NEXT)[2] == OTHER
    with pytest.raises(InvalidRequest, match="same version"):
        secrets.value("shop", NEXT, CURRENT)
    with pytest.raises(VersionNotFound, match="staging label: blue"):
        secrets.value("shop", label="blue")
    with pytest.raises(VersionNotFound, match="VersionId: nowhere"):
        secrets.value("shop", "nowhere")


def test_a_reading_is_noted_by_its_day(secrets: Secrets, documents: Documents, clock: FakeClock) -> None:
    secrets.create(wanted(), PASSWORD, TOKEN)
    assert secrets.find("shop").accessed_on is None

    secrets.value("shop")
    clock.wall += DAY_S

    today = clock.wall - clock.wall % DAY_S
    assert opened(documents, clock).find("shop").accessed_on == today - DAY_S
    assert secrets.value("shop")[0].versions[VersionId(TOKEN)].accessed_on == today


def test_a_secret_marked_for_deletion_can_come_back_until_it_is_deleted(secrets: Secrets, clock: FakeClock) -> None:
    secrets.create(wanted(), PASSWORD, TOKEN)

    marked = secrets.delete("shop", 7)

    assert marked.deletion_at == clock.wall + 7 * DAY_S
    for refused in (
        lambda: secrets.value("shop"),
        lambda: secrets.put_value("shop", OTHER, NEXT, (CURRENT,)),
        lambda: secrets.delete("shop", 7),
        lambda: secrets.move_label("shop", "blue", source=None, target=TOKEN),
    ):
        with pytest.raises(InvalidRequest, match="marked for deletion"):
            refused()
    with pytest.raises(InvalidRequest, match="already scheduled for deletion"):
        secrets.create(wanted(), PASSWORD, TOKEN)
    secrets.restore("shop")
    assert secrets.value("shop")[2] == PASSWORD


def test_nothing_is_left_of_a_secret_when_its_recovery_window_is_over(
    secrets: Secrets, documents: Documents, clock: FakeClock
) -> None:
    secrets.create(wanted(), PASSWORD, TOKEN)
    secrets.delete("shop", 7)

    clock.wall += 7 * DAY_S - 1
    secrets.sweep()
    assert documents.all(VALUE_KIND)
    clock.wall += 1
    secrets.sweep()

    assert not documents.all(VALUE_KIND)
    assert not opened(documents, clock).all()
    secrets.create(wanted(), PASSWORD, TOKEN)


def test_a_recovery_window_is_of_seven_to_thirty_days(secrets: Secrets) -> None:
    secrets.create(wanted(), PASSWORD, TOKEN)

    for days in (6, 31):
        with pytest.raises(InvalidParameter, match="between 7 and 30"):
            secrets.delete("shop", days)


def test_deleting_at_once_leaves_nothing_and_needs_nothing(secrets: Secrets, documents: Documents) -> None:
    secrets.create(wanted(), PASSWORD, TOKEN)
    secrets.delete("shop", 7)

    gone = secrets.delete_at_once("shop")

    assert gone is not None
    assert secrets.delete_at_once("shop") is None
    assert not documents.all(VALUE_KIND)


def test_values_of_versions_that_are_let_go_are_too(secrets: Secrets, documents: Documents, clock: FakeClock) -> None:
    secrets.create(wanted(), PASSWORD, TOKEN)
    for number in range(101):
        clock.wall += DAY_S
        secrets.put_value("shop", SecretValue(str(number)), f"{number:032}", (CURRENT,))

    assert len(secrets.find("shop").versions) == len(documents.all(VALUE_KIND)) == 100


def test_a_value_is_in_no_repr_and_no_log(secrets: Secrets, clock: FakeClock, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    made = secrets.create(wanted(), PASSWORD, TOKEN)
    said = [repr(secrets), repr(made), repr(PASSWORD), str(PASSWORD), f"{secrets.value('shop')}"]
    for failing in (
        lambda: secrets.create(wanted(), OTHER, TOKEN),
        lambda: secrets.put_value("shop", OTHER, TOKEN, ()),
    ):
        with pytest.raises((SecretExists, VersionExists)) as error:
            failing()
        said.append(repr(error.value))
    secrets.delete("shop", 7)
    clock.wall += 8 * DAY_S
    secrets.sweep()

    assert not [text for text in (*said, caplog.text) if "hunter2" in text or "swordfish" in text]


def test_the_file_is_for_its_owner_alone(tmp_path: Path, clock: FakeClock) -> None:
    path = tmp_path / "before.sqlite"
    path.touch(0o644)
    documents = Documents(path)
    opened(documents, clock).create(wanted(), PASSWORD, TOKEN)

    modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in tmp_path.glob("before.sqlite*")}
    documents.close()

    assert len(modes) > 1, "there is a log beside it"
    assert set(modes.values()) == {0o600}, modes

"""Versions: published once for each change, kept as they were, found again, gone with their function."""

from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from workshape.functions.alias import Alias
from workshape.functions.async_policy import event_policy
from workshape.functions.catalog import Catalog, CodeMismatch
from workshape.functions.code import Code
from workshape.functions.configuration import FunctionConfiguration
from workshape.functions.event_invoke import EventInvokeConfig, EventLimits
from workshape.functions.function import PublishedVersion
from workshape.functions.function_name import FunctionNotFound
from workshape.functions.function_state import (
    PENDING,
    UPDATING,
    FunctionNotActive,
    FunctionState,
    UpdateInProgress,
    creation_failed,
    update_failed,
)
from workshape.functions.model import FunctionName
from workshape.functions.revision import RevisionMismatch
from workshape.store.documents import Documents

NAME = FunctionName("f")
CODE = Code("/code", "hash", 4, "/code.zip")
OTHER_CODE = Code("/other", "hash2", 5, "/other.zip")
CONFIGURATION = FunctionConfiguration("python3.12", "app.handler", "arn:aws:iam::123456789012:role/r", "it")


@pytest.fixture
def catalog(opened: Callable[[], Catalog]) -> Catalog:
    catalog = opened()
    catalog.create(NAME, CONFIGURATION, CODE)
    return catalog


async def test_a_version_stays_what_it_was(catalog: Catalog) -> None:
    version = await catalog.publish(NAME, description="first")
    before = catalog.resolve("f", "1")

    catalog.update_code(NAME, OTHER_CODE)
    catalog.update_configuration(NAME, msgspec.structs.replace(CONFIGURATION, timeout_s=9))

    assert catalog.resolve("f", "1") == before
    assert (before.version, before.code_folder, before.timeout_s) == ("1", "/code", 3)
    assert before.revision == version.revision != catalog.resolve("f", None).revision
    assert (version.description, catalog.get(NAME).description) == ("first", "it")


async def test_nothing_new_is_no_new_version(catalog: Catalog) -> None:
    first = await catalog.publish(NAME)

    again = await catalog.publish(NAME, description="another")
    catalog.update_configuration(NAME, CONFIGURATION)
    after_no_change = await catalog.publish(NAME)
    catalog.update_code(NAME, OTHER_CODE)
    second = await catalog.publish(NAME)

    assert again == after_no_change == first
    assert [version.version for version in catalog.versions(NAME)] == ["$LATEST", "1", "2"]
    assert second.code == OTHER_CODE


async def test_a_version_is_published_on_conditions(catalog: Catalog) -> None:
    with pytest.raises(CodeMismatch, match=r"CodeSHA256 \(other\) is different from current CodeSHA256 in \$LATEST"):
        await catalog.publish(NAME, expected_code_sha256="other")
    with pytest.raises(RevisionMismatch):
        await catalog.publish(NAME, expected_revision="other")
    with pytest.raises(FunctionNotFound):
        await catalog.publish(FunctionName("none"))

    revision = catalog.get(NAME).revision
    assert (await catalog.publish(NAME, expected_code_sha256="hash", expected_revision=revision)).number == 1


@pytest.mark.parametrize(
    ("state", "refusal"),
    [
        (PENDING, FunctionNotActive),
        (creation_failed("no image", "InvalidImage"), FunctionNotActive),
        (UPDATING, UpdateInProgress),
    ],
)
async def test_nothing_is_published_of_a_function_that_is_not_what_it_is_to_be(
    catalog: Catalog, state: FunctionState, refusal: type[Exception]
) -> None:
    catalog.unsettled[NAME] = state

    with pytest.raises(refusal):
        await catalog.publish(NAME)

    assert [version.version for version in catalog.versions(NAME)] == ["$LATEST"]


async def test_what_a_failed_update_has_left_can_be_published(catalog: Catalog) -> None:
    catalog.unsettled[NAME] = update_failed("no image", "InvalidImage")

    version = await catalog.publish(NAME)

    assert (version.version, version.code) == ("1", CODE)


async def test_whoever_runs_a_function_hears_which_revisions_there_are(catalog: Catalog) -> None:
    told: list[frozenset[str]] = []
    catalog.subscribe(lambda _name, revisions: told.append(revisions))

    version = await catalog.publish(NAME)
    changed = catalog.update_code(NAME, OTHER_CODE)
    catalog.delete_version(version)
    catalog.delete(NAME)

    assert told[1:] == [{changed.revision, version.revision}, {changed.revision}, frozenset()]


async def test_a_deleted_versions_number_is_not_used_again(catalog: Catalog, opened: Callable[[], Catalog]) -> None:
    catalog.delete_version(await catalog.publish(NAME))

    second = await catalog.publish(NAME)
    catalog.delete(NAME)
    again = opened()
    again.create(NAME, CONFIGURATION, CODE)

    with pytest.raises(FunctionNotFound, match=r"function:f:1$"):
        again.resolve("f", "1")
    assert (second.number, (await again.publish(NAME)).number) == (2, 3)


async def test_versions_are_found_again_and_leave_nothing_behind(
    catalog: Catalog, store: Documents, opened: Callable[[], Catalog]
) -> None:
    version = await catalog.publish(NAME)
    again = opened()
    found = again.versions(NAME)[1]

    store.delete("function", NAME)  # as if the engine had died in the middle of deleting it
    opened()

    assert found == version
    assert isinstance(found, PublishedVersion)
    assert store.all("function-version") == []


async def test_what_an_alias_had_is_not_the_next_ones(
    catalog: Catalog, store: Documents, opened: Callable[[], Catalog]
) -> None:
    catalog.aliases.create(NAME, Alias("live", "$LATEST", ""))
    catalog.event_invoke_configs.put(NAME, "live", EventInvokeConfig(0.0, 0))

    store.delete("function-alias", f"{NAME}:live")  # as if the engine had died in the middle of deleting it
    again = opened()
    again.aliases.create(NAME, Alias("live", "$LATEST", ""))

    assert event_policy(again, "f", "live").limits == EventLimits()
    assert event_policy(catalog, "f", "live").limits == EventLimits(retries_max=0)


async def test_a_version_of_a_folder_used_in_place_has_a_copy_of_it(
    catalog: Catalog, opened: Callable[[], Catalog], tmp_path: Path
) -> None:
    source = tmp_path / "source"
    source.mkdir()
    (source / "app.py").write_text("one")
    (source / "link.py").symlink_to("app.py")
    await catalog.put_from_app("g", CONFIGURATION, source)

    first = await catalog.publish(FunctionName("g"))
    same = await catalog.publish(FunctionName("g"))
    (source / "app.py").write_text("three")
    opened()
    second = await catalog.publish(FunctionName("g"))

    assert (first.number, same.number, second.number) == (1, 1, 2)
    assert [(Path(version.code.folder) / "link.py").read_text() for version in (first, second)] == ["one", "three"]
    assert not Path(first.code.folder).is_relative_to(source)
    assert sorted(path.name for path in (tmp_path / "code").iterdir()) == sorted(
        Path(version.code.folder).name for version in (first, second)
    )

"""The catalogue: what is put there is resolved, told of and found again."""

from collections.abc import Callable
from pathlib import Path

import pytest

from workshape.functions.catalog import Catalog, FunctionExists, ReservationTooLarge
from workshape.functions.code import Code
from workshape.functions.configuration import FunctionConfiguration, OutOfBounds, ReservedVariables, VariablesTooLarge
from workshape.functions.function_name import FunctionNotFound
from workshape.functions.model import FunctionName

NAME = FunctionName("f")
CODE = Code("/code", "hash", 4)
CONFIGURATION = FunctionConfiguration("python3.12", "app.handler", "arn:aws:iam::123456789012:role/r")


@pytest.fixture
def catalog(opened: Callable[[], Catalog]) -> Catalog:
    return opened()


def test_a_function_resolves_to_what_runs(catalog: Catalog) -> None:
    made = catalog.create(NAME, CONFIGURATION, CODE)

    found = catalog.resolve("arn:aws:lambda:us-east-1:123456789012:function:f", "$LATEST")

    assert found is catalog.resolve("arn:aws:lambda:us-east-1:123456789012:function:f", "$LATEST")
    assert (found.name, found.version, found.revision, found.code_folder) == ("f", "$LATEST", made.revision, "/code")
    assert found.arn == "arn:aws:lambda:us-east-1:123456789012:function:f"


def test_a_change_is_resolved_at_once(catalog: Catalog) -> None:
    catalog.create(NAME, CONFIGURATION, CODE)
    before = catalog.resolve("f", None)

    catalog.update_code(NAME, Code("/other", "hash2", 5))

    assert catalog.resolve("f", None).code_folder == "/other"
    assert catalog.resolve("f", None).revision != before.revision
    catalog.delete(NAME)
    with pytest.raises(FunctionNotFound):
        catalog.resolve("f", None)


def test_a_subscriber_that_resolves_gets_the_new_revision(catalog: Catalog) -> None:
    seen: list[tuple[frozenset[str], str]] = []
    catalog.create(NAME, CONFIGURATION, CODE)
    catalog.subscribe(lambda name, revisions: seen.append((revisions, catalog.resolve(name, None).revision)))

    changed = catalog.update_code(NAME, Code("/other", "hash2", 5))

    assert seen == [(frozenset({changed.revision}), changed.revision)]


def test_everything_is_found_again(catalog: Catalog, opened: Callable[[], Catalog]) -> None:
    made = catalog.create(NAME, CONFIGURATION, CODE, {"a": "b"})
    catalog.reserve_concurrency(NAME, 7)

    again = opened()

    assert again.get(NAME).revision == made.revision
    assert again.list() == catalog.list()
    assert (again.reserved_concurrency(NAME), again.reserved_total()) == (7, 7)


def test_a_name_is_taken_once(catalog: Catalog) -> None:
    catalog.create(NAME, CONFIGURATION, CODE)

    with pytest.raises(FunctionExists, match="Function already exist: f"):
        catalog.create(NAME, CONFIGURATION, CODE)


def test_reservations_leave_a_hundred_to_everyone_else(catalog: Catalog) -> None:
    catalog.create(NAME, CONFIGURATION, CODE)
    catalog.create(FunctionName("g"), CONFIGURATION, CODE)
    catalog.reserve_concurrency(NAME, 800)

    with pytest.raises(ReservationTooLarge):
        catalog.reserve_concurrency(FunctionName("g"), 101)
    catalog.reserve_concurrency(FunctionName("g"), 100)
    catalog.reserve_concurrency(NAME, 0)
    assert catalog.reserved_total() == 100
    catalog.reserve_concurrency(NAME, None)
    assert catalog.reserved_concurrency(NAME) is None


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"memory_mb": 127}, OutOfBounds),
        ({"memory_mb": 10_241}, OutOfBounds),
        ({"timeout_s": 0}, OutOfBounds),
        ({"timeout_s": 901}, OutOfBounds),
        ({"ephemeral_storage_mb": 511}, OutOfBounds),
        ({"environment": {"AWS_LAMBDA_RUNTIME_API": "x"}}, ReservedVariables),
        ({"environment": {"A": "x" * 4_096}}, VariablesTooLarge),
    ],
)
def test_what_lambda_would_not_take_is_refused(
    catalog: Catalog, change: dict[str, object], error: type[Exception]
) -> None:
    fields = {name: getattr(CONFIGURATION, name) for name in CONFIGURATION.__struct_fields__}

    with pytest.raises(error):
        catalog.create(NAME, FunctionConfiguration(**{**fields, **change}), CODE)

    assert catalog.list() == []


async def test_an_apps_function_keeps_its_revision_until_something_changes(catalog: Catalog, tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    (source / "app.py").write_text("one")

    first = await catalog.put_from_app("f", CONFIGURATION, source, reserved_concurrency=5)
    same = await catalog.put_from_app("f", CONFIGURATION, source, reserved_concurrency=6)
    (source / "more.py").write_text("two")
    changed = await catalog.put_from_app("f", CONFIGURATION, source)

    assert first.code.folder == str(source)
    assert (same.revision, same.reserved_concurrency) == (first.revision, 6)
    assert changed.revision != first.revision
    assert changed.reserved_concurrency is None

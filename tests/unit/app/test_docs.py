"""The page about the app file names every key there is, and its examples are app files."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import msgspec
import pytest

from workshape.app.code import handler_files
from workshape.app.delivery_model import Asynchronous, Endpoint, Notification, Subscription, Topic
from workshape.app.event_model import Bus, Rule, Schedule, Target
from workshape.app.kafka_model import Kafka, KafkaMapping
from workshape.app.model import (
    App,
    Authorizer,
    Bucket,
    Cors,
    Database,
    Function,
    Http,
    Layer,
    Mapping,
    Queue,
    Redrive,
    RedriveAllow,
    Route,
    Table,
)
from workshape.app.toml import APP_FILE_NAME, TABLES, load_app
from workshape.functions.images.reference import LOCAL_SCHEME, LocalImage, parse_reference
from workshape.settings import Settings

PAGE = (Path(__file__).parents[3] / "docs" / "app-file.md").read_text()
EXAMPLES = re.findall(r"^```toml\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)
SECTIONS: dict[type[msgspec.Struct], str] = {
    Function: "[functions.NAME]",
    Layer: "[layers.NAME]",
    Queue: "[queues.NAME]",
    Mapping: "[[mappings]]",
    Http: "[http]",
    Authorizer: "[authorizers.NAME]",
    Route: "[[routes]]",
    Table: "[tables.NAME]",
    Bucket: "[buckets.NAME]",
    Notification: "[[notifications]]",
    Topic: "[topics.NAME]",
    Subscription: "[[subscriptions]]",
    Bus: "[buses.NAME]",
    Rule: "[rules.NAME]",
    Schedule: "[schedules.NAME]",
    Kafka: "[kafka]",
    KafkaMapping: "[[kafka_mappings]]",
    Database: "[database]",
    Settings: "[platform]",
}
NAMED_BY_THE_TABLE = {Function, Layer, Queue, Authorizer, Table, Bucket, Topic, Bus, Rule, Schedule}


def test_every_table_has_a_section() -> None:
    named = {re.sub(r"[\[\]]|\.NAME", "", heading) for heading in SECTIONS.values()} | {"app"}

    assert named == set(TABLES)
    assert {field.name for field in msgspec.structs.fields(App)} <= named | {"name"}
    assert all(section(heading) for heading in SECTIONS.values())


@pytest.mark.parametrize("kind", SECTIONS, ids=lambda kind: kind.__name__)
def test_every_key_of_a_table_is_a_row_of_its_section(kind: type[msgspec.Struct]) -> None:
    text = section(SECTIONS[kind])

    missing = [key for key in keys(kind) if f"\n| `{key}`" not in text]

    assert not missing


def test_the_parts_of_a_redrive_are_rows() -> None:
    text = section(SECTIONS[Queue])

    assert all(f"\n| `redrive.{key}`" in text for key in Redrive.__struct_fields__)
    assert all(f"\n| `redrive_allow.{key}`" in text for key in RedriveAllow.__struct_fields__)


def test_the_parts_of_a_target_are_named() -> None:
    text = section(SECTIONS[Rule])

    assert all(f"`{key}`" in text for key in Target.__struct_fields__)


def test_the_parts_of_asynchronous_settings_and_of_endpoints_are_named() -> None:
    text = section("functions.NAME.asynchronous")

    assert all(f"\n| `{key}`" in text for key in Asynchronous.__struct_fields__)
    assert all(f"`{kind}`" in text for kind in Endpoint.__struct_fields__)


def test_the_parts_of_cors_are_named() -> None:
    text = section(SECTIONS[Http])

    assert all(f"`{key}`" in text for key in Cors.__struct_fields__)


def test_every_setting_of_the_platform_is_a_row_with_its_default() -> None:
    for group in msgspec.structs.fields(Settings):
        if not issubclass(group.type, msgspec.Struct):
            continue
        text = section(f"platform.{group.name}")
        for field in msgspec.structs.fields(group.type):
            default = msgspec.json.encode(field.default).decode()
            shown = default if isinstance(field.default, (bool, int, float)) else f"`{default}`"

            assert f"\n| `{field.name}` | {shown} |" in text


@pytest.mark.parametrize("kind", SECTIONS, ids=lambda kind: kind.__name__)
def test_rows_tell_the_default_of_plain_keys(kind: type[msgspec.Struct]) -> None:
    text = section(SECTIONS[kind])

    for field in msgspec.structs.fields(kind):
        if isinstance(field.default, (bool, int, str)) and field.name in keys(kind):
            shown = msgspec.json.encode(field.default).decode()
            row = re.search(rf"^\| `{field.name}` \|.*$", text, re.MULTILINE)
            assert row is not None
            assert row[0].split(" | ")[2].strip("`") == shown


@pytest.mark.parametrize("example", EXAMPLES, ids=range(len(EXAMPLES)))
def test_an_example_loads(example: str, tmp_path: Path) -> None:
    write_files(example, tmp_path)
    (tmp_path / APP_FILE_NAME).write_text(example)

    app, settings = load_app(tmp_path)

    assert app != App(tmp_path.name) or settings != Settings()


def section(heading: str) -> str:
    """The text under a heading, up to the next one."""
    found = re.search(rf"^##+ `{re.escape(heading)}`\n(.*?)(?=^##|\Z)", PAGE, re.DOTALL | re.MULTILINE)
    return found[1] if found is not None else ""


def keys(kind: type[msgspec.Struct]) -> Iterator[str]:
    """The keys of a table; groups of settings have sections of their own."""
    for field in msgspec.structs.fields(kind):
        is_group = kind is Settings and bool(get_args(field.type) or issubclass(field.type, msgspec.Struct))
        is_heading = field.name == "name" and kind in NAMED_BY_THE_TABLE
        if not is_group and not is_heading:
            yield field.name


def write_files(example: str, folder: Path) -> None:
    """Make the files that an example's functions, layers and database name."""
    for table in re.split(r"^\[", example, flags=re.MULTILINE):
        named = dict(re.findall(r'^(\w+) = "([^"]*)"', table, re.MULTILINE))
        if "init_sql" in named:
            (folder / named["init_sql"]).touch()
        if named.get("image", "").startswith(LOCAL_SCHEME):
            reference = parse_reference(named["image"])
            assert isinstance(reference, LocalImage)
            (folder / reference.path).mkdir(parents=True)
        if "code" not in named:
            continue
        code = folder / named["code"]
        wanted = [named[key] for key in ("entry", "requirements") if key in named]
        if "handler" in named and "entry" not in named:
            wanted.append(handler_files(named["runtime"], named["handler"])[0])
        for name in wanted:
            (code / name).parent.mkdir(parents=True, exist_ok=True)
            (code / name).touch()
        code.mkdir(parents=True, exist_ok=True)

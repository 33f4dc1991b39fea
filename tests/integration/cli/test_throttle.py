"""`workshape throttle` on a real front door."""

from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from zipfile import ZipFile

import pytest
from typer.testing import CliRunner

from tests.fakes.functions import create
from tests.fakes.live_door import LiveDoor
from workshape.cli.main import app

runner = CliRunner()


@pytest.fixture
def door(tmp_path: Path) -> Iterator[LiveDoor]:
    """A front door with a function."""
    door = LiveDoor(tmp_path)
    packed = BytesIO()
    with ZipFile(packed, "w") as archive:
        archive.writestr("app.py", "def handler(event, context): return event")
    create(door.client("lambda"), packed.getvalue())
    yield door
    door.close()


def throttle(door: LiveDoor, *arguments: str) -> tuple[int, str]:
    result = runner.invoke(app, ["throttle", *arguments, "--endpoint", door.url])
    return result.exit_code, result.output


def reserved(door: LiveDoor) -> object:
    return door.client("lambda").get_function_concurrency(FunctionName="f").get("ReservedConcurrentExecutions")


def test_a_limit_is_set_changed_and_taken_away_and_each_time_said(door: LiveDoor) -> None:
    said = [throttle(door, "f", "5"), throttle(door, "f", "0")]
    during = reserved(door)
    said.append(throttle(door, "f", "--off"))

    assert said == [
        (0, "f: reserved concurrency was not set, is 5\n"),
        (0, "f: reserved concurrency was 5, is 0 (nothing runs)\n"),
        (0, "f: reserved concurrency was 0 (nothing runs), is not set\n"),
    ]
    assert (during, reserved(door)) == (0, None)


def test_what_is_refused_is_one_line_and_changes_nothing(door: LiveDoor) -> None:
    refused = [
        throttle(door, "f"),
        throttle(door, "f", "5", "--off"),
        throttle(door, "f", "901"),
        throttle(door, "g", "1"),
    ]

    either = "workshape: give a number, or --off to take the limit away: workshape throttle f 5\n"
    assert refused[:2] == [(1, either), (1, either)]
    assert refused[2][1].startswith(
        "workshape: Specified ReservedConcurrentExecutions for function decreases account's"
    )
    assert refused[3][1].startswith("workshape: Function not found: arn:aws:lambda:")
    assert reserved(door) is None

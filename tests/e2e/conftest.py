"""Whole platforms: `workshape up` as its users run it."""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.e2e.running import Running, bring_up, processes_under

# Any Node.js will do: what is tested is the clients.
WITHOUT_APP = """
[platform]
upstream = { dynamodb = "moto" }
functions = { allow_substitute = true }
"""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Leave them out where processes cannot be looked for."""
    if sys.platform != "linux":
        for item in items:
            item.add_marker(pytest.mark.skip(reason="reads /proc"))


@pytest.fixture(autouse=True)
def no_process_survives(tmp_path: Path) -> Iterator[None]:
    """Check that nothing that was started for a test's folder outlives the test."""
    yield
    assert processes_under(tmp_path) == {}


@pytest.fixture
def make_app(tmp_path: Path) -> Callable[..., Path]:
    """Write an app's folder: its `workshape.toml`, and code files by their names in `code/`."""

    def make(toml: str, **code: str) -> Path:
        (tmp_path / "workshape.toml").write_text(toml)
        (tmp_path / "code").mkdir()
        for name, text in code.items():
            (tmp_path / "code" / name.replace("__", ".")).write_text(text)
        return tmp_path

    return make


@pytest.fixture(scope="module")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """One platform without an app for the whole module."""
    folder = tmp_path_factory.mktemp("platform")
    (folder / "workshape.toml").write_text(WITHOUT_APP)
    with bring_up(folder, "--no-follow") as running:
        yield running

"""An owner of runtimes for each test, and folders of code."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.fakes.runtime_owner import RuntimeOwner


@pytest.fixture
async def owner(tmp_path: Path) -> AsyncIterator[RuntimeOwner]:
    owner = RuntimeOwner(tmp_path / "environments")
    yield owner
    await owner.close()


@pytest.fixture
def code(tmp_path: Path) -> Path:
    folder = tmp_path / "code"
    folder.mkdir()
    return folder

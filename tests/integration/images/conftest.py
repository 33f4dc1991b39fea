"""Images of a static program, and environments of them."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.fakes.image_programs import COMPILER, static_image, static_runtime
from tests.fakes.images import BuiltImage
from tests.fakes.runtime_owner import RuntimeOwner


@pytest.fixture(scope="session")
def program(needs_sandbox: None, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A static program that speaks the Runtime API."""
    if COMPILER is None:
        pytest.skip("there is no C compiler to make a static program with")
    return static_runtime(tmp_path_factory.mktemp("program"))


@pytest.fixture
def image(program: bytes) -> BuiltImage:
    """An image with nothing but that program."""
    return static_image(program, Cmd=["one", "two"])


@pytest.fixture
async def owner(tmp_path: Path) -> AsyncIterator[RuntimeOwner]:
    """Stands where the invoker stands."""
    owner = RuntimeOwner(tmp_path / "environments")
    yield owner
    await owner.close()

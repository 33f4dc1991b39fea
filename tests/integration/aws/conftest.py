"""A front door, and moto behind it."""

from collections.abc import Callable, Iterator
from io import BytesIO
from pathlib import Path
from zipfile import ZipFile

import pytest
from moto.server import ThreadedMotoServer

from tests.fakes.archives import readable
from tests.fakes.live_door import CLUSTER, LiveDoor

ROLE = "arn:aws:iam::123456789012:role/r"


@pytest.fixture(scope="session")
def moto_url() -> Iterator[str]:
    """moto's server."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def door(tmp_path: Path) -> Iterator[LiveDoor]:
    """A front door without upstreams."""
    door = LiveDoor(tmp_path)
    yield door
    door.close()


@pytest.fixture
def door_of_cluster(tmp_path: Path) -> Iterator[LiveDoor]:
    """A front door of an app whose database has two readers, without upstreams."""
    folder = tmp_path / "cluster"
    folder.mkdir()
    door = LiveDoor(folder, database=CLUSTER)
    yield door
    door.close()


@pytest.fixture
def door_to_moto(tmp_path: Path, moto_url: str) -> Iterator[LiveDoor]:
    """A front door with moto behind it."""
    door = LiveDoor(tmp_path, upstream={"default": moto_url})
    yield door
    door.close()


@pytest.fixture(scope="session")
def archive() -> Callable[..., bytes]:
    """Make zip archives of files by name."""

    def make(**files: str) -> bytes:
        made = BytesIO()
        with ZipFile(made, "w") as packed:
            for name, text in (files or {"app": "def handler(event, context): return event"}).items():
                packed.writestr(readable(f"{name}.py"), text)
        return made.getvalue()

    return make

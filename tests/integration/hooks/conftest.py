"""One engine with moto behind it for all tests of deliveries: they use names of their own."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from moto.server import ThreadedMotoServer

from tests.fakes.live_engine import LiveEngine, live_engine


@pytest.fixture(scope="session")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveEngine]:
    """A whole engine, real environments included."""
    moto = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    moto.start()
    host, port = moto.get_host_and_port()
    folder: Path = tmp_path_factory.mktemp("hooks")
    with live_engine(folder, {"default": f"http://{host}:{port}"}) as engine:
        yield engine
    moto.stop()

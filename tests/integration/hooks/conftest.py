"""One engine with moto behind it for all tests of a module: they use names of their own."""

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from moto.server import ThreadedMotoServer

from tests.fakes.live_engine import LiveEngine, live_engine


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveEngine]:
    """A whole engine, real environments included."""
    moto = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    moto.start()
    host, port = moto.get_host_and_port()
    folder: Path = tmp_path_factory.mktemp("hooks")
    with live_engine(folder, {"default": f"http://{host}:{port}"}) as engine:
        yield engine
    # What moto holds is this process's: other tests' servers would show it.
    httpx.post(f"http://{host}:{port}/moto-api/reset", trust_env=False).raise_for_status()
    moto.stop()

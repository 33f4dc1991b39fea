"""One engine for all tests of secrets: they use names of their own."""

from collections.abc import Iterator

import pytest

from tests.fakes.live_engine import LiveEngine, live_engine


@pytest.fixture(scope="session")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveEngine]:
    """A whole engine, real environments included."""
    with live_engine(tmp_path_factory.mktemp("secrets")) as engine:
        yield engine

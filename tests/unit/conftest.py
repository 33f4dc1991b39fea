"""What tests of more than one room need."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from workshape.store.documents import Documents


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Documents]:
    store = Documents(tmp_path / "store.sqlite")
    yield store
    store.close()

"""A store in a folder of its own, and the catalogue on it, opened as often as a test wants."""

from collections.abc import Callable
from pathlib import Path

import pytest

from workshape.clock import Clock
from workshape.functions.catalog import Catalog
from workshape.functions.code import CodeStore
from workshape.store.documents import Documents


@pytest.fixture
def opened(store: Documents, tmp_path: Path) -> Callable[[], Catalog]:
    def open_catalog() -> Catalog:
        code = CodeStore(tmp_path / "code")
        return Catalog(
            store, code, region="us-east-1", account="123456789012", account_concurrency=1_000, clock=Clock()
        )

    return open_catalog

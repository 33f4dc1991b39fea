"""Snapshots of versions: taken once, remembered, and what may be invoked meanwhile."""

import asyncio
from collections.abc import Callable
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import pytest

from workshape.functions.catalog import Catalog
from workshape.functions.code import Code
from workshape.functions.configuration import FunctionConfiguration
from workshape.functions.function_state import FunctionNotActive
from workshape.functions.model import FunctionName, FunctionVersion
from workshape.functions.snap_start import SnapshotFailure, SnapStartNotReady
from workshape.functions.snapshots import DOCUMENT_KIND, Snapshots
from workshape.store.documents import Documents

NAME = FunctionName("f")
CODE = Code("/code", "hash", 4, "/code.zip")
CONFIGURATION = FunctionConfiguration("python3.12", "app.handler", "role", "it", snap_start=True)


class Taker:
    """Takes as long, and comes to the end, that a test wants."""

    def __init__(self) -> None:
        self.taken: list[str] = []
        self.may_end = asyncio.Event()
        self.failure: SnapshotFailure | None = None

    async def take(self, function: FunctionVersion) -> SnapshotFailure | None:
        self.taken.append(function.version)
        await self.may_end.wait()
        return self.failure


@asynccontextmanager
async def running(snapshots: Snapshots) -> Any:
    task = asyncio.create_task(snapshots.run())
    yield
    task.cancel()
    await asyncio.wait([task])


async def until_settled(catalog: Catalog, version: str = "1") -> None:
    async with asyncio.timeout(30):
        while catalog.state(NAME, version).state == "Pending":
            await asyncio.sleep(0)


async def test_a_version_is_pending_until_its_snapshot_is_there(
    store: Documents, opened: Callable[[], Catalog]
) -> None:
    catalog, taker = opened(), Taker()
    async with running(Snapshots(store, catalog, taker.take)):
        catalog.create(NAME, CONFIGURATION, CODE)
        await catalog.publish(NAME)
        with pytest.raises(SnapStartNotReady):
            catalog.invocable("f", "1")
        latest = catalog.invocable("f", None)

        taker.may_end.set()
        await until_settled(catalog)

    assert catalog.invocable("f", "1").snap_start
    assert not latest.snap_start
    assert taker.taken == ["1"]


async def test_a_version_of_which_there_is_no_snapshot_has_failed_and_stays_so(
    store: Documents, opened: Callable[[], Catalog]
) -> None:
    catalog, taker = opened(), Taker()
    taker.failure = SnapshotFailure.init_failed("Runtime.BeforeSnapshotError")
    taker.may_end.set()
    async with running(Snapshots(store, catalog, taker.take)):
        catalog.create(NAME, CONFIGURATION, CODE)
        await catalog.publish(NAME)
        await until_settled(catalog)

    again, idle = opened(), Taker()
    Snapshots(store, again, idle.take)
    with pytest.raises(FunctionNotActive, match="Failed"):
        again.invocable("f", "1")
    assert again.state(NAME, "1") == catalog.state(NAME, "1")
    assert again.state(NAME, "1").reason_code == "FunctionError.RuntimeInitError"
    assert idle.taken == []


async def test_a_snapshot_that_was_under_way_is_taken_after_a_restart_and_one_that_is_there_is_not(
    store: Documents, opened: Callable[[], Catalog]
) -> None:
    catalog, taker = opened(), Taker()
    async with running(Snapshots(store, catalog, taker.take)):
        catalog.create(NAME, CONFIGURATION, CODE)
        await catalog.publish(NAME)
        taker.may_end.set()
        await until_settled(catalog)
        taker.may_end.clear()
        catalog.update_configuration(NAME, msgspec.structs.replace(CONFIGURATION, timeout_s=9))
        await catalog.publish(NAME)

    again, other = opened(), Taker()
    other.may_end.set()
    async with running(Snapshots(store, again, other.take)):
        pending = again.state(NAME, "2").state
        await until_settled(again, "2")

    assert pending == "Pending"
    assert other.taken == ["2"]


async def test_nothing_is_left_of_a_version_that_is_deleted_while_its_snapshot_is_taken(
    store: Documents, opened: Callable[[], Catalog]
) -> None:
    catalog, taker = opened(), Taker()
    async with running(Snapshots(store, catalog, taker.take)):
        catalog.create(NAME, CONFIGURATION, CODE)
        await catalog.publish(NAME)
        async with asyncio.timeout(30):
            while not taker.taken:
                await asyncio.sleep(0)

        catalog.delete(NAME)
        taker.may_end.set()
        await asyncio.sleep(0)

    assert catalog.unsettled_versions == {}
    assert list(store.all(DOCUMENT_KIND)) == []

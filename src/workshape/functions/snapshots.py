"""The snapshots of versions with SnapStart: taken in the background once a version is published, durable as a fact.

A version is Pending until its snapshot is there, and Failed when there can be none. What was under way when workshape
ended is taken up again. That a version has its snapshot stays true after a restart, as on AWS; what of it is in memory
does not, and is made again when the version is first used.

Source: https://docs.aws.amazon.com/lambda/latest/dg/snapstart-activate.html (function states)
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterator

import msgspec

from workshape.functions.belongings import Belongings
from workshape.functions.catalog import Catalog
from workshape.functions.function import PublishedVersion
from workshape.functions.function_name import FunctionNotFound
from workshape.functions.function_state import PENDING, creation_failed
from workshape.functions.model import FunctionName, FunctionVersion
from workshape.functions.snap_start import SnapshotFailure
from workshape.store.documents import Documents

DOCUMENT_KIND = "snapshot"
TAKING_MAX = 4
"""At once: each is an init phase, of which nobody waits for the end, beside those that somebody does wait for."""

_Key = tuple[FunctionName, str]

_log = logging.getLogger(__name__)


class _Record(msgspec.Struct, frozen=True):
    """How it went; none: it is not over."""

    failure: SnapshotFailure | None = None


class Snapshots:
    """Every version's snapshot. Used on the event loop's thread; `run` it."""

    def __init__(
        self,
        documents: Documents,
        catalog: Catalog,
        take: Callable[[FunctionVersion], Awaitable[SnapshotFailure | None]],
    ) -> None:
        """Read what there is; versions without a snapshot are Pending from now on."""
        self._catalog = catalog
        self._take = take
        functions = {function.name for function in catalog.list()}
        self._records = Belongings(documents, DOCUMENT_KIND, _Record, functions)
        self._wanted: dict[_Key, None] = {}  # in their order; never more than there are versions
        self._changed = asyncio.Event()
        for name in sorted(functions):
            self._look_at(name)
        catalog.subscribe(lambda name, _revisions: self._look_at(name))

    def __repr__(self) -> str:
        return f"<Snapshots wanted={len(self._wanted)}>"

    async def run(self) -> None:
        """Take what is wanted, until cancelled."""
        places = asyncio.Semaphore(TAKING_MAX)
        async with asyncio.TaskGroup() as group:
            while True:
                await self._changed.wait()
                self._changed.clear()
                while self._wanted:
                    await places.acquire()
                    key = next(iter(self._wanted), None)
                    if key is None:
                        places.release()
                        break
                    del self._wanted[key]
                    group.create_task(self._take_one(key)).add_done_callback(lambda _task: places.release())

    async def _take_one(self, key: _Key) -> None:
        name, version = key
        try:
            function = self._catalog.resolve(name, version)
        except FunctionNotFound:
            return
        try:
            failure = await self._take(function)
        except Exception as error:  # noqa: BLE001 - the supervised boundary of one snapshot: the others go on
            _log.exception("snapshot_task_failed", extra={"function": name, "version": version})
            failure = SnapshotFailure.internal(str(error))
        if key not in self._catalog.unsettled_versions:
            return  # it was deleted meanwhile
        self._records.put(name, version, _Record(failure))
        if failure is None:
            del self._catalog.unsettled_versions[key]
        else:
            self._catalog.unsettled_versions[key] = creation_failed(failure.reason, failure.code)
        _log.info("snapshot_taken", extra={"function": name, "version": version, "failure": failure and failure.reason})

    def _look_at(self, name: FunctionName) -> None:
        """See which versions of a function there are, and what is known of their snapshots."""
        present = set(self._versions(name))
        unsettled = self._catalog.unsettled_versions
        for key in [key for key in unsettled if key[0] == name and key[1] not in present]:
            del unsettled[key]
            self._wanted.pop(key, None)
        for version in self._records.of(name).keys() - present:
            self._records.delete(name, version)
        for version in present:
            record, key = self._records.get(name, version), (name, version)
            if record is None and key not in unsettled:
                unsettled[key] = PENDING
                self._wanted[key] = None
                self._changed.set()
            elif record is not None and record.failure is not None:
                unsettled[key] = creation_failed(record.failure.reason, record.failure.code)

    def _versions(self, name: FunctionName) -> Iterator[str]:
        try:
            there = self._catalog.versions(name)
        except FunctionNotFound:
            return
        for version in there:
            if isinstance(version, PublishedVersion) and version.configuration.snap_start:
                yield version.version

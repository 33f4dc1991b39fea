"""The archives there are, and the events in them: both on disk, the events with those who are to get them.

Source: https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-archive.html
"""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import msgspec

from workshape.clock import Clock
from workshape.events.archive import (
    ARCHIVES_MAX,
    Archive,
    ArchiveExists,
    ArchiveNotFound,
    CompiledArchive,
    archive_arn,
    compile_archive,
)
from workshape.events.buses import Buses
from workshape.events.event import Event, unix_time
from workshape.events.model import LimitExceeded
from workshape.identifiers import new_uuid
from workshape.later import Later
from workshape.store.documents import Documents
from workshape.store.timelines import LineSize, Placed, Position, Timelines

ARCHIVE_KIND = "event-archive"
CLEANED_EVERY_S = 60.0  # what is too old is replayed no more from the second it is; the disk has it a little longer


class ArchivedCopy(NamedTuple):
    """An event on its way into an archive."""

    line: str
    at: float
    value: bytes


class Archives:
    """All of one account and region. `run` it: what is too old goes."""

    def __init__(self, documents: Documents, timelines: Timelines, buses: Buses, clock: Clock) -> None:
        """Read what there is."""
        self._documents = documents
        self._timelines = timelines
        self._buses = buses
        self._clock = clock
        self._archives: dict[str, CompiledArchive] = {}
        for name, document in documents.all(ARCHIVE_KIND):
            self._archives[name] = compile_archive(msgspec.msgpack.decode(document, type=Archive))
        buses.hold(lambda bus: any(one.archive.bus == bus for one in self._archives.values()))

    def __repr__(self) -> str:
        return f"<Archives {', '.join(sorted(self._archives))}>"

    def archives(self) -> list[Archive]:
        """All of them, by name."""
        return [self._archives[name].archive for name in sorted(self._archives)]

    def archive(self, name: str) -> Archive:
        """Return an archive. Raises: ArchiveNotFound: there is none."""
        if name not in self._archives:
            raise ArchiveNotFound(kind="archive", name=name)
        return self._archives[name].archive

    def find(self, arn: str) -> Archive | None:
        """The archive of that ARN, if it is there."""
        return next((one.archive for one in self._archives.values() if one.archive.arn == arn), None)

    def size(self, archive: Archive) -> LineSize:
        """Count the events in it, and their bytes; those that have just become too old may be among them."""
        return self._timelines.size(archive.line)

    def create(self, given: Archive) -> Archive:
        """Make an archive; its ARN, its place and its time are given here.

        Raises:
            BusNotFound, ArchiveExists, LimitExceeded, InvalidEventPattern: it cannot be.
        """
        self._buses.bus(given.bus)
        if given.name in self._archives:
            raise ArchiveExists(name=given.name)
        if len(self._archives) >= ARCHIVES_MAX:
            raise LimitExceeded(limit=ARCHIVES_MAX, what="archives")
        arn = archive_arn(self._buses.region, self._buses.account, given.name)
        return self._keep(msgspec.structs.replace(given, arn=arn, line=new_uuid(), created_at=self._clock.wall_s()))

    def put(self, archive: Archive) -> Archive:
        """Replace an archive there is. Raises: InvalidEventPattern: its pattern is none."""
        return self._keep(archive)

    def delete(self, name: str) -> None:
        """Remove an archive and its events. Raises: ArchiveNotFound: there is none."""
        self.archive(name)
        self._documents.delete(ARCHIVE_KIND, name)
        del self._archives[name]

    def copies(self, event: Event, bus: str) -> list[ArchivedCopy]:
        """Make what the archives of a bus keep of an event."""
        takers = [one.archive for one in self._archives.values() if one.archive.bus == bus and one.takes(event.body)]
        if not takers:
            return []
        value = msgspec.msgpack.encode((event.encoded, event.from_bus))
        at = unix_time(event.body["time"])
        return [ArchivedCopy(archive.line, at, value) for archive in takers]

    def keep(self, copies: Sequence[ArchivedCopy]) -> Later[None]:
        """Keep events; the result is there when they are on disk.

        Raises:
            BackendUnavailable: the disk refuses.
        """
        return self._timelines.add(copies, self._clock.wall_s()) if copies else Later.given(None)

    def page(self, archive: Archive, after: Position, until: float, count_max: int) -> list[Placed]:
        """Read some of an archive's events, in the order of their times."""
        return self._timelines.page(archive.line, after, until, count_max, archive.kept_since(self._clock.wall_s()))

    async def run(self) -> None:
        """Let go of what is too old, and of what was in archives that are gone, until cancelled."""
        while True:
            await self.clean()
            await asyncio.sleep(CLEANED_EVERY_S)

    async def clean(self) -> None:
        """Let go of it once."""
        now = self._clock.wall_s()
        kept: Mapping[str, Archive] = {one.archive.line: one.archive for one in self._archives.values()}
        for line in self._timelines.lines():
            archive = kept.get(line)
            added_before = float("inf") if archive is None else archive.kept_since(now)
            has_more = True
            while has_more:
                has_more = self._timelines.drop(line, added_before)
                await asyncio.sleep(0)  # everyone else has their turn

    def _keep(self, archive: Archive) -> Archive:
        compiled = compile_archive(archive)
        self._documents.put(ARCHIVE_KIND, archive.name, msgspec.msgpack.encode(archive))
        self._archives[archive.name] = compiled
        return archive


def read_archived(value: bytes) -> tuple[dict[str, Any], str]:
    """Read an event back: its body, and the bus it came from."""
    encoded, from_bus = msgspec.msgpack.decode(value, type=tuple[bytes, str])
    return msgspec.json.decode(encoded), from_bus

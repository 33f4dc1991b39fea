"""The replays there are, and whoever replays: archived events, page by page, to the rules of their bus.

What has been replayed is written with the invocations that came of it, in one step: a replay that a restart interrupts
goes on behind it.
"""

import asyncio
import logging
from collections.abc import Sequence
from typing import Protocol

import msgspec

from workshape.clock import Clock
from workshape.events.archives import Archives, read_archived
from workshape.events.buses import Buses
from workshape.events.event import Event
from workshape.events.model import LimitExceeded
from workshape.events.replay import (
    ACTIVE_MAX,
    NoSuchFilter,
    OtherDestination,
    Replay,
    ReplayExists,
    ReplayHasEnded,
    ReplayNotFound,
    ReplayState,
    SpanIsEmpty,
    forgotten,
    replayed,
)
from workshape.events.target_queue import TargetQueueFull
from workshape.events.timer import Document
from workshape.store.documents import Documents
from workshape.store.timelines import Placed, Position

REPLAY_KIND = "event-replay"
PAGE_EVENTS_MAX = 100  # at a time: a few milliseconds of matching, and at most 25 MB
ROOM_WAIT_S = 1.0  # while too many invocations wait for their targets
STORE_RETRY_S = 60.0  # after the disk refused: as a rule it is full

_log = logging.getLogger(__name__)


class PutAgain(Protocol):
    """Puts events on a bus again, for some of its rules; `EventBridge.replay`."""

    async def __call__(self, replay: Replay, events: Sequence[Event], marks: Sequence[Document]) -> None:
        """Return when what comes of it is on disk, and `marks` with it."""


class Replays:
    """All of one engine. `run` it; what it had not finished goes on at the next start."""

    def __init__(self, documents: Documents, archives: Archives, buses: Buses, put: PutAgain, clock: Clock) -> None:
        """Read what there is."""
        self._documents = documents
        self._archives = archives
        self._buses = buses
        self._put = put
        self._clock = clock
        self._changed = asyncio.Event()
        self._running: set[str] = set()
        self._replays: dict[str, Replay] = {}
        for name, document in documents.all(REPLAY_KIND):
            self._replays[name] = msgspec.msgpack.decode(document, type=Replay)

    def __repr__(self) -> str:
        return f"<Replays {len(self._replays)} running={len(self._running)}>"

    def replays(self) -> list[Replay]:
        """All of them, by name."""
        self._forget_old()
        return [self._replays[name] for name in sorted(self._replays)]

    def replay(self, name: str) -> Replay:
        """Return a replay. Raises: ReplayNotFound: there is none."""
        self._forget_old()
        if name not in self._replays:
            raise ReplayNotFound(kind="replay", name=name)
        return self._replays[name]

    def start(self, given: Replay, destination: str) -> Replay:
        """Begin a replay to a bus (ARN); its time is given here.

        Raises:
            ReplayExists, SpanIsEmpty, OtherDestination, NoSuchFilter, LimitExceeded: it cannot be.
            BusNotFound: the bus is gone.
        """
        self._forget_old()
        if given.name in self._replays:
            raise ReplayExists(name=given.name)
        if given.from_at >= given.until_at:
            raise SpanIsEmpty
        bus = self._buses.bus(given.bus)
        if destination != bus.arn:
            raise OtherDestination(bus=bus.arn)
        for arn in given.filter_arns:
            found = self._buses.find(arn)
            if found is None or found.rule.bus != given.bus:
                raise NoSuchFilter(arn=arn)
        if sum(one.is_active for one in self._replays.values()) >= ACTIVE_MAX:
            raise LimitExceeded(limit=ACTIVE_MAX, what="replays at a time")
        return self._keep(msgspec.structs.replace(given, started_at=self._clock.wall_s()))

    def cancel(self, name: str) -> Replay:
        """End a replay before its time.

        Raises:
            ReplayNotFound, ReplayHasEnded: there is nothing to end.
        """
        replay = self.replay(name)
        if not replay.is_active or replay.state is ReplayState.CANCELLING:
            raise ReplayHasEnded(name=name, state=replay.state)
        return self._keep(replay.became(ReplayState.CANCELLING, self._clock.wall_s()))

    async def run(self) -> None:
        """Replay, until cancelled."""
        async with asyncio.TaskGroup() as group:
            while True:
                self._changed.clear()
                for name, replay in self._replays.items():
                    if replay.is_active and name not in self._running:
                        self._running.add(name)
                        group.create_task(self._play(name))
                await self._changed.wait()

    async def _play(self, name: str) -> None:
        try:
            while (replay := self._replays[name]).is_active:
                try:
                    await self._go_on(replay)
                except TargetQueueFull:
                    await asyncio.sleep(ROOM_WAIT_S)
                except Exception:  # noqa: BLE001 - the supervised boundary of a replay: the store refused, as a rule
                    _log.exception("replay_failed", extra={"replay": name})
                    await asyncio.sleep(STORE_RETRY_S)
        finally:
            self._running.discard(name)

    async def _go_on(self, replay: Replay) -> None:
        now = self._clock.wall_s()
        archive = self._archives.find(replay.archive_arn)
        if replay.state is ReplayState.CANCELLING:
            self._keep(replay.became(ReplayState.CANCELLED, now))
        elif archive is None:
            self._keep(replay.became(ReplayState.FAILED, now, f"Archive {replay.archive_arn} does not exist."))
        elif not self._buses.has_bus(replay.bus):
            self._keep(replay.became(ReplayState.FAILED, now, f"Event bus {replay.bus} does not exist."))
        elif replay.state is ReplayState.STARTING:
            self._keep(replay.became(ReplayState.RUNNING, now))
        else:
            after = Position(replay.from_at if replay.last_at is None else replay.last_at, replay.last_number)
            page = self._archives.page(archive, after, replay.until_at, PAGE_EVENTS_MAX)
            if page:
                await self._replay(replay, page, now)
            else:
                self._keep(replay.became(ReplayState.COMPLETED, now))

    async def _replay(self, replay: Replay, page: Sequence[Placed], now: float) -> None:
        events = []
        for placed in page:
            archived, from_bus = read_archived(placed.value)
            body = replayed(archived, replay.name)
            events.append(Event(body, msgspec.json.encode(body), now, from_bus=from_bus))
        advanced = self._replays[replay.name] = replay.passed(*page[-1].position)
        try:
            await self._put(replay, events, [_document(advanced)])
        except BaseException:
            if self._replays[replay.name] is advanced:  # rather once more than never
                self._replays[replay.name] = replay
            raise

    def _keep(self, replay: Replay) -> Replay:
        self._documents.put(*_document(replay))
        self._replays[replay.name] = replay
        self._changed.set()
        return replay

    def _forget_old(self) -> None:
        for replay in forgotten(list(self._replays.values()), self._clock.wall_s()):
            self._documents.delete(REPLAY_KIND, replay.name)
            del self._replays[replay.name]


def _document(replay: Replay) -> Document:
    return REPLAY_KIND, replay.name, msgspec.msgpack.encode(replay)

"""Archives of events and their replays: what is kept, for how long, and that it comes again once."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.fakes.shifted_clock import ShiftedClock
from workshape.delivery import Delivered, Delivery, DeliveryOutcome
from workshape.events import replays as replays_module
from workshape.events.archive import DAY_S, Archive
from workshape.events.archives import Archives
from workshape.events.bus import EventBridge
from workshape.events.buses import Buses
from workshape.events.event import Entry, Event
from workshape.events.event_metrics import EventMetrics
from workshape.events.model import BusInUse, BusName, EventBus, LimitExceeded, Rule, RuleName, Target
from workshape.events.replay import (
    ACTIVE_MAX,
    KEPT_S,
    REPLAYS_MAX,
    NoSuchFilter,
    OtherDestination,
    Replay,
    ReplayHasEnded,
    ReplayState,
    SpanIsEmpty,
    forgotten,
)
from workshape.events.replays import Replays
from workshape.events.target_queue import DOCUMENT_KIND, TargetQueue, TargetQueueFull
from workshape.events.timer import Document
from workshape.store.documents import Documents
from workshape.store.timelines import Position, Timelines

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC).timestamp()
BUS = "arn:aws:events:us-east-1:123456789012:event-bus/orders"
ARCHIVE = "arn:aws:events:us-east-1:123456789012:archive/kept"
WAIT_S_MAX = 30.0
EVERYTHING = '{"source": [{"exists": true}]}'


async def nowhere(_arn: str, _delivery: Delivery) -> DeliveryOutcome:
    return Delivered()


class Stage:
    """A bus with an archive, on a store; each is another start."""

    def __init__(self, folder: Path, clock: ShiftedClock) -> None:
        self.clock = clock
        self.store = Documents(folder / "store.sqlite")
        self.timelines = Timelines(folder / "archives.sqlite")
        self.buses = Buses(self.store, clock, region="us-east-1", account="123456789012")
        self.archives = Archives(self.store, self.timelines, self.buses, clock)
        queue = TargetQueue(self.store, nowhere, EventMetrics(), clock)
        self.bridge = EventBridge(self.store, self.buses, self.archives, queue, EventMetrics(), clock)
        self.replays = Replays(self.store, self.archives, self.buses, self.bridge.replay, clock)

    def set_up(self, *rules: str, **archive: object) -> Archive:
        """Make the bus, rules that take everything, and the archive."""
        self.buses.create_bus(EventBus(name=BusName("orders")))
        for name in rules:
            self.buses.put_rule(Rule(bus=BusName("orders"), name=RuleName(name), pattern=EVERYTHING))
            self.buses.put_targets("orders", name, [Target(id="1", arn="arn:t")])
        return self.archives.create(Archive(name="kept", bus=BusName("orders"), **archive))  # type: ignore[arg-type]

    async def put(self, *details: str, at: float = NOON, source: str = "shop") -> None:
        entries = [Entry(source, "Order", f'{{"id": "{detail}"}}', "orders", at) for detail in details]
        outcomes = await self.bridge.put(entries)
        assert all(isinstance(outcome, str) for outcome in outcomes), outcomes

    def start(self, name: str = "again", **more: object) -> Replay:
        parts = {"from_at": NOON - 60, "until_at": NOON + 3_600, **more}
        replay = Replay(name=name, arn="arn:r", archive_arn=ARCHIVE, bus=BusName("orders"), **parts)  # type: ignore[arg-type]
        return self.replays.start(replay, BUS)

    def sent(self, origin: str = "") -> list[dict[str, object]]:
        """The events on their way, of one rule or of all."""
        documents = [msgspec.msgpack.decode(document) for _, document in self.store.all(DOCUMENT_KIND)]
        return [msgspec.json.decode(one["body"]) for one in documents if one["origin"].endswith(origin)]

    async def play(self, name: str = "again") -> Replay:
        """Replay until it has ended."""
        running = asyncio.create_task(self.replays.run())
        async with asyncio.timeout(WAIT_S_MAX):
            while self.replays.replay(name).is_active and not running.done():
                await asyncio.sleep(0.001)
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running
        return self.replays.replay(name)

    def close(self) -> None:
        self.timelines.close()
        self.store.close()


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    return Stage(tmp_path, ShiftedClock(NOON))


async def test_an_archive_keeps_the_events_of_its_bus_that_match_and_none_that_were_replayed(stage: Stage) -> None:
    archive = stage.set_up("all", pattern='{"source": ["shop"]}')
    await stage.put("1", "2")
    await stage.put("3", source="office")

    stage.start()
    ended = await stage.play()

    assert ended.state is ReplayState.COMPLETED
    assert stage.archives.size(archive).values == 2
    again = [event for event in stage.sent() if "replay-name" in event]
    assert sorted(str(event["detail"]) for event in again) == ["{'id': '1'}", "{'id': '2'}"]
    assert {event["replay-name"] for event in again} == {"again"}


async def test_a_replayed_event_is_the_one_that_was_archived_with_the_replays_name(stage: Stage) -> None:
    stage.set_up("all")
    await stage.put("1")

    stage.start()
    await stage.play()

    first, second = sorted(stage.sent(), key=len)
    assert second == {**first, "replay-name": "again"}


async def test_only_events_of_the_span_come_again_and_only_to_the_rules_asked_for(stage: Stage) -> None:
    stage.set_up("one", "two")
    for minute in range(5):
        await stage.put(str(minute), at=NOON + 60 * minute)
    rule = stage.buses.rule("orders", "two").arn

    stage.start(from_at=NOON + 60, until_at=NOON + 180, filter_arns=(rule,))
    ended = await stage.play()

    again = {name: [one["detail"] for one in stage.sent(name) if "replay-name" in one] for name in ("one", "two")}
    assert again["one"] == []
    assert sorted(map(str, again["two"])) == ["{'id': '1'}", "{'id': '2'}"]
    assert ended.last_at == NOON + 120


async def test_events_are_kept_for_as_long_as_the_archive_says(stage: Stage) -> None:
    archive = stage.set_up(retention_days=1)
    await stage.put("old")
    stage.clock.shift(DAY_S / 2)
    await stage.put("young")
    stage.clock.shift(DAY_S / 2 + 1)

    before = len(stage.archives.page(archive, Position(0, 0), NOON + 1, 10))
    await stage.archives.clean()

    assert before == 1, "passed over as soon as it is too old"
    assert stage.archives.size(archive).values == 1


async def test_an_archive_outlives_a_restart_and_another_of_its_name_begins_empty(stage: Stage, tmp_path: Path) -> None:
    stage.set_up()
    await stage.put("1")
    stage.close()

    again = Stage(tmp_path, stage.clock)
    found = again.archives.size(again.archives.archive("kept")).values
    again.archives.delete("kept")
    made = again.archives.create(Archive(name="kept", bus=BusName("orders")))
    empty = again.archives.size(made).values
    await again.archives.clean()

    assert (found, empty, again.timelines.lines()) == (1, 0, [])


def test_a_bus_with_an_archive_stays(stage: Stage) -> None:
    stage.set_up()

    with pytest.raises(BusInUse, match="it has archives"):
        stage.buses.delete_bus("orders")

    stage.archives.delete("kept")
    stage.buses.delete_bus("orders")
    assert not stage.buses.has_bus("orders")


async def test_a_replay_can_be_cancelled_until_it_has_ended(stage: Stage) -> None:
    stage.set_up("all")
    stage.start()

    cancelling = stage.replays.cancel("again")
    ended = await stage.play()

    assert (cancelling.state, ended.state) == (ReplayState.CANCELLING, ReplayState.CANCELLED)
    with pytest.raises(ReplayHasEnded, match="it is CANCELLED"):
        stage.replays.cancel("again")


async def test_a_replay_of_an_archive_that_is_gone_fails_and_says_so(stage: Stage) -> None:
    stage.set_up()
    stage.start()
    stage.archives.delete("kept")

    ended = await stage.play()

    assert (ended.state, ended.reason) == (ReplayState.FAILED, f"Archive {ARCHIVE} does not exist.")


def test_what_cannot_be_replayed_is_refused(stage: Stage) -> None:
    stage.set_up("all")

    with pytest.raises(SpanIsEmpty):
        stage.start(from_at=NOON, until_at=NOON)
    with pytest.raises(NoSuchFilter, match="arn:nobody is no rule"):
        stage.start(filter_arns=("arn:nobody",))
    with pytest.raises(OtherDestination, match="event-bus/orders"):
        stage.replays.start(
            Replay(name="x", arn="", archive_arn=ARCHIVE, bus=BusName("orders"), from_at=0, until_at=1), "arn:other"
        )
    for number in range(ACTIVE_MAX):
        stage.start(f"replay-{number}")
    with pytest.raises(LimitExceeded, match="10 replays at a time"):
        stage.start("one-more")


class Killed(BaseException):
    """The process ends."""


class Bridge:
    """Puts events on a bus again, or does not, as it is told: by turns."""

    def __init__(self, store: Documents, script: list[str], seen: list[str]) -> None:
        self._store = store
        self._script = script
        self._seen = seen

    async def replay(self, replay: Replay, events: Sequence[Event], marks: Sequence[Document]) -> None:
        turn = self._script.pop() if self._script else "done"
        if turn == "full":
            raise TargetQueueFull(count=1, count_max=1, size_bytes=1, bytes_max=1)
        if turn == "killed before":
            raise Killed
        self._store.write_all(marks)
        self._seen.extend(event.body["detail"]["id"] for event in events)
        if turn == "killed after":
            raise Killed


@given(
    st.lists(st.integers(0, 5), max_size=12),
    st.lists(st.sampled_from(["done", "full", "killed before", "killed after"]), max_size=10),
    st.integers(1, 4),
)
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_each_event_is_replayed_once_whatever_ends_in_between(
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
    minutes: list[int],
    script: list[str],
    page: int,
) -> None:
    monkeypatch.setattr(replays_module, "PAGE_EVENTS_MAX", page)
    monkeypatch.setattr(replays_module, "ROOM_WAIT_S", 0.0)
    seen: list[str] = []

    async def scenario() -> None:
        folder, clock = tmp_path_factory.mktemp("replay"), ShiftedClock(NOON)
        stage = Stage(folder, clock)
        stage.set_up()
        for number, minute in enumerate(minutes):
            await stage.put(str(number), at=NOON + 60 * minute)
        stage.start()
        while stage.replays.replay("again").is_active:
            bridge = Bridge(stage.store, script, seen)
            stage.replays = Replays(stage.store, stage.archives, stage.buses, bridge.replay, clock)
            with suppress(BaseExceptionGroup):
                await stage.play()
        stage.close()

    asyncio.run(scenario())

    order = sorted(range(len(minutes)), key=lambda number: (minutes[number], number))
    assert seen == [str(number) for number in order]


@given(st.lists(st.sampled_from(list(ReplayState)), max_size=8))
def test_a_replay_that_has_ended_stays_as_it_is(states: list[ReplayState]) -> None:
    replay = Replay(name="r", arn="", archive_arn="", bus=BusName("b"), from_at=0, until_at=1)

    for state in states:
        with suppress(AssertionError):
            replay = replay.became(state, 5.0)

    assert replay.is_active == (replay.ended_at == 0.0)


def test_replays_that_ended_long_ago_or_are_too_many_are_forgotten_the_oldest_first() -> None:
    ended = [
        Replay(name=str(n), arn="", archive_arn="", bus=BusName("b"), from_at=0, until_at=1, ended_at=float(n + 1))
        for n in range(REPLAYS_MAX + 2)
    ]
    ended = [msgspec.structs.replace(one, state=ReplayState.COMPLETED) for one in ended]
    active = Replay(name="active", arn="", archive_arn="", bus=BusName("b"), from_at=0, until_at=1)

    surplus = forgotten([*ended, active], 10_000.0)
    old = forgotten([*ended, active], KEPT_S + 4)

    assert [one.name for one in surplus] == ["0", "1"]
    assert [one.name for one in old] == ["0", "1", "2", "3"]

"""Events on buses: accepted, matched against rules, and handed to the queue of every target; and rules' schedules.

An event is accepted when all that its rules are to invoke is on disk. One that no rule takes leaves nothing behind.
"""

import uuid
from collections.abc import Callable, Sequence

import msgspec

from workshape.clock import Clock
from workshape.delivery import Delivered, Delivery, DeliveryOutcome, Undelivered
from workshape.errors import CallerError, Invalid
from workshape.events.archives import ArchivedCopy, Archives
from workshape.events.buses import Buses
from workshape.events.event import (
    ENTRIES_BYTES_MAX,
    Entry,
    Event,
    InvalidArgument,
    check_entry,
    event_of,
    scheduled_event,
)
from workshape.events.event_metrics import EventMetrics
from workshape.events.invocation import THIRD_HOP, TargetInvocation
from workshape.events.model import DEFAULT_BUS, BusNotFound
from workshape.events.replay import Replay
from workshape.events.rule import CompiledRule
from workshape.events.target_queue import TargetQueue, TargetQueueFull
from workshape.events.timer import Document, Timer
from workshape.events.timetable import Due
from workshape.store.documents import Documents

FIRED_KIND = "rule-fired"
"""When a rule's schedule was last due: it is not due for that time again, whatever happens."""
BUS_PREFIX = ":event-bus/"


class EntriesTooLarge(Invalid):
    """Total size of the entries in the request is over the limit."""

    # AWS: undocumented; we chose the words.


class EventBridge:
    """The buses of one engine, alive. `run` it for rules with schedules."""

    def __init__(
        self,
        store: Documents,
        buses: Buses,
        archives: Archives,
        queue: TargetQueue,
        metrics: EventMetrics,
        clock: Clock,
    ) -> None:
        """Begin to follow the rules there are."""
        self._buses = buses
        self._archives = archives
        self._queue = queue
        self._metrics = metrics
        self._clock = clock
        self._timer = Timer(store, FIRED_KIND, clock, self._fire)
        for compiled in buses.compiled():
            self._follow(compiled, compiled.rule.scheduled_since, is_start=True)
        buses.subscribe(self._rule_changed)

    def __repr__(self) -> str:
        return f"<EventBridge {self._buses!r} {self._timer!r}>"

    async def run(self) -> None:
        """Run rules at their times, until cancelled."""
        await self._timer.run()

    def next_run_at(self, rule: str) -> float | None:
        """When a rule (ARN) runs next by its schedule; None: it has none, or never again."""
        return self._timer.scheduled_at(rule)

    async def put(self, entries: Sequence[Entry]) -> list[str | CallerError]:
        """Accept events: what comes back is each one's id, or why it was refused.

        Raises:
            EntriesTooLarge, InvalidArgument: all are refused; the latter when none of them is complete.
        """
        if sum(entry.size_bytes for entry in entries) > ENTRIES_BYTES_MAX:
            raise EntriesTooLarge
        if not any(entry.is_complete for entry in entries):
            check_entry(entries[0])
        now = self._clock.wall_s()
        outcomes: list[str | CallerError] = []
        invocations: list[TargetInvocation] = []
        copies: list[ArchivedCopy] = []
        for entry in entries:
            try:
                event, bus = self._event(entry, now)
                self._queue.check_room()
                invocations += self._match(event, bus)
                copies += self._archives.copies(event, bus)
                outcomes.append(event.id)
            except CallerError as error:
                outcomes.append(error)
        await self._keep(invocations, copies)
        failed = sum(isinstance(outcome, CallerError) for outcome in outcomes)
        self._metrics.put(len(outcomes) - failed, failed, now)
        return outcomes

    async def deliver(self, arn: str, delivery: Delivery) -> DeliveryOutcome:
        """Take an event of a service of ours; the body is its detail. It is a `Deliver`."""
        envelope = delivery.envelope
        assert envelope is not None, "whoever delivers to buses knows what they take"
        entry = Entry(
            source=envelope.source,
            detail_type=envelope.detail_type,
            detail=delivery.body,
            resources=envelope.resources,
            trace_header=delivery.trace_header,
        )
        name = bus_name(arn)
        if not self._buses.has_bus(name):
            return _no_bus(name)
        try:
            detail = check_entry(entry, is_service=True)
        except CallerError as error:
            return Undelivered("InvalidArgument", str(error), retryable=False)
        return await self._accept(self._made(entry, detail, self._clock.wall_s()), name)

    def exists(self, arn: str) -> bool:
        """Tell whether there is a bus of that ARN."""
        return self._buses.has_bus(bus_name(arn))

    async def forward(self, invocation: TargetInvocation) -> DeliveryOutcome:
        """Take a rule's event to another bus. It goes to no third one.

        Source: https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-bus-to-bus.html
        """
        name = bus_name(invocation.target_arn)
        if invocation.forwarded:
            message = "An event that came from another event bus is not sent on to a third one."
            return Undelivered(THIRD_HOP, message, retryable=False)
        if not self._buses.has_bus(name):
            return _no_bus(name)
        body = msgspec.json.decode(invocation.body)
        now = self._clock.wall_s()
        event = Event(body, invocation.body, now, invocation.trace_header, from_bus=invocation.from_bus)
        return await self._accept(event, name)

    async def replay(self, replay: Replay, events: Sequence[Event], marks: Sequence[Document]) -> None:
        """Put archived events on their bus again, for the rules that a replay reaches; it is a `PutAgain`.

        Raises:
            TargetQueueFull: nothing more can be accepted now.
        """
        self._queue.check_room()
        invocations = [one for event in events for one in self._match(event, replay.bus, only=replay.reaches)]
        await self._queue.accept(invocations, marks)

    async def _accept(self, event: Event, bus: str) -> DeliveryOutcome:
        try:
            self._queue.check_room()
        except TargetQueueFull as error:
            return Undelivered("ThrottlingException", str(error), retryable=True, status=429)
        await self._keep(self._match(event, bus), self._archives.copies(event, bus))
        return Delivered()

    async def _keep(self, invocations: Sequence[TargetInvocation], copies: Sequence[ArchivedCopy]) -> None:
        """Have it all on disk: what targets get, and what archives keep. The two files are written side by side."""
        archived = self._archives.keep(copies)
        await self._queue.accept(invocations)
        await archived

    def _event(self, entry: Entry, now: float) -> tuple[Event, str]:
        detail = check_entry(entry)
        name = bus_name(entry.bus)
        if not self._buses.has_bus(name):
            # AWS: undocumented what becomes of such an entry; we chose to refuse it rather than lose it.
            raise InvalidArgument(reason=f"Event bus {name} does not exist.")
        return self._made(entry, detail, now), name

    def _made(self, entry: Entry, detail: dict[str, object], now: float) -> Event:
        account, region = self._buses.account, self._buses.region
        return event_of(entry, detail, event_id=str(uuid.uuid4()), account=account, region=region, now=now)

    def _match(self, event: Event, bus: str, only: Callable[[str], bool] = lambda _arn: True) -> list[TargetInvocation]:
        matching = [one for one in self._buses.matching(bus, event.body) if only(one.rule.arn)]
        if matching:
            self._metrics.matched(bus, [one.rule.arn for one in matching], event.accepted_at)
        return [invocation for one in matching for invocation in one.invocations(event, _ids(one))]

    # Schedules

    def _rule_changed(self, arn: str, compiled: CompiledRule | None) -> None:
        if compiled is None or compiled.plan is None:
            self._timer.forget(arn)
        elif not compiled.rule.is_enabled:
            self._timer.leave(arn)
        else:
            self._follow(compiled, self._clock.wall_s())  # what was due while it was disabled is over

    def _follow(self, compiled: CompiledRule, since: float, *, is_start: bool = False) -> None:
        rule = compiled.rule
        if compiled.plan is not None and rule.is_enabled:
            sign = (rule.schedule, rule.scheduled_since)
            self._timer.follow(rule.arn, compiled.plan, since, sign, is_start=is_start)

    async def _fire(self, due: Sequence[Due], marks: Sequence[Document]) -> None:
        now = self._clock.wall_s()
        invocations: list[TargetInvocation] = []
        for one in due:
            compiled = self._buses.find(one.key)
            if compiled is None or not compiled.rule.is_enabled:
                continue  # it was taken back meanwhile
            event = scheduled_event(
                one.key,
                event_id=str(uuid.uuid4()),
                account=self._buses.account,
                region=self._buses.region,
                due_at=one.scheduled_at,
                now=now,
            )
            invocations += compiled.invocations(event, _ids(compiled))
        await self._queue.accept(invocations, marks)
        for one in due:
            self._metrics.triggered(one.key, now)


def bus_name(name_or_arn: str) -> str:
    """Read the name of a bus, given by its name or its ARN; nothing given is the default bus."""
    return name_or_arn.partition(BUS_PREFIX)[2] or name_or_arn or DEFAULT_BUS


def _no_bus(name: str) -> Undelivered:
    message = str(BusNotFound(kind="event bus", name=name))
    return Undelivered("ResourceNotFoundException", message, retryable=False, status=404)


def _ids(compiled: CompiledRule) -> list[str]:
    return [str(uuid.uuid4()) for _ in compiled.rule.targets]

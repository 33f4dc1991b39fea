"""All event source mappings: durable, each with an owner task that starts it again when it breaks."""

import asyncio
import contextlib
import logging
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import msgspec

from workshape.clock import Clock
from workshape.errors import NotFound
from workshape.functions.batch_items import BatchItemFact
from workshape.functions.invoker import InvokeFunction
from workshape.functions.model import RequestId
from workshape.queues.broker import Broker
from workshape.queues.model import QueueDoesNotExist, QueueName
from workshape.store.documents import Documents
from workshape.triggers.model import (
    EventSourceMapping,
    MappingBusy,
    MappingExists,
    MappingNotFound,
    MappingState,
    check_mapping,
    check_visibility,
)
from workshape.triggers.sqs import DRAIN_S_MAX, Notes, SqsPoller

KIND = "event-source-mapping"
NO_RESULT = "No records processed"
RESTART_DELAY_S_FIRST = 0.5
RESTART_DELAY_S_MAX = 30.0  # a queue made again later is noticed within half a minute

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class MappingView:
    """A mapping as it is now."""

    mapping: EventSourceMapping
    state: MappingState
    last_processing_result: str


class _Live:
    """A mapping at work, or at rest: what is wanted of it and how far that is."""

    def __init__(self, mapping: EventSourceMapping) -> None:
        self.wanted: EventSourceMapping | None = mapping
        """None: it is to be deleted."""
        self.mapping = mapping
        self.state = MappingState.CREATING
        self.result = NO_RESULT
        self.changed = asyncio.Event()

    def __repr__(self) -> str:
        return f"<Mapping {self.mapping.queue} -> {self.mapping.function} {self.state}>"

    def view(self) -> MappingView:
        return MappingView(self.mapping, self.state, self.result)


class MappingSupervisor:
    """Owns the mappings. `run` does the work; everything else may be called before and meanwhile."""

    def __init__(
        self,
        documents: Documents,
        broker: Broker,
        invoke: InvokeFunction,
        clock: Clock,
        *,
        region: str,
        note_batch: Callable[[RequestId, int, int], None],
        note_items: Callable[[Sequence[BatchItemFact]], None],
        function_timeout_s: Callable[[str, str | None], int],
    ) -> None:
        """`function_timeout_s` is the catalog's, by name and qualifier; it raises NotFound."""
        self._documents = documents
        self._broker = broker
        self._invoke = invoke
        self._clock = clock
        self._region = region
        self._note_batch = note_batch
        self._note_items = note_items
        self._function_timeout_s = function_timeout_s
        stored = [msgspec.json.decode(value, type=EventSourceMapping) for _, value in documents.all(KIND)]
        self._live = {mapping.id: _Live(mapping) for mapping in stored}
        self._owners: asyncio.TaskGroup | None = None

    def __repr__(self) -> str:
        return f"<MappingSupervisor {len(self._live)} mappings>"

    async def run(self) -> None:
        """Work until cancelled; batches under way then get `DRAIN_S_MAX` to end."""
        async with asyncio.TaskGroup() as owners:
            self._owners = owners
            try:
                for live in self._live.values():
                    owners.create_task(self._own(live), name=f"mapping {live.mapping.id}")
                await asyncio.Event().wait()
            finally:
                self._owners = None

    def get(self, mapping_id: str) -> MappingView:
        """Look one up.

        Raises:
            MappingNotFound: there is none.
        """
        return self._find(mapping_id).view()

    def list(self, queue_arn: str | None = None, function: str | None = None) -> "list[MappingView]":
        """All of them, or those of a queue, a function, or both; by id."""
        return [
            live.view()
            for _, live in sorted(self._live.items())
            if queue_arn in (None, live.mapping.queue_arn) and function in (None, live.mapping.function)
        ]

    def create(self, mapping: EventSourceMapping) -> MappingView:
        """Make a mapping; an empty id is filled in.

        Raises:
            MappingInvalid, MappingExists, QueueDoesNotExist: it cannot be.
            NotFound: there is no such function.
        """
        self._check(mapping)
        made = self._stamped(msgspec.structs.replace(mapping, id=mapping.id or str(uuid.uuid4())))
        self._keep(made)
        live = self._live[made.id] = _Live(made)
        if self._owners is not None:
            self._owners.create_task(self._own(live), name=f"mapping {made.id}")
        return live.view()

    def update(self, mapping: EventSourceMapping) -> MappingView:
        """Change a mapping to this, by its id. Its queue stays what it was.

        Raises:
            MappingNotFound, MappingInvalid, MappingExists, NotFound: see `create`.
            MappingBusy: it is being deleted.
        """
        live = self._find(mapping.id)
        if live.wanted is None:
            raise MappingBusy(id=mapping.id)
        if mapping == msgspec.structs.replace(live.mapping, last_modified=mapping.last_modified):
            return live.view()
        self._check(mapping)
        wanted = self._stamped(mapping)
        self._keep(wanted)
        if wanted.enabled != live.mapping.enabled:
            live.state = MappingState.ENABLING if wanted.enabled else MappingState.DISABLING
        else:
            live.state = MappingState.UPDATING
        live.wanted = live.mapping = wanted
        live.changed.set()
        return live.view()

    def delete(self, mapping_id: str) -> MappingView:
        """Stop a mapping and forget it once what is under way has ended.

        Raises:
            MappingNotFound: there is none.
        """
        live = self._find(mapping_id)
        self._documents.delete(KIND, mapping_id)
        live.state = MappingState.DELETING
        live.wanted = None
        live.changed.set()
        if self._owners is None:
            del self._live[mapping_id]
        return live.view()

    def _find(self, mapping_id: str) -> _Live:
        try:
            return self._live[mapping_id]
        except KeyError:
            raise MappingNotFound(kind="event source mapping", name=mapping_id) from None

    def _check(self, mapping: EventSourceMapping) -> None:
        check_mapping(mapping)
        for live in self._live.values():
            other = live.mapping
            if other.id != mapping.id and (other.queue_arn, other.function_arn) == (
                mapping.queue_arn,
                mapping.function_arn,
            ):
                raise MappingExists(queue_arn=other.queue_arn, function=other.function, id=other.id)
        queue = self._broker.queue(QueueName(mapping.queue))
        if queue.arn != mapping.queue_arn:  # another region's or account's, of the same name
            raise QueueDoesNotExist(kind="queue", name=mapping.queue_arn)
        timeout_s = self._function_timeout_s(mapping.function, mapping.qualifier)
        check_visibility(queue.attributes.visibility_timeout_s, timeout_s)

    def _stamped(self, mapping: EventSourceMapping) -> EventSourceMapping:
        return msgspec.structs.replace(mapping, last_modified=self._clock.wall_s())

    def _keep(self, mapping: EventSourceMapping) -> None:
        self._documents.put(KIND, mapping.id, msgspec.json.encode(mapping))

    async def _own(self, live: _Live) -> None:
        """Bring a mapping to what is wanted of it, again and again, until it is deleted."""
        delay_s = RESTART_DELAY_S_FIRST
        while (wanted := live.wanted) is not None:
            live.changed.clear()
            if not wanted.enabled:
                live.state = MappingState.DISABLED
                await live.changed.wait()
                continue
            live.state = MappingState.ENABLED
            started = self._clock.monotonic_s()
            if await self._work(live, wanted):
                continue
            healthy = self._clock.monotonic_s() - started > RESTART_DELAY_S_MAX
            delay_s = RESTART_DELAY_S_FIRST if healthy else min(RESTART_DELAY_S_MAX, delay_s * 2)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(delay_s):
                    await live.changed.wait()
        del self._live[live.mapping.id]

    async def _work(self, live: _Live, mapping: EventSourceMapping) -> bool:
        """Poll until something else is wanted (True) or polling breaks (False)."""
        try:
            # Lambda polls as the function: while there is none its messages stay where they are.
            self._function_timeout_s(mapping.function, mapping.qualifier)
        except NotFound as error:
            live.result = f"PROBLEM: {error}"
            return False

        def note_result(result: str) -> None:
            live.result = result

        notes = Notes(self._note_batch, self._note_items, note_result)
        poller = SqsPoller(mapping, self._broker, self._invoke, self._clock, region=self._region, notes=notes)
        running = asyncio.create_task(poller.run())
        changed = asyncio.create_task(live.changed.wait())
        try:
            await asyncio.wait((running, changed), return_when=asyncio.FIRST_COMPLETED)
            if running.done():
                live.result = _reason(running)
                return False
            return True
        finally:
            changed.cancel()
            await _drain(poller, running)


async def _drain(poller: SqsPoller, running: "asyncio.Task[None]") -> None:
    """Let the batches under way end, but not for ever."""
    poller.stop()
    await asyncio.wait((running,), timeout=DRAIN_S_MAX)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


def _reason(broken: "asyncio.Task[None]") -> str:
    """Say why polling ended by itself."""
    error = broken.exception()
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    if isinstance(error, NotFound):
        return f"PROBLEM: {error}"
    _log.error("mapping_broke", exc_info=error)
    return f"PROBLEM: {type(error).__name__}: {error}"

"""A batch of a topic's records from its first invocation to the end of each record: retried, split, given up. A core.

Records of a partition are seen in order, so a batch that fails stands in the way of what is behind it until it is
done with. `step` says what is next; whoever does it tells how it went.

Source: https://docs.aws.amazon.com/lambda/latest/dg/kafka-retry-configurations.html
Source: https://docs.aws.amazon.com/lambda/latest/dg/kafka-on-failure-destination.html (ten retries instead of endless
ones where there is a destination)
"""

from collections import deque
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace

from workshape.functions.model import InvocationResult
from workshape.triggers.kafka_event import ENVELOPE_BYTES, Condition, GivenUp, RecordEntry, RecordId, event_bytes
from workshape.triggers.model import INFINITE, FailurePolicy

RETRIES_WITH_DESTINATION = 10
RETRY_DELAY_S_FIRST = 0.5  # AWS: undocumented; as short as a hiccup, and doubled from there
RETRY_DELAY_S_MAX = 30.0  # AWS: undocumented; often enough that a function made whole again is noticed


@dataclass(frozen=True, slots=True)
class PendingBatch:
    """Records that are to be tried together."""

    entries: tuple[RecordEntry, ...]
    failures: int = 0
    """How often the function failed on them, which is what retries are counted by."""
    throttles: int = 0
    """How often it could not be invoked in a row."""
    not_before: float = 0.0
    result: InvocationResult | None = None
    """What the last invocation returned."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """Invoke the function with a batch; then say `succeeded`, `failed` or `refused`."""

    batch: PendingBatch


@dataclass(frozen=True, slots=True)
class Pause:
    """Nothing before then."""

    until: float


Step = Attempt | Pause | GivenUp


class StreamWork:
    """What one poller has in hand."""

    def __init__(self, policy: FailurePolicy, bytes_max: int) -> None:
        self._bytes_max = bytes_max
        self._age_ms_max = None if policy.age_s_max == INFINITE else policy.age_s_max * 1_000
        self._bisects = policy.bisect
        self._retries_max: int | None = policy.retries_max
        if policy.retries_max == INFINITE:
            self._retries_max = RETRIES_WITH_DESTINATION if policy.destination else None
        self._pending: deque[PendingBatch] = deque()

    def __repr__(self) -> str:
        return f"<StreamWork pending={[len(batch.entries) for batch in self._pending]}>"

    def begin(self, entries: Iterable[RecordEntry]) -> None:
        """Take a batch in hand, behind what is there."""
        batch = PendingBatch(tuple(entries))
        if batch.entries:
            self._pending.append(batch)

    def step(self, now: float, wall_ms: float) -> Step | None:
        """Say what is next; None when everything is done. What is given up is no longer in hand."""
        while self._pending:
            batch = self._pending[0]
            if (given_up := self._given_up(batch, wall_ms)) is not None:
                return given_up
            return Pause(batch.not_before) if now < batch.not_before else Attempt(batch)
        return None

    def succeeded(self) -> None:
        """All of the batch is done."""
        self._pending.popleft()

    def failed(self, failed: Collection[RecordId], result: InvocationResult, now: float, *, whole: bool) -> None:
        """The function failed on some records of the batch, or as a whole; the others are done."""
        batch = self._pending.popleft()
        entries = tuple(entry for entry in batch.entries if entry.id in failed)
        assert entries, "something failed"
        if whole and self._bisects and len(entries) > 1:
            middle = len(entries) // 2
            halves = (entries[:middle], entries[middle:])  # splitting does not count as a retry
            again = [replace(batch, entries=half, result=result, throttles=0) for half in halves]
        else:
            delay_s = min(RETRY_DELAY_S_MAX, RETRY_DELAY_S_FIRST * 2.0 ** min(batch.failures, 16))
            again = [PendingBatch(entries, batch.failures + 1, 0, now + delay_s, result)]
        self._pending.extendleft(reversed(again))

    def refused(self, now: float) -> None:
        """The function could not be invoked: throttled, or the platform failed. That is tried again without end."""
        batch = self._pending.popleft()
        delay_s = min(RETRY_DELAY_S_MAX, RETRY_DELAY_S_FIRST * 2.0 ** min(batch.throttles, 16))
        self._pending.appendleft(replace(batch, throttles=batch.throttles + 1, not_before=now + delay_s))

    def _given_up(self, batch: PendingBatch, wall_ms: float) -> GivenUp | None:
        if self._retries_max is not None and batch.failures > self._retries_max:
            self._pending.popleft()
            return GivenUp(batch.entries, Condition.RETRIES_EXHAUSTED, batch.failures, batch.result)
        too_old = [entry for entry in batch.entries if self._is_too_old(entry, wall_ms)]
        if too_old:
            return self._without(batch, too_old, Condition.TOO_OLD)
        if len(batch.entries) == 1 and ENVELOPE_BYTES + event_bytes(batch.entries[0]) > self._bytes_max:
            return replace(self._without(batch, batch.entries, Condition.TOO_LARGE), result=None)
        return None

    def _is_too_old(self, entry: RecordEntry, wall_ms: float) -> bool:
        return self._age_ms_max is not None and wall_ms - entry.record.timestamp_ms > self._age_ms_max

    def _without(self, batch: PendingBatch, gone: Sequence[RecordEntry], condition: Condition) -> GivenUp:
        ids = {entry.id for entry in gone}
        rest = tuple(entry for entry in batch.entries if entry.id not in ids)
        self._pending.popleft()
        if rest:
            self._pending.appendleft(replace(batch, entries=rest))
        return GivenUp(tuple(gone), condition, batch.failures, batch.result)

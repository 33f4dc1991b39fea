"""A topic in memory and its readers: what a Kafka broker would say, when a test wants it."""

import asyncio
import itertools
from collections import defaultdict
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from workshape.streams.model import Assignment, ClusterUnavailable, LogRecord, TopicNotFound

TOPIC = "orders"
T0_MS = 1_700_000_000_000


def record(partition: int, offset: int, value: str = "", key: str | None = None, at_ms: int = T0_MS) -> LogRecord:
    """Make a record that says where it is, unless told otherwise."""
    said = value or f"{partition}@{offset}"
    return LogRecord(TOPIC, partition, offset, at_ms, key=None if key is None else key.encode(), value=said.encode())


@dataclass
class FakeTopic:
    """Partitions of records, and what the group has committed."""

    partitions: int = 1
    exists: bool = True
    log: dict[int, list[LogRecord]] = field(default_factory=lambda: defaultdict(list))
    committed: dict[int, int] = field(default_factory=dict)
    commits: list[dict[int, int]] = field(default_factory=list)
    produced: list[tuple[str, bytes | None, bytes]] = field(default_factory=list)
    refuses_commits: int = 0
    arrived: asyncio.Event = field(default_factory=asyncio.Event)

    def write(self, partition: int, *values: str, key: str | None = None, at_ms: int = T0_MS) -> None:
        """Append records."""
        for value in values:
            self.log[partition].append(record(partition, len(self.log[partition]), value, key, at_ms))
        self.arrived.set()

    @property
    def is_finished(self) -> bool:
        """Whether everything written is committed."""
        return all(self.committed.get(partition, 0) == len(records) for partition, records in self.log.items())


class FakeReader:
    """A `LogReader` of a `FakeTopic`; it has all partitions, until `rebalance` says otherwise."""

    def __init__(self, topic: FakeTopic) -> None:
        self._topic = topic
        self._generations = itertools.count(1)
        self._assigned: Assignment | None = None
        self._positions: dict[int, int] = {}
        self._changed = asyncio.Event()
        self.closed = False

    def rebalance(self, partitions: Collection[int]) -> None:
        """Assign partitions anew, to be read from what is committed."""
        positions = {partition: self._topic.committed.get(partition, 0) for partition in partitions}
        self._assigned = Assignment(next(self._generations), positions)
        self._positions = dict(positions)
        self._changed.set()

    async def start(self) -> None:
        if not self._topic.exists:
            raise TopicNotFound(kind="topic", name=TOPIC, servers="nowhere")
        self.rebalance(range(self._topic.partitions))

    async def close(self) -> None:
        self.closed = True

    async def assignment(self, after: int) -> Assignment:
        while self._assigned is None or self._assigned.generation <= after:
            self._changed.clear()
            await self._changed.wait()
        return self._assigned

    async def fetch(
        self, generation: int, partitions: Collection[int], count_max: int, wait_s: float
    ) -> list[LogRecord]:
        found = self._take(generation, partitions, count_max)
        if not found:
            self._topic.arrived.clear()
            try:
                async with asyncio.timeout(min(wait_s, 0.02)):
                    await self._topic.arrived.wait()
            except TimeoutError:
                return []
            found = self._take(generation, partitions, count_max)
        return found

    def seek(self, partition: int, offset: int) -> None:
        self._positions[partition] = offset

    async def commit(self, offsets: Mapping[int, int]) -> None:
        await asyncio.sleep(0)
        if self._topic.refuses_commits:
            self._topic.refuses_commits -= 1
            raise ClusterUnavailable(servers="here", reason="not now")
        for partition, offset in offsets.items():
            assert offset >= self._topic.committed.get(partition, 0), "nothing is taken back"
        self._topic.committed.update(offsets)
        self._topic.commits.append(dict(offsets))

    async def end_offsets(self, partitions: Collection[int]) -> dict[int, int]:
        return {partition: len(self._topic.log[partition]) for partition in partitions}

    async def produce(self, topic: str, key: bytes | None, value: bytes) -> None:
        self._topic.produced.append((topic, key, value))

    def _take(self, generation: int, partitions: Collection[int], count_max: int) -> list[LogRecord]:
        if self._assigned is None or self._assigned.generation != generation:
            return []
        found: list[LogRecord] = []
        for partition in partitions:
            start = self._positions[partition]
            taken = self._topic.log[partition][start : start + count_max - len(found)]
            self._positions[partition] = start + len(taken)
            found += taken
        return found

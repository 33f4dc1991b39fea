"""Apache Kafka read with aiokafka: one member of a consumer group, on the engine's event loop.

Source: https://aiokafka.readthedocs.io/en/stable/consumer.html
"""

import asyncio
from collections.abc import AsyncIterator, Collection, Iterable, Mapping
from contextlib import asynccontextmanager
from typing import Any

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRebalanceListener, TopicPartition
from aiokafka.errors import CommitFailedError, IllegalStateError, KafkaConnectionError, KafkaError

from workshape.streams.access import ClusterAccess
from workshape.streams.kafka_access import ask_refusal, client_settings, refusal
from workshape.streams.model import (
    Assignment,
    ClusterUnavailable,
    KafkaTopic,
    LogRecord,
    StartingPosition,
    TimestampType,
    TopicNotFound,
)

REQUEST_S_MAX = 10.0  # a broker that answers later than that is treated as away, and asked again
METADATA_S_MAX = 30.0  # how soon partitions that were added are noticed
ERRORS_S = 1.0  # how soon it is noticed that the group lets nobody in
HEARTBEAT_S = 1.0  # how soon a member learns that partitions are to change hands
POLL_INTERVAL_S_MAX = 86_400.0  # a function may fail for as long as it likes: its poller stays a member meanwhile
PARTITION_FETCH_BYTES_MAX = 4 * 1024 * 1024  # of each partition in memory beside the batch: most of an event


class KafkaReader:
    """A `LogReader`."""

    def __init__(self, topic: KafkaTopic, access: ClusterAccess) -> None:
        self._topic = topic
        self._access = access
        self._settings: dict[str, Any] = {}
        self._servers = ",".join(topic.bootstrap_servers)
        self._consumer: Any = None
        self._producer: Any = None
        self._assigned: Assignment | None = None
        self._generation = 0
        self._changed = asyncio.Event()
        self._failure: KafkaError | None = None

    def __repr__(self) -> str:
        return f"<KafkaReader {self._topic.topic} at {self._servers} {self._assigned}>"

    async def start(self) -> None:
        """Join the group.

        Raises:
            ClusterUnavailable, TopicNotFound: it cannot. AccessRefused: it is not let in.
        """
        self._settings = await client_settings(self._access)
        latest = self._topic.starting_position is StartingPosition.LATEST
        async with self._translated():
            consumer = AIOKafkaConsumer(
                bootstrap_servers=list(self._topic.bootstrap_servers),
                group_id=self._topic.group_id,
                client_id="workshape",
                enable_auto_commit=False,
                auto_offset_reset="latest" if latest else "earliest",
                request_timeout_ms=round(REQUEST_S_MAX * 1_000),
                heartbeat_interval_ms=round(HEARTBEAT_S * 1_000),
                metadata_max_age_ms=round(METADATA_S_MAX * 1_000),
                max_poll_interval_ms=round(POLL_INTERVAL_S_MAX * 1_000),
                max_partition_fetch_bytes=PARTITION_FETCH_BYTES_MAX,
                **self._settings,
            )
            self._consumer = consumer
            try:
                await consumer.start()
            except KafkaConnectionError:
                if self._settings:
                    await self._raise_refusal()
                raise
            if self._topic.topic not in await consumer.topics():
                await self._raise_refusal()
                raise TopicNotFound(kind="topic", name=self._topic.topic, servers=self._servers)
            consumer.subscribe([self._topic.topic], listener=_Listener(self))

    async def close(self) -> None:
        """Leave the group; what it cannot say any more does not matter."""
        consumer, producer = self._consumer, self._producer
        self._consumer = self._producer = None
        for client in (consumer, producer):
            if client is not None:
                try:
                    async with asyncio.timeout(REQUEST_S_MAX):
                        await client.stop()
                except (KafkaError, TimeoutError):
                    continue

    async def assignment(self, after: int) -> Assignment:
        """Wait for an assignment later than that generation."""
        while True:
            if self._failure is not None:
                async with self._translated():
                    raise self._failure
            if self._assigned is not None and self._assigned.generation > after:
                return self._assigned
            self._changed.clear()
            try:
                async with asyncio.timeout(ERRORS_S):
                    await self._changed.wait()
            except TimeoutError:
                await self._raise_errors()

    async def fetch(
        self, generation: int, partitions: Collection[int], count_max: int, wait_s: float
    ) -> list[LogRecord]:
        """Return what is there of partitions assigned in that generation; nothing when it is over."""
        asked = [self._partition(partition) for partition in partitions]
        try:
            async with self._translated():
                found = await self._consumer.getmany(*asked, timeout_ms=round(wait_s * 1_000), max_records=count_max)
                if self._assigned is None or self._assigned.generation != generation:
                    for partition, records in found.items():
                        self._consumer.seek(partition, records[0].offset)
                    return []
        except IllegalStateError:  # not assigned any more
            return []
        return [_record(record) for records in found.values() for record in records]

    def seek(self, partition: int, offset: int) -> None:
        """Read a partition from there again; one that is not ours any more is somebody else's to read."""
        try:
            self._consumer.seek(self._partition(partition), offset)
        except IllegalStateError:
            return

    async def commit(self, offsets: Mapping[int, int]) -> None:
        """Commit; of partitions that changed hands meanwhile their new reader says what is finished."""
        try:
            async with self._translated():
                await self._consumer.commit({self._partition(partition): at for partition, at in offsets.items()})
        except (CommitFailedError, IllegalStateError):
            return

    async def end_offsets(self, partitions: Collection[int]) -> dict[int, int]:
        """Where the next record of each partition will be."""
        async with self._translated():
            ends = await self._consumer.end_offsets([self._partition(partition) for partition in partitions])
        return {partition.partition: offset for partition, offset in ends.items()}

    async def produce(self, topic: str, key: bytes | None, value: bytes) -> None:
        """Write a record; return when all replicas in sync have it."""
        async with self._translated():
            if self._producer is None:
                producer = AIOKafkaProducer(
                    bootstrap_servers=list(self._topic.bootstrap_servers),
                    client_id="workshape",
                    acks="all",
                    enable_idempotence=True,
                    request_timeout_ms=round(REQUEST_S_MAX * 1_000),
                    **self._settings,
                )
                await producer.start()
                self._producer = producer
            await self._producer.send_and_wait(topic, value, key=key)

    def revoked(self) -> None:
        """Partitions are about to be assigned anew."""
        self._assigned = None

    async def assigned(self, partitions: Iterable[Any]) -> None:
        """Find out where each partition is to be read from; where the group had nothing committed, do so."""
        try:
            positions = {each.partition: await self._start_of(each) for each in partitions}
        except KafkaError as error:
            self._failure = error
        else:
            self._generation += 1
            self._assigned = Assignment(self._generation, positions)
        self._changed.set()

    async def _raise_errors(self) -> None:
        """Raise what keeps the group from assigning anything: aiokafka says it to those who read."""
        if self._assigned is None:
            async with self._translated():
                # Should it be a moment late and read something: whoever gets the assignment reads that again.
                await self._consumer.getmany(timeout_ms=0, max_records=1)

    async def _raise_refusal(self) -> None:
        """Raise what the servers, asked again, say against this client, if anything."""
        found = await ask_refusal(self._topic.bootstrap_servers, self._topic.topic, self._settings)
        if found is not None:
            raise found

    async def _start_of(self, partition: Any) -> int:
        consumer = self._consumer
        committed: int | None = await consumer.committed(partition)
        if committed is not None:
            return committed
        match self._topic.starting_position:
            case StartingPosition.TRIM_HORIZON:
                start = (await consumer.beginning_offsets([partition]))[partition]
            case StartingPosition.LATEST:
                start = (await consumer.end_offsets([partition]))[partition]
            case StartingPosition.AT_TIMESTAMP:
                at_ms = round((self._topic.starting_timestamp or 0.0) * 1_000)
                found = (await consumer.offsets_for_times({partition: at_ms}))[partition]
                start = found.offset if found else (await consumer.end_offsets([partition]))[partition]
        # Committed at once: what is written before the first batch is done is not missed after a restart.
        await consumer.commit({partition: start})
        return int(start)

    def _partition(self, partition: int) -> Any:
        return TopicPartition(self._topic.topic, partition)

    @asynccontextmanager
    async def _translated(self) -> AsyncIterator[None]:
        try:
            yield
        except (CommitFailedError, IllegalStateError):
            raise
        except KafkaError as error:
            if (found := refusal(error)) is not None:
                raise found from error
            raise ClusterUnavailable(servers=self._servers, reason=str(error) or type(error).__name__) from error


class _Listener(ConsumerRebalanceListener):  # type: ignore[misc]  # aiokafka tells no types
    def __init__(self, reader: KafkaReader) -> None:
        self._reader = reader

    def on_partitions_revoked(self, revoked: Iterable[Any]) -> None:
        self._reader.revoked()

    async def on_partitions_assigned(self, assigned: Iterable[Any]) -> None:
        await self._reader.assigned(assigned)


def _record(record: Any) -> LogRecord:
    kind = TimestampType.LOG_APPEND_TIME if record.timestamp_type == 1 else TimestampType.CREATE_TIME
    return LogRecord(
        topic=record.topic,
        partition=record.partition,
        offset=record.offset,
        timestamp_ms=record.timestamp,
        timestamp_type=kind,
        key=record.key,
        value=record.value,
        headers=tuple(record.headers),
    )

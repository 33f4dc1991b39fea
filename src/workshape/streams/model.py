"""Records of a topic, and what whoever reads them asks of a reader. A core: values and a protocol."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol

import msgspec

from workshape.errors import NotFound, PlatformError


class StartingPosition(StrEnum):
    """Where in a topic to begin when its consumer group is new."""

    TRIM_HORIZON = "TRIM_HORIZON"
    LATEST = "LATEST"
    AT_TIMESTAMP = "AT_TIMESTAMP"


class TimestampType(StrEnum):
    """Who dated a record."""

    CREATE_TIME = "CREATE_TIME"
    LOG_APPEND_TIME = "LOG_APPEND_TIME"


class KafkaTopic(msgspec.Struct, frozen=True):
    """A topic of a self-managed Apache Kafka cluster, and the group that reads it."""

    bootstrap_servers: tuple[str, ...]
    """HOST:PORT of each."""
    topic: str
    group_id: str
    starting_position: StartingPosition
    starting_timestamp: float | None = None
    """Unix time, for AT_TIMESTAMP."""


@dataclass(frozen=True, slots=True)
class LogRecord:
    """One record of a partition."""

    topic: str
    partition: int
    offset: int
    timestamp_ms: int
    timestamp_type: TimestampType = TimestampType.CREATE_TIME
    key: bytes | None = field(default=None, repr=False)
    value: bytes | None = field(default=None, repr=False)
    headers: tuple[tuple[str, bytes | None], ...] = field(default=(), repr=False)


class TopicNotFound(NotFound):
    """The topic {name} does not exist at {servers}."""

    name: str
    servers: str


class ClusterUnavailable(PlatformError):
    """The Kafka cluster at {servers} cannot be used: {reason}"""

    servers: str
    retryable = True


@dataclass(frozen=True, slots=True)
class Assignment:
    """The partitions that a member of a group is to read."""

    generation: int
    """Grows with each assignment; what was read in an earlier one counts for nothing any more."""
    positions: Mapping[int, int]
    """Where each partition is to be read from."""


class LogReader(Protocol):
    """A member of a consumer group.

    All of it raises `ClusterUnavailable` when the cluster does not do its part, `AccessRefused` when it is not let in.
    """

    async def start(self) -> None:
        """Join the group. Raises: TopicNotFound."""

    async def close(self) -> None:
        """Leave the group."""

    async def assignment(self, after: int) -> Assignment:
        """Wait for an assignment later than that generation, 0 for the first."""

    async def fetch(
        self, generation: int, partitions: Collection[int], count_max: int, wait_s: float
    ) -> list[LogRecord]:
        """Return what is there of some partitions, each in its order; wait for the first record.

        Nothing when the generation is over.
        """

    def seek(self, partition: int, offset: int) -> None:
        """Read a partition from there again."""

    async def commit(self, offsets: Mapping[int, int]) -> None:
        """Make it known up to where partitions are finished: the offset of the next record of each."""

    async def end_offsets(self, partitions: Collection[int]) -> dict[int, int]:
        """Where the next record of each partition will be."""

    async def produce(self, topic: str, key: bytes | None, value: bytes) -> None:
        """Write a record to a topic of the same cluster; return when it is there."""

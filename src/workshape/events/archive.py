"""Archives as values: which events of a bus they keep, for how long, and what EventBridge accepts of them. A core.

Source: https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-archive.html
Source: https://docs.aws.amazon.com/eventbridge/latest/APIReference/API_CreateArchive.html
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from workshape.errors import Conflict, NotFound
from workshape.events.model import BusName
from workshape.events.pattern import Pattern
from workshape.events.rule import read_pattern

DAY_S = 86_400.0
ARCHIVES_MAX = 100  # AWS: undocumented; each is asked about every event of its bus
ENABLED = "ENABLED"
REPLAY_NAME = "replay-name"
"""The member that a replayed event has, and by which archives know it."""


class Archive(msgspec.Struct, frozen=True, kw_only=True):
    """What is kept of the events of one bus. Durable as it is."""

    name: str
    bus: BusName
    arn: str = ""
    line: str = ""
    """Where its events are; another archive of the same name has another."""
    created_at: float = 0.0
    """Unix time, as all times here."""
    description: str = ""
    pattern: str = ""
    """JSON; empty: every event."""
    retention_days: int = 0
    """0: for ever."""
    kms_key: str = ""
    """Kept and shown: nothing is encrypted."""

    def kept_since(self, now: float) -> float:
        """When what is still there came at the earliest."""
        return now - self.retention_days * DAY_S if self.retention_days else 0.0


# The errors. AWS: undocumented; we chose the words.


class ArchiveNotFound(NotFound):
    """Archive {name} does not exist."""


class ArchiveExists(Conflict):
    """Archive {name} already exists."""

    name: str


@dataclass(frozen=True, slots=True)
class CompiledArchive:
    """An archive made ready."""

    archive: Archive
    pattern: Pattern | None

    def takes(self, body: Mapping[str, Any]) -> bool:
        """Tell whether an event is kept: one that matches, and was not replayed."""
        return REPLAY_NAME not in body and (self.pattern is None or self.pattern.matches(body))


def compile_archive(archive: Archive) -> CompiledArchive:
    """Make an archive ready. Raises: InvalidEventPattern: its pattern is none."""
    return CompiledArchive(archive, read_pattern(archive.pattern) if archive.pattern else None)


def archive_arn(region: str, account: str, name: str) -> str:
    """Name an archive."""
    return f"arn:aws:events:{region}:{account}:archive/{name}"

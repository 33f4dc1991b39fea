"""What was published to FIFO topics in the last five minutes: a message of the same id is accepted, and goes nowhere.

A core. It is forgotten with the process; the queues' own deduplication, which is on disk, holds over a restart.

Source: https://docs.aws.amazon.com/sns/latest/dg/fifo-message-dedup.html
"""

from collections import OrderedDict
from dataclasses import dataclass

from workshape.topics.model import DEDUPLICATION_S, DeduplicationScope, Message, Published, Topic

IDS_MAX = 1_000_000  # 300 messages a second for five minutes, tenfold; the oldest go first


@dataclass(frozen=True, slots=True)
class _Key:
    topic: str
    group: str
    id: str


class Deduplication:
    """The ids of all FIFO topics."""

    def __init__(self) -> None:
        self._published: OrderedDict[_Key, tuple[float, Published]] = OrderedDict()

    def __repr__(self) -> str:
        return f"<Deduplication ids={len(self._published)}>"

    def find(self, topic: Topic, message: Message, deduplication_id: str, now: float) -> Published | None:
        """Return what the first message of that id was answered; None: this is the first."""
        self._forget(now)
        found = self._published.get(_key(topic, message, deduplication_id))
        return found[1] if found is not None else None

    def note(self, topic: Topic, message: Message, deduplication_id: str, now: float, published: Published) -> None:
        """Remember a message that has gone out."""
        self._published[_key(topic, message, deduplication_id)] = now, published

    def _forget(self, now: float) -> None:
        while self._published:
            key, (at, _) = next(iter(self._published.items()))
            if now - at < DEDUPLICATION_S and len(self._published) <= IDS_MAX:
                return
            del self._published[key]


def _key(topic: Topic, message: Message, deduplication_id: str) -> _Key:
    group = message.group_id if topic.deduplication_scope is DeduplicationScope.GROUP else ""
    return _Key(topic.arn, group, deduplication_id)

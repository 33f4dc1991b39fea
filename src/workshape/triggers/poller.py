"""What polls for one mapping, as its supervisor sees it, and where it tells what became of things."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from workshape.functions.batch_items import BatchItemFact
from workshape.functions.model import RequestId
from workshape.triggers.mapping_metrics import MappingMetric

DRAIN_S_MAX = 10.0  # batches under way when the engine stops get this long; later their messages simply come back


class Poller(Protocol):
    """One mapping at work."""

    async def run(self) -> None:
        """Poll until `stop`, then until what is under way has ended."""

    def stop(self) -> None:
        """Receive no more; `run` returns when the batches under way have ended."""


@dataclass(frozen=True, slots=True)
class Notes:
    """Upward calls: where the evidence of each batch goes."""

    batch: Callable[[RequestId, int, int], None]
    """Request id, items, failures."""
    items: Callable[[Sequence[BatchItemFact]], None]
    result: Callable[[str], None]
    """LastProcessingResult."""
    count: Callable[[MappingMetric, int], None] = lambda _metric, _value: None
    """The mapping's own metrics."""
    lag: Callable[[int], None] = lambda _lag: None
    """How many records of a topic wait."""
    connected: Callable[[], None] = lambda: None
    """A topic's partitions are there to be read."""

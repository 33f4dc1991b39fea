"""Batch item facts on disk, beside the invocation records: one JSON line for each delivery of each item."""

import logging
from collections.abc import Iterable
from pathlib import Path

from workshape.functions.batch_items import BatchItemFact
from workshape.functions.flush_timer import FlushTimer
from workshape.store.json_lines import JsonLineWriter, read_json_lines

FOLDER_NAME = "items"
"""Inside the folder of the invocation records."""

_log = logging.getLogger(__name__)


class ItemRecordWriter:
    """Appends facts, behind. Used on the event loop's thread; `close` it to lose nothing."""

    def __init__(self, records_folder: Path) -> None:
        self._lines = JsonLineWriter[BatchItemFact](records_folder / FOLDER_NAME)
        self._buffer: list[BatchItemFact] = []  # bounded by what a tenth of a second can bring
        self._timer = FlushTimer(self.flush)

    def __repr__(self) -> str:
        return f"<ItemRecordWriter {self._lines} buffered={len(self._buffer)}>"

    def note_items(self, facts: Iterable[BatchItemFact]) -> None:
        """Keep what became of a batch's items."""
        self._buffer.extend(facts)
        self._timer.arm()

    def flush(self) -> None:
        """Write what is buffered."""
        if not self._buffer:
            return
        facts = self._buffer.copy()
        self._buffer.clear()
        try:
            self._lines.write(facts)
        except OSError as error:
            # A full disk must not stop the functions; what is lost is said.
            _log.error("item_records_lost", extra={"count": len(facts), "reason": str(error)})

    def close(self) -> None:
        """Write the rest."""
        self._timer.cancel()
        self.flush()


def read_item_facts(records_folder: Path) -> list[BatchItemFact]:
    """Read what is on disk, oldest first. No folder: no facts."""
    return list(read_json_lines(records_folder / FOLDER_NAME, BatchItemFact))

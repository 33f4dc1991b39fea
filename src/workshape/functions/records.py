"""One record for each invocation, as JSON lines on disk: what the verdict, `status` and the console look at.

They are written behind: a crash costs the last tenth of a second and may leave half a line, which the reader passes
over.
"""

import logging
from pathlib import Path
from typing import cast

import msgspec

from workshape.functions.flush_timer import FlushTimer
from workshape.functions.model import RequestId
from workshape.store.json_lines import JsonLineWriter, read_json_lines

MIB = 1024 * 1024
FILE_BYTES_MAX = 64 * MIB
FILES_MAX = 8  # half a GiB in all: about two million invocations, more than a verdict needs

_log = logging.getLogger(__name__)


class InvocationRecord(
    msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="kind", tag="invocation"
):
    """One invocation, once it has ended (or was throttled)."""

    time: float
    """When it began to run (throttled: when it came), Unix time."""
    function: str
    version: str
    request_id: str
    environment: int | None = None
    """None when it never had one."""
    trigger: str
    """`api`, `sqs`, `http` ..."""
    init_ms: float | None = None
    """Cold: how long the init phase before it took."""
    duration_ms: float
    billed_ms: int
    memory_mb: int
    max_memory_mb: int
    timeout_s: float
    status: str
    """`success`, `error` (of the function, or its runtime exited), `timeout`, `init_error`, `throttled`,
    `platform_error`."""
    error_type: str | None = None
    request_bytes: int
    response_bytes: int
    batch_items: int | None = None
    batch_failures: int | None = None
    queued_ms: float = 0.0
    """How long it waited for an environment."""
    concurrency: int = 0
    """Busy environments of its function when it began, its own included."""
    environments: int = 0
    """Environments alive of its function when it began."""
    provisioned: bool = False
    """It ran on provisioned concurrency: an init phase was over before it came."""


class BatchNote(msgspec.Struct, frozen=True, tag_field="kind", tag="batch"):
    """What a trigger learnt of an invocation after it ended."""

    request_id: str
    items: int
    failures: int


_Line = InvocationRecord | BatchNote


class RecordWriter:
    """Appends records. Used on the event loop's thread; `close` it to lose nothing."""

    def __init__(self, folder: Path, *, file_bytes_max: int = FILE_BYTES_MAX, files_max: int = FILES_MAX) -> None:
        self._lines = JsonLineWriter[_Line](folder, file_bytes_max=file_bytes_max, files_max=files_max)
        self._buffer: list[_Line] = []  # bounded by what a tenth of a second can bring
        self._timer = FlushTimer(self.flush)

    def __repr__(self) -> str:
        return f"<RecordWriter {self._lines} buffered={len(self._buffer)}>"

    def add(self, record: InvocationRecord) -> None:
        """Keep a record."""
        self._buffer.append(record)
        self._timer.arm()

    def note_batch(self, request: RequestId, items: int, failures: int) -> None:
        """Keep how many items the invocation's batch had and how many of them failed; the reader adds it in."""
        self._buffer.append(BatchNote(request, items, failures))
        self._timer.arm()

    def flush(self) -> None:
        """Write what is buffered (to the operating system: it outlives this process, not a power cut)."""
        if not self._buffer:
            return
        lines, self._buffer = self._buffer, []
        try:
            self._lines.write(lines)
        except OSError as error:
            # A full disk must not stop the functions; what is lost is said.
            _log.error("records_lost", extra={"count": len(lines), "reason": str(error)})

    def close(self) -> None:
        """Write the rest."""
        self._timer.cancel()
        self.flush()


def read_records(folder: Path, since: float = 0.0) -> list[InvocationRecord]:
    """Read what is on disk, oldest first: records whose `time` is `since` or later. No folder: no records."""
    records: dict[str, InvocationRecord] = {}
    for line in read_json_lines(folder, cast(type[_Line], _Line)):
        if isinstance(line, InvocationRecord):
            if line.time >= since:
                records[line.request_id] = line
        elif (known := records.get(line.request_id)) is not None:
            noted = msgspec.structs.replace(known, batch_items=line.items, batch_failures=line.failures)
            records[line.request_id] = noted
    return list(records.values())

"""A run that never was: the records that a burst on `search` and two queues' worth of events would leave behind."""

import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from workshape.functions.batch_items import BatchItemFact, ItemOutcome
from workshape.functions.item_records import FOLDER_NAME
from workshape.functions.records import InvocationRecord
from workshape.shape.observations import CONNECTIONS_FOLDER_NAME, ConnectionSample
from workshape.store.json_lines import JsonLineWriter

BEGAN = 1_790_000_000.0
APP_FILE = """\
[app]
name = "creator-platform"

[database]
name = "creator"
max_connections = 30

[functions.search]
runtime = "nodejs22.x"
handler = "search.handler"
code = "code"
memory_mb = 256
timeout_s = 10
reserved_concurrency = 40
database = "proxy"
latency_p99_ms = 800

[functions.search-direct]
runtime = "nodejs22.x"
handler = "search.handler"
code = "code"
memory_mb = 256
timeout_s = 10
reserved_concurrency = 40
database = "direct"
latency_p99_ms = 800

[functions.events]
runtime = "python3.12"
handler = "events.handler"
code = "code"
memory_mb = 256
timeout_s = 3

[functions.events-duplicates-fail]
runtime = "python3.12"
handler = "events.handler"
code = "code"
memory_mb = 256
timeout_s = 3

[functions.idle]
runtime = "python3.12"
handler = "events.handler"
code = "code"

[[routes]]
route = "GET /posts/{id}"
function = "search"

[[routes]]
route = "GET /direct/posts/{id}"
function = "search-direct"

[queues.events]
visibility_timeout_s = 6
redrive = { dead_letter_queue = "dead", receive_count_max = 5 }

[queues.twin]
visibility_timeout_s = 6
redrive = { dead_letter_queue = "dead", receive_count_max = 5 }

[queues.dead]

[[mappings]]
queue = "events"
function = "events"
report_batch_item_failures = true
concurrency_max = 4

[[mappings]]
queue = "twin"
function = "events-duplicates-fail"
report_batch_item_failures = true
concurrency_max = 4
"""


@dataclass
class RecordedRun:
    """The folder of an app and what its run recorded; deterministic."""

    folder: Path
    chance: random.Random = field(default_factory=lambda: random.Random(3))
    now: float = BEGAN

    def write(self) -> Path:
        """Write everything; return the folder."""
        (self.folder / "code").mkdir(parents=True)
        for name in ("search.js", "events.py"):
            (self.folder / "code" / name).write_text("")
        (self.folder / "workshape.toml").write_text(APP_FILE)
        self._burst("search", connections=18)
        self._burst("search-direct", connections=30)
        self._events("events", "events", duplicates_fail=False)
        self._events("events-duplicates-fail", "twin", duplicates_fail=True)
        return self.folder

    @property
    def records(self) -> Path:
        """Where the records are."""
        return self.folder / ".workshape" / "records"

    def _burst(self, function: str, *, connections: int) -> None:
        """600 requests by 40 callers in a few seconds; the first 40 are cold."""
        lines, samples = [], []
        free_at = [self.now] * 40
        for number in range(600):
            caller = free_at.index(min(free_at))
            init_ms = self.chance.uniform(900, 1_600) if number < 40 else None
            queued_ms = init_ms or 0.2
            duration_ms = self.chance.gauss(120, 12) + (60 if init_ms else 0)
            started = free_at[caller] + queued_ms / 1_000
            free_at[caller] = started + duration_ms / 1_000
            lines.append(self._record(function, "http", number, started, duration_ms, init_ms, queued_ms=queued_ms))
        for tick in range(40):
            held = min(connections, 2 + 4 * tick)
            samples.append(ConnectionSample(time=self.now + tick / 10, connections=held, max_connections=30))
        self._append(self.records, lines)
        self._append(self.records / CONNECTIONS_FOLDER_NAME, samples)
        self.now = max(free_at) + 10

    def _events(self, function: str, queue: str, *, duplicates_fail: bool) -> None:
        """400 events, 4 of them poison, 20 sent twice; every failure comes back until its fifth receive."""
        waiting = [(f"{queue}-m{number}", f"hash-{number}", 1) for number in range(400)]
        waiting += [(f"{queue}-again{number}", f"hash-{number * 20 + 1}", 1) for number in range(20)]
        lines, facts, batch = [], [], 0
        stored: set[str] = set()
        while waiting:
            taken, waiting = waiting[:10], waiting[10:]
            request = f"{function}-{batch}"
            ended = self.now + 0.04
            failures = 0
            for message, content, receives in taken:
                is_poison = int(content.removeprefix("hash-")) % 100 == 0
                is_bad = is_poison or (duplicates_fail and content in stored)
                stored.add(content)
                failures += is_bad
                outcome = ItemOutcome.REPORTED if is_bad else ItemOutcome.SUCCEEDED
                facts.append(self._fact(ended, function, queue, request, message, content, receives, outcome))
                if is_bad and receives < 5:
                    waiting.append((message, content, receives + 1))
            init_ms = 400.0 if batch < 4 else None
            record = self._record(function, "sqs", batch, self.now, 40.0, init_ms, items=len(taken), failures=failures)
            lines.append(record)
            self.now += 0.02
            batch += 1
        self._append(self.records, lines)
        self._append(self.records / FOLDER_NAME, facts)
        self.now += 10

    def _record(
        self,
        function: str,
        trigger: str,
        number: int,
        time: float,
        duration_ms: float,
        init_ms: float | None,
        *,
        queued_ms: float = 0.0,
        items: int | None = None,
        failures: int | None = None,
    ) -> InvocationRecord:
        return InvocationRecord(
            time=time,
            function=function,
            version="$LATEST",
            request_id=f"{function}-{number}",
            environment=number % 40,
            trigger=trigger,
            init_ms=init_ms,
            duration_ms=duration_ms,
            billed_ms=round(duration_ms + (init_ms or 0)),
            memory_mb=256,
            max_memory_mb=96,
            timeout_s=10 if trigger == "http" else 3,
            status="success",
            request_bytes=1_200,
            response_bytes=300,
            batch_items=items,
            batch_failures=failures,
            queued_ms=queued_ms,
            concurrency=min(40, number + 1) if trigger == "http" else min(4, number + 1),
            environments=min(40, number + 1) if trigger == "http" else min(4, number + 1),
        )

    def _fact(
        self,
        time: float,
        function: str,
        queue: str,
        request: str,
        message: str,
        content: str,
        receives: int,
        outcome: ItemOutcome,
    ) -> BatchItemFact:
        return BatchItemFact(
            time=time,
            function=function,
            source=queue,
            request_id=request,
            message_id=message,
            content_hash=content,
            receive_count=receives,
            outcome=outcome,
        )

    def _append(
        self, folder: Path, lines: Sequence[InvocationRecord] | Sequence[BatchItemFact] | Sequence[ConnectionSample]
    ) -> None:
        JsonLineWriter[InvocationRecord | BatchItemFact | ConnectionSample](folder).write(lines)

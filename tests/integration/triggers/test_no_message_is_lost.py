"""Whatever goes wrong between a queue and its function, every message is done or in the dead-letter queue."""

import asyncio
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fakes.batch_function import BatchFunction, FunctionFails, Records
from tests.fakes.fast_time import FastClock, run_fast
from tests.integration.triggers.conftest import ACCOUNT, REGION, Stage
from workshape.functions.concurrency import TooManyRequests
from workshape.queues.broker import Broker
from workshape.queues.model import NewMessage, QueueAttributes, QueueName, RedrivePolicy
from workshape.store.documents import Documents
from workshape.triggers.model import EventSourceMapping

VISIBILITY_TIMEOUT_S = 3
ENDINGS = ("ok", "fails", "reports", "reports nonsense", "throttled", "is slow", "restart")
"""Of an invocation; a restart is the supervisor's, in the middle of it."""


class Chaos:
    """A function that ends as a script says, and then well. It remembers what it has done."""

    def __init__(self, endings: list[str]) -> None:
        self._script: Iterator[str] = iter(endings)
        self.done: list[str] = []
        self.function = BatchFunction(self._answer, refuse=self._refuse)
        self.restart = asyncio.Event()
        self._ending = "ok"

    def _refuse(self) -> Exception | None:
        self._ending = next(self._script, "ok")
        self.function.takes_s = 2.5 * VISIBILITY_TIMEOUT_S if self._ending == "is slow" else 0.01
        return TooManyRequests(reason="Rate Exceeded.", reason_code="x") if self._ending == "throttled" else None

    def _answer(self, records: Records) -> Any:
        ending, bodies = self._ending, [record["body"] for record in records]
        if ending == "restart":
            self.restart.set()
        if ending == "fails":
            raise FunctionFails
        if ending == "reports nonsense":
            return {"batchItemFailures": [{"itemIdentifier": "nobody"}]}
        if ending == "reports":  # it stops in the middle, as a function of a FIFO queue is to do
            stop = len(records) // 2
            self.done += bodies[:stop]
            return {"batchItemFailures": [{"itemIdentifier": record["messageId"]} for record in records[stop:]]}
        self.done += bodies
        return None


async def play(
    folder: Path, mapping: EventSourceMapping, groups: list[str], endings: list[str]
) -> tuple[Chaos, list[str]]:
    """Send a message a group, map them until the queue is empty; return what was done and what was given up."""
    chaos, suffix = Chaos(endings), ".fifo" if mapping.is_fifo else ""
    broker = await Broker.open(folder / "queues", FastClock(), region=REGION, account=ACCOUNT)
    documents = Documents(folder / "store.sqlite")
    try:
        dead = await broker.create_queue(QueueName(f"dead{suffix}"), QueueAttributes(fifo=mapping.is_fifo))
        attributes = QueueAttributes(
            fifo=mapping.is_fifo,
            visibility_timeout_s=VISIBILITY_TIMEOUT_S,
            redrive=RedrivePolicy(dead.arn, 3),
            content_based_deduplication=mapping.is_fifo,
        )
        queue = await broker.create_queue(QueueName(mapping.queue), attributes)
        for at, group in enumerate(groups):
            await broker.send(queue.name, [NewMessage(f"{group}-{at:02}", group_id=group if mapping.is_fifo else "")])
        stage = Stage(broker, documents, folder, chaos.function)
        first = stage.supervisor()
        first.create(mapping)
        work = asyncio.create_task(first.run())
        async with asyncio.timeout(3_000):
            while stage.left(queue.name) or chaos.function.running:
                if chaos.restart.is_set():
                    chaos.restart.clear()
                    await end(work)
                    work = asyncio.create_task(stage.supervisor().run())
                await asyncio.sleep(0.05)
        await end(work)
        return chaos, await stage.bodies(dead.name)
    finally:
        await broker.close()
        documents.close()


async def end(work: "asyncio.Task[None]") -> None:
    work.cancel()
    with suppress(asyncio.CancelledError):
        await work


@settings(max_examples=25, deadline=None)
@given(
    fifo=st.booleans(),
    groups=st.lists(st.sampled_from("abc"), min_size=1, max_size=12),
    batch_size=st.integers(1, 5),
    endings=st.lists(st.sampled_from(ENDINGS), max_size=10),
)
def test_every_message_is_done_or_given_up(fifo: bool, groups: list[str], batch_size: int, endings: list[str]) -> None:
    name = "work.fifo" if fifo else "work"
    mapping = EventSourceMapping(
        id="",
        queue_arn=f"arn:aws:sqs:{REGION}:{ACCOUNT}:{name}",
        function="f",
        function_arn=f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:f",
        batch_size=batch_size,
        report_batch_item_failures=True,
    )
    with TemporaryDirectory() as folder:
        chaos, given_up = run_fast(play(Path(folder), mapping, groups, endings))

    sent = {f"{group}-{at:02}" for at, group in enumerate(groups)}
    assert set(chaos.done) | set(given_up) == sent
    if not set(endings) & {"is slow"}:  # slower than the visibility timeout: done twice, and perhaps given up too
        first_done = list(dict.fromkeys(chaos.done))
        in_order = [[body for body in first_done if body.startswith(group)] for group in "abc"]
        assert not fifo or all(bodies == sorted(bodies) for bodies in in_order)

"""Keeps the journal short: what is still of use in its oldest segment is written again, and the segment dropped."""

import asyncio
import logging
from collections.abc import Callable, Mapping

from workshape.clock import Clock
from workshape.queues.journal import JournalFailed
from workshape.queues.ledger import Ledger
from workshape.queues.live import LiveQueue
from workshape.queues.model import QueueNumber

INTERVAL_S = 1.0
"""How often the journal's length is looked at: what arrives in between is at most a second of the disk's speed."""

_log = logging.getLogger(__name__)


class JournalCleaner:
    """Cleans one ledger. `queues` are those there are; `keep_task` writes a message move task again, by its id."""

    def __init__(
        self,
        ledger: Ledger,
        clock: Clock,
        queues: Mapping[QueueNumber, LiveQueue],
        keep_task: Callable[[str], None],
    ) -> None:
        self._ledger = ledger
        self._clock = clock
        self._queues = queues
        self._keep_task = keep_task
        self._cleaning = asyncio.Lock()

    def __repr__(self) -> str:
        return f"<JournalCleaner {self._ledger!r}>"

    async def run(self) -> None:
        """Keep the journal short, until cancelled or until the disk fails, which every caller is told then."""
        try:
            while True:
                await asyncio.sleep(INTERVAL_S)
                self._ledger.forget_old(self._clock.wall_s())
                while self._ledger.needs_cleaning:
                    await self.clean()
        except JournalFailed as error:
            _log.error("queue_maintenance_stopped reason=%s", error)

    async def clean(self) -> None:
        """Write again what is still of use in the journal's oldest segment, and drop the segment.

        Nothing happens while that is the segment being written.

        Raises:
            JournalFailed: the disk refuses.
        """
        async with self._cleaning:
            if self._ledger.can_clean:
                await self._write_again()
                await self._ledger.drop_oldest()

    async def _write_again(self) -> None:
        while numbers := self._ledger.oldest_queues():
            for number in numbers:
                self._ledger.keep_queue(self._queues[number].definition)
            await self._ledger.durable()
        while keys := self._ledger.oldest_messages():
            for number, message_number in keys:
                message = self._queues[number].core.find(message_number)
                assert message is not None, "the ledger knows exactly the messages that are there"
                self._ledger.keep_messages(number, (message,))
            await self._ledger.durable()
        while task_ids := self._ledger.oldest_tasks():
            for task_id in task_ids:
                self._keep_task(task_id)
            await self._ledger.durable()
        await self._write_recent_again()

    async def _write_recent_again(self) -> None:
        """Write again what counts for some minutes: deduplication IDs, and attempts to receive that still stand."""
        while by_queue := self._ledger.take_oldest_tokens(self._clock.wall_s()):
            for number, tokens in by_queue.items():
                if number in self._queues:
                    self._ledger.keep_tokens(number, tokens)
            await self._ledger.durable()
        while attempts := self._ledger.take_oldest_attempts(self._clock.wall_s()):
            for number, made in attempts.items():
                for attempt in made:
                    if number in self._queues and self._queues[number].remembers_attempt(attempt):
                        self._ledger.keep_attempt(number, attempt)
            await self._ledger.durable()

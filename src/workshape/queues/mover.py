"""Message move tasks at work: each moves a few messages at a time, as fast as it may, until it ends or is stopped.

Every message moves in one record of the journal, so it is in exactly one of the two queues whatever happens. A task
that was under way goes on after a restart.
"""

import asyncio
import logging
import uuid
from collections.abc import Callable, Iterable

import msgspec

from workshape.clock import Clock
from workshape.errors import NotFound
from workshape.queues.journal import JournalFailed
from workshape.queues.ledger import Ledger
from workshape.queues.live import LiveQueue
from workshape.queues.model import InvalidParameter, Message, QueueNumber
from workshape.queues.move_task import MovePace, MoveStatus, MoveTask, MoveTasks

_log = logging.getLogger(__name__)


class MoveQueueNotFound(NotFound):
    """The resource that you specified for the {parameter} parameter doesn't exist."""

    parameter: str


class MessageMover:
    """Runs the move tasks of all queues; `find` looks a queue up by its ARN."""

    def __init__(
        self,
        ledger: Ledger,
        clock: Clock,
        *,
        find: Callable[[str], LiveQueue | None],
        is_dead_letter_queue: Callable[[str], bool],
    ) -> None:
        self._ledger = ledger
        self._clock = clock
        self._find = find
        self._is_dead_letter_queue = is_dead_letter_queue
        self._tasks = MoveTasks()
        self._runs: dict[str, asyncio.Task[None]] = {}
        self._stopped: dict[str, asyncio.Event] = {}

    def __repr__(self) -> str:
        return f"<MessageMover {self._tasks!r}>"

    def resume(self, tasks: Iterable[MoveTask]) -> None:
        """Go on with tasks found on disk."""
        for task in self._tasks.recover(tasks):
            self._run(task)

    async def close(self) -> None:
        """Stop where the tasks are; they go on at the next start."""
        runs = list(self._runs.values())
        for run in runs:
            run.cancel()
        await asyncio.gather(*runs, return_exceptions=True)

    async def start(self, source_arn: str, destination_arn: str = "", rate_max: int | None = None) -> MoveTask:
        """Begin to move a dead-letter queue's messages: to one queue, or each to where it came from.

        Raises:
            MoveQueueNotFound: one of the queues is not there.
            InvalidParameter: the source is nobody's dead-letter queue, the destination is the source or a queue of
                the other kind, or the rate is none.
            MoveTaskRunning, TooManyMoveTasks: others are active.
        """
        source = self._source(source_arn)
        # AWS: undocumented; we chose the words.
        if not self._is_dead_letter_queue(source_arn):
            reason = "Source queue must be configured as a Dead Letter Queue."
            raise InvalidParameter(value=source_arn, parameter="SourceArn", reason=reason)
        if destination_arn:
            self._check_destination(source, destination_arn)
        source.advance()
        task = MoveTask(
            id=str(uuid.uuid4()),
            source=source.definition.number,
            source_arn=source_arn,
            destination_arn=destination_arn,
            rate_max=rate_max,
            to_move=source.core.depth().visible,
            started_at=self._clock.wall_s(),
        )
        for forgotten in self._tasks.add(task):
            self._ledger.forget_task(forgotten)
        self._ledger.keep_task(task)
        await self._ledger.durable()
        self._run(task)
        return task

    async def cancel(self, task_id: str) -> MoveTask:
        """Stop a task; what it has moved stays moved.

        Raises:
            MoveTaskNotFound, MoveTaskNotActive: there is nothing to stop.
        """
        task = self._tasks.cancel(task_id)
        self._ledger.keep_task(task)
        self._stopped[task_id].set()
        await self._ledger.durable()
        return task

    def list(self, source_arn: str, count_max: int) -> list[MoveTask]:
        """The last tasks of a queue, the newest first.

        Raises:
            MoveQueueNotFound: there is no such queue.
        """
        return self._tasks.of(self._source(source_arn).definition.number, count_max)

    def keep_again(self, task_id: str) -> None:
        """Write a task again whose place in the journal is to go."""
        self._ledger.keep_task(self._tasks[task_id])

    def forget_queue(self, source: QueueNumber) -> None:
        """A queue is gone, and its tasks with it."""
        for task_id in self._tasks.forget(source):
            self._ledger.forget_task(task_id)
            if (run := self._runs.get(task_id)) is not None:
                run.cancel()

    def _source(self, arn: str) -> LiveQueue:
        source = self._find(arn)
        if source is None:
            raise MoveQueueNotFound(kind="queue", name=arn, parameter="SourceArn")
        return source

    def _check_destination(self, source: LiveQueue, arn: str) -> None:
        destination = self._find(arn)
        if destination is None:
            raise MoveQueueNotFound(kind="queue", name=arn, parameter="DestinationArn")
        # AWS: undocumented; we chose the words.
        if destination is source:
            reason = "Source queue and destination queue cannot be the same."
            raise InvalidParameter(value=arn, parameter="DestinationArn", reason=reason)
        if destination.definition.is_fifo != source.definition.is_fifo:
            reason = "Destination queue must be same type of queue as the source."
            raise InvalidParameter(value=arn, parameter="DestinationArn", reason=reason)

    def _run(self, task: MoveTask) -> None:
        self._stopped[task.id] = asyncio.Event()
        run = asyncio.create_task(self._move(task.id), name=f"message move task {task.id}")
        self._runs[task.id] = run
        run.add_done_callback(lambda _: self._ended(task.id))

    def _ended(self, task_id: str) -> None:
        del self._runs[task_id], self._stopped[task_id]

    async def _move(self, task_id: str) -> None:
        task = self._tasks[task_id]
        pace = MovePace(task.rate_max, self._clock.monotonic_s())
        try:
            while (task := self._tasks[task_id]).status is MoveStatus.RUNNING:
                moved, ended = self._step(task, pace.allowed(self._clock.monotonic_s()), self._clock.wall_s())
                pace.note(moved)
                task = msgspec.structs.replace(task, moved=task.moved + moved)
                if ended is not None:
                    task = task.became(*ended)
                if moved or ended is not None:
                    self._ledger.keep_task(self._tasks.put(task))
                    await self._ledger.durable()
                if ended is None:
                    await self._pause(task_id, pace.wait_s(self._clock.monotonic_s()))
            if task.status is MoveStatus.CANCELLING:
                self._ledger.keep_task(self._tasks.put(task.became(MoveStatus.CANCELLED)))
        except JournalFailed as error:
            _log.error("message_move_stopped task=%s reason=%s", task_id, error)

    def _step(self, task: MoveTask, count_max: int, now: float) -> tuple[int, tuple[MoveStatus, str] | None]:
        """Move some messages; tells how many, and how the task has ended, if it has."""
        source = self._find(task.source_arn)
        assert source is not None, "a task is forgotten with its queue"
        source.advance()
        count_max = min(count_max, task.to_move - task.moved)
        for moved in range(count_max):
            if (message := source.core.next_to_move()) is None:
                return moved, (MoveStatus.COMPLETED, "")
            target = self._find(task.destination_arn or message.dead_letter_source_arn)
            if target is None or target is source:
                return moved, (MoveStatus.FAILED, _why_stuck(task, message))
            source.hand_over(message, target)
        if task.moved + count_max >= task.to_move:
            return count_max, (MoveStatus.COMPLETED, "")
        if task.is_overdue(now):
            return count_max, (MoveStatus.FAILED, "The task has run for 36 hours.")
        return count_max, None

    async def _pause(self, task_id: str, seconds: float) -> None:
        """Sleep, but wake when the task is to stop."""
        try:
            async with asyncio.timeout(seconds):
                await self._stopped[task_id].wait()
        except TimeoutError:
            return


def _why_stuck(task: MoveTask, message: Message) -> str:
    # AWS: undocumented; we chose the words.
    if task.destination_arn:
        return f"The destination queue {task.destination_arn} does not exist any more."
    if not message.dead_letter_source_arn:
        return "CouldNotDetermineMessageSource: a message was sent here directly. Start a task with a DestinationArn."
    return f"The source queue of a message, {message.dead_letter_source_arn}, does not exist any more."

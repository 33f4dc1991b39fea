"""Message move tasks: which there are, what becomes of them, and how fast they may go. A core.

A task moves what its dead-letter queue holds when it starts, the oldest first; the messages become new ones.

Source: https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_StartMessageMoveTask.html
Source: https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-configure-dead-letter-queue-redrive.html
"""

from collections.abc import Iterable
from enum import StrEnum

import msgspec

from workshape.errors import Denied, Invalid, NotFound
from workshape.queues.limits import (
    MOVE_S_MAX,
    MOVE_TASKS_LISTED_MAX,
    MOVES_AT_ONCE_MAX,
    MOVES_PER_S_MAX,
)
from workshape.queues.model import InvalidParameter, QueueNumber

_STEP_MESSAGES_MAX = 100
"""Moved in one go: a few milliseconds of the event loop's time, then everyone else has their turn."""


class MoveStatus(StrEnum):
    """Where a task stands."""

    RUNNING = "RUNNING"
    COMPLETED = "COMPLETED"
    CANCELLING = "CANCELLING"
    CANCELLED = "CANCELLED"
    FAILED = "FAILED"


_FOLLOWING = {
    MoveStatus.RUNNING: {MoveStatus.COMPLETED, MoveStatus.CANCELLING, MoveStatus.FAILED},
    MoveStatus.CANCELLING: {MoveStatus.CANCELLED},
}


class MoveTask(msgspec.Struct, frozen=True):
    """One task, as the journal keeps it."""

    id: str
    source: QueueNumber
    source_arn: str
    destination_arn: str
    """Empty: each message goes back to the queue it came from."""
    rate_max: int | None
    """Messages a second; None: as fast as it goes."""
    to_move: int
    started_at: float
    status: MoveStatus = MoveStatus.RUNNING
    moved: int = 0
    failure_reason: str = ""

    @property
    def is_active(self) -> bool:
        """Whether it stands in the way of another."""
        return self.status in _FOLLOWING

    def became(self, status: MoveStatus, reason: str = "") -> "MoveTask":
        """The task in its next status."""
        assert status in _FOLLOWING.get(self.status, ()), f"{self.status} -> {status}"
        return msgspec.structs.replace(self, status=status, failure_reason=reason)

    def is_overdue(self, now: float) -> bool:
        """Whether it has run for as long as a task may."""
        return now - self.started_at >= MOVE_S_MAX


class MoveTaskRunning(Invalid):
    """There is already a task running. Only one active task is allowed for a source queue arn at a given time."""


class TooManyMoveTasks(Denied):
    """{active} message movement tasks are active, and no more than that may be. Wait for one of them to end."""

    active: int


class MoveTaskNotFound(NotFound):
    """The {kind} {name} does not exist."""


class MoveTaskNotActive(Denied):
    """Only active tasks can be cancelled; this one is {status}."""

    status: MoveStatus


class MoveTasks:
    """The tasks of all queues: those under way, and the last ones of each queue that ended."""

    def __init__(self) -> None:
        self._by_id: dict[str, MoveTask] = {}
        self._by_source: dict[QueueNumber, list[str]] = {}

    def __repr__(self) -> str:
        return f"<MoveTasks {len(self._by_id)} active={sum(task.is_active for task in self._by_id.values())}>"

    def __getitem__(self, task_id: str) -> MoveTask:
        return self._by_id[task_id]

    def recover(self, tasks: Iterable[MoveTask]) -> list[MoveTask]:
        """Take tasks found on disk; returns those that were under way."""
        for task in sorted(tasks, key=lambda task: task.started_at):
            self._by_id[task.id] = task
            self._by_source.setdefault(task.source, []).append(task.id)
        return [task for task in self._by_id.values() if task.is_active]

    def add(self, task: MoveTask) -> list[str]:
        """Start a task; returns the ids of those too old to be remembered any longer.

        Raises:
            InvalidParameter: its rate is none.
            MoveTaskRunning, TooManyMoveTasks: others are active.
        """
        if task.rate_max is not None and not 1 <= task.rate_max <= MOVES_PER_S_MAX:
            reason = f"Must be between 1 and {MOVES_PER_S_MAX}."
            raise InvalidParameter(value=task.rate_max, parameter="MaxNumberOfMessagesPerSecond", reason=reason)
        ids = self._by_source.setdefault(task.source, [])
        if any(self._by_id[task_id].is_active for task_id in ids):
            raise MoveTaskRunning()
        active = sum(other.is_active for other in self._by_id.values())
        if active >= MOVES_AT_ONCE_MAX:
            raise TooManyMoveTasks(active=active)
        ids.append(task.id)
        self._by_id[task.id] = task
        forgotten = ids[:-MOVE_TASKS_LISTED_MAX]
        del ids[:-MOVE_TASKS_LISTED_MAX]
        for task_id in forgotten:
            del self._by_id[task_id]
        return forgotten

    def cancel(self, task_id: str) -> MoveTask:
        """Ask a task to stop.

        Raises:
            MoveTaskNotFound, MoveTaskNotActive: there is nothing to stop.
        """
        task = self._by_id.get(task_id)
        if task is None:
            raise MoveTaskNotFound(kind="message movement task", name=task_id)
        if task.status is not MoveStatus.RUNNING:
            raise MoveTaskNotActive(status=task.status)
        return self.put(task.became(MoveStatus.CANCELLING))

    def put(self, task: MoveTask) -> MoveTask:
        """Note what has become of a task."""
        self._by_id[task.id] = task
        return task

    def of(self, source: QueueNumber, count_max: int) -> list[MoveTask]:
        """The last tasks of a queue, the newest first."""
        return [self._by_id[task_id] for task_id in reversed(self._by_source.get(source, ()))][:count_max]

    def forget(self, source: QueueNumber) -> list[str]:
        """Forget the tasks of a queue that is gone; returns their ids."""
        ids = self._by_source.pop(source, [])
        for task_id in ids:
            del self._by_id[task_id]
        return ids


class MovePace:
    """How many messages a task may move by now."""

    def __init__(self, rate_max: int | None, now: float) -> None:
        self._rate_max = rate_max
        self._since = now
        self._moved = 0

    def __repr__(self) -> str:
        return f"<MovePace {self._rate_max}/s moved={self._moved}>"

    def allowed(self, now: float) -> int:
        """Messages of the next step. What was not moved in time is not made up for: a second's worth at most."""
        if self._rate_max is None:
            return _STEP_MESSAGES_MAX
        due = int((now - self._since) * self._rate_max) + 1 - self._moved
        if due > self._rate_max:
            self._since, self._moved = now, 0
            due = 1
        return max(0, min(due, _STEP_MESSAGES_MAX))

    def note(self, moved: int) -> None:
        """That many have been moved."""
        self._moved += moved

    def wait_s(self, now: float) -> float:
        """How long until another may be."""
        if self._rate_max is None:
            return 0.0
        return max(0.0, self._since + self._moved / self._rate_max - now)

"""When something has to be done next: one heap of deadlines for all environments, postponed lazily.

An environment's deadline moves with every invocation, mostly to a later time. Its entry in the heap stays where it
is and is put right when it comes up; only an earlier deadline makes a new entry. So a warm invocation costs a
comparison, and an environment has a handful of entries at most (one for each change from idle to busy within the
function's timeout that found only a keep-alive entry).
"""

from heapq import heappop, heappush
from itertools import count
from math import inf

from workshape.functions.environment import Environment, EnvironmentState


class Deadlines:
    """Environments by deadline."""

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, Environment]] = []
        self._entries = count()

    def __len__(self) -> int:
        return len(self._heap)

    def set(self, environment: Environment, deadline: float) -> None:
        """Expect to hear of the environment at `deadline` (or never: `inf`) unless it is moved before."""
        environment.deadline = deadline
        if deadline < environment.timer_at:
            environment.timer_at = deadline
            heappush(self._heap, (deadline, next(self._entries), environment))

    def next(self) -> float:
        """When to call `due` at the latest; it may find nothing then. `inf` when there is nothing to expect."""
        return self._heap[0][0] if self._heap else inf

    def due(self, now: float) -> list[Environment]:
        """Take out the environments whose deadline has come."""
        due = []
        while self._heap and self._heap[0][0] <= now:
            at, _, environment = heappop(self._heap)
            if at != environment.timer_at or environment.state is EnvironmentState.GONE:
                continue
            environment.timer_at = inf
            if environment.deadline <= now:
                environment.deadline = inf
                due.append(environment)
            else:
                self.set(environment, environment.deadline)
        return due

"""The environments of one revision of a function, and the invocations that wait for one of them."""

from collections import deque
from collections.abc import Iterator

from workshape.functions.environment import Admitted, Environment, EnvironmentState
from workshape.functions.model import EnvironmentId, FunctionVersion

STARTING = frozenset({EnvironmentState.STARTING, EnvironmentState.INIT, EnvironmentState.RESTORING})
IDLE = frozenset({EnvironmentState.IDLE, EnvironmentState.FROZEN})


class Pool:
    """Environments that may serve each other's invocations.

    `warm` and `frozen` are the idle ones, each the longest idle first, and every frozen one idle longer than
    every warm one: the last in is the first to be reused, the first in the first to be frozen and to end.
    """

    __slots__ = ("alive", "frozen", "function", "retired", "starting", "waiting", "warm")

    def __init__(self, function: FunctionVersion) -> None:
        self.function = function
        self.alive: dict[EnvironmentId, Environment] = {}
        """All but the stopping ones, oldest first."""
        self.warm: deque[Environment] = deque()
        self.frozen: deque[Environment] = deque()
        self.starting = 0
        self.waiting: deque[Admitted] = deque()
        """First come, first served. Bounded by the function's concurrency: what waits has been admitted."""
        self.retired = False

    def __repr__(self) -> str:
        return (
            f"<Pool {self.function.name}:{self.function.version} alive={len(self.alive)} waiting={len(self.waiting)}>"
        )

    @property
    def busy(self) -> int:
        """Environments that run an invocation."""
        return len(self.alive) - self.starting - len(self.warm) - len(self.frozen)

    @property
    def is_empty(self) -> bool:
        """Nothing runs and nothing waits: the pool may be forgotten."""
        return not self.alive and not self.waiting

    def add(self, environment: Environment) -> None:
        """Take in a starting environment."""
        self.alive[environment.id] = environment
        self.starting += 1

    def most_recently_used(self) -> Environment | None:
        """Take out the idle environment to reuse, if there is one. A frozen one has to be thawed."""
        if self.warm:
            return self.warm.pop()
        return self.frozen.pop() if self.frozen else None

    def put_idle(self, environment: Environment, now: float) -> None:
        """Keep an environment for reuse."""
        environment.idle_since = now
        self.warm.append(environment)

    def freeze_idle_since(self, at: float) -> Iterator[Environment]:
        """Move those idle since `at` or before from warm to frozen."""
        while self.warm and self.warm[0].idle_since <= at:
            environment = self.warm.popleft()
            environment.move(EnvironmentState.FROZEN)
            self.frozen.append(environment)
            yield environment

    def remove(self, environment: Environment) -> None:
        """Let go of an environment that is about to stop, whatever it is doing."""
        del self.alive[environment.id]
        if environment.state in STARTING:
            self.starting -= 1
        elif environment.state is EnvironmentState.IDLE:
            self.warm.remove(environment)
        elif environment.state is EnvironmentState.FROZEN:
            self.frozen.remove(environment)

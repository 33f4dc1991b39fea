"""What every part of an engine stands on: the run, the clock, the store; and the lists of what it begins and ends."""

from collections.abc import Callable, Coroutine
from contextlib import AsyncExitStack, closing
from dataclasses import dataclass, field

from workshape.aws.upstream import Upstream
from workshape.clock import Clock
from workshape.metrics.keeper import MetricKeeper
from workshape.run import RunFile
from workshape.settings import Settings
from workshape.store.documents import Documents


@dataclass(frozen=True, slots=True)
class Work:
    """What runs for as long as the engine serves."""

    name: str
    run: Callable[[], Coroutine[None, None, None]]


@dataclass(frozen=True, slots=True)
class Ground:
    """What parts are opened on. A part pushes its end on `stack`, and what it does meanwhile on `work`."""

    run: RunFile
    clock: Clock
    stack: AsyncExitStack
    documents: Documents
    metrics: MetricKeeper
    upstream: Upstream
    work: list[Work] = field(default_factory=list)

    @property
    def settings(self) -> Settings:
        """The platform's configuration."""
        return self.run.settings

    def serve(self, name: str, run: Callable[[], Coroutine[None, None, None]]) -> None:
        """Have `run` called when the engine begins to serve; it is cancelled when the engine ends."""
        self.work.append(Work(name, run))


def open_ground(run: RunFile, stack: AsyncExitStack) -> Ground:
    """Open the store and the metrics; what is opened later is closed first."""
    clock = Clock()
    documents = stack.enter_context(closing(Documents(run.state.store)))
    upstream = Upstream(run.upstream)
    stack.push_async_callback(upstream.close)
    metrics = stack.enter_context(closing(MetricKeeper(run.state.metrics, clock)))
    ground = Ground(run, clock, stack, documents, metrics, upstream)
    ground.serve("metrics", metrics.run)
    return ground

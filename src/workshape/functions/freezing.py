"""When idle environments are frozen: late enough that warm traffic never pays for it."""

from collections.abc import Iterator
from math import inf

from workshape.functions.environment import Environment
from workshape.functions.pool import Pool

FREEZE_AFTER_S = 0.010


class Freezing:
    """The pools that have something to freeze, or lately so."""

    def __init__(self) -> None:
        self._pools: dict[Pool, None] = {}  # in the order they came, each once
        self.due_at = inf
        """When to call `freeze` at the latest."""

    def __repr__(self) -> str:
        return f"<Freezing pools={len(self._pools)} due_at={self.due_at}>"

    def expect(self, pool: Pool, now: float) -> None:
        """An environment of the pool became idle."""
        self._pools[pool] = None
        if self.due_at == inf:
            self.due_at = now + FREEZE_AFTER_S

    def freeze(self, now: float) -> Iterator[Environment]:
        """Freeze what has been idle long enough; look again in a while if anything idle is left."""
        self.due_at = inf
        for pool in list(self._pools):
            yield from pool.freeze_idle_since(now - FREEZE_AFTER_S)
            if pool.warm:
                self.due_at = now + FREEZE_AFTER_S
            else:
                del self._pools[pool]

"""Which versions' snapshots are in memory, to be copied: few enough, none that nobody wants. A core.

A version whose snapshot is not there starts by its init phase, as others do, and has its snapshot made again beside
that. So nothing here decides whether an environment starts, only how fast.
"""

from collections.abc import Collection
from math import inf

from workshape.functions.model import FunctionName, FunctionVersion

RETRY_S = 60.0
"""After one could not be made: its init phase fails, or the machine has no process left; neither is over soon."""

SnapshotKey = tuple[FunctionName, str]
"""A function, and a revision of it."""


def snapshot_key(function: FunctionVersion) -> SnapshotKey:
    """Tell which snapshot a version's environments may be copied of."""
    return function.name, function.revision


class SnapshotCache:
    """Takes facts, and says which are to be made and which are to go. `now` is in seconds, monotonic."""

    def __init__(self, kept_max: int, idle_s: float) -> None:
        """Keep so many, each until nobody has started from it for so long. With 0 none is kept."""
        self._kept_max = kept_max
        self._idle_s = idle_s
        self._used_at: dict[SnapshotKey, float] = {}
        """Of those that are kept; the one used last is the last."""
        self._making: set[SnapshotKey] = set()
        self._retry_at: dict[SnapshotKey, float] = {}
        """Of those that could not be made; `inf`: they never can."""

    def __repr__(self) -> str:
        return f"<SnapshotCache kept={len(self._used_at)} making={len(self._making)}>"

    def __contains__(self, key: SnapshotKey) -> bool:
        return key in self._used_at

    def __len__(self) -> int:
        return len(self._used_at)

    def begin(self, key: SnapshotKey, now: float) -> bool:
        """Somebody could start from this one: shall it be made? If so, `kept` or `failed` must follow."""
        if self._kept_max == 0 or key in self._used_at or key in self._making:
            return False
        if self._retry_at.get(key, -inf) > now:
            return False
        self._making.add(key)
        return True

    def kept(self, key: SnapshotKey, now: float) -> list[SnapshotKey]:
        """It is there; return those that have to go for it."""
        self._making.discard(key)
        self._retry_at.pop(key, None)
        self._used_at[key] = now
        surplus = list(self._used_at)[: max(0, len(self._used_at) - self._kept_max)]
        for each in surplus:
            del self._used_at[each]
        return surplus

    def failed(self, key: SnapshotKey, now: float, *, for_good: bool) -> None:
        """It is not there; `for_good`: the function is none that can be copied."""
        self._making.discard(key)
        self._retry_at[key] = inf if for_good else now + RETRY_S

    def used(self, key: SnapshotKey, now: float) -> None:
        """An environment was copied of it."""
        if self._used_at.pop(key, None) is not None:
            self._used_at[key] = now

    def lost(self, key: SnapshotKey) -> None:
        """Its process has ended by itself."""
        self._used_at.pop(key, None)

    def retire(self, name: FunctionName, revisions: Collection[str]) -> list[SnapshotKey]:
        """A function has no other revisions than these; return what has to go."""
        gone = [key for key in self._used_at if key[0] == name and key[1] not in revisions]
        for key in gone:
            del self._used_at[key]
        for key in [key for key in self._retry_at if key[0] == name and key[1] not in revisions]:
            del self._retry_at[key]
        return gone

    def expire(self, now: float) -> list[SnapshotKey]:
        """Return what has to go because nobody wants it."""
        gone = [key for key, used_at in self._used_at.items() if used_at + self._idle_s <= now]
        for key in gone:
            del self._used_at[key]
        return gone

    def next_expiry(self) -> float:
        """When to call `expire`; `inf`: no time matters."""
        return min(self._used_at.values(), default=inf) + self._idle_s

"""How many events of a function are tried at once, where it is throttled: as many as it was seen to take. A core.

An event that is refused waits for longer and longer before it is tried again, as Lambda documents. If every event of a
long queue were tried so, a function that takes one at a time would run one of them in five minutes. So, while it is at
work, the others are held back, and one goes on when one has ended; now and then more are tried than before.

Source: https://docs.aws.amazon.com/lambda/latest/dg/invocation-async-error-handling.html ("reduces the rate at which it
reads events from the queue"; AWS: how is undocumented)
"""

from collections import deque
from dataclasses import dataclass, field

GROWTH_S = 1.0
GROWTH_DIVISOR = 4  # a quarter more each second, one at least: what was freed elsewhere is found within seconds
HOLD_S_FIRST = 0.5
HOLD_S_MAX = 10.0
"""How long nothing is tried of a function of which nothing runs: doubled while that stays so."""
UNLIMITED = 1_000  # as many as are tried at once of all functions


@dataclass(slots=True)
class _Lane:
    """One target."""

    running: int = 0
    allowed: int = UNLIMITED
    grows_at: float = 0.0
    hold_s: float = HOLD_S_FIRST
    waiting: deque[str] = field(default_factory=deque)
    called: set[str] = field(default_factory=set)
    """Events named by `resume` that have not come yet."""

    def has_room(self, now: float) -> bool:
        self.grows_at = min(self.grows_at, now + HOLD_S_MAX)  # the clock may have been set
        while self.allowed < UNLIMITED and now >= self.grows_at:
            self.allowed += max(1, self.allowed // GROWTH_DIVISOR)
            self.grows_at += GROWTH_S
        return self.allowed >= UNLIMITED or self.running + len(self.called) < self.allowed


class Intake:
    """Of all targets: a target is what has its own concurrency, a function's qualifier. Times are Unix times."""

    def __init__(self) -> None:
        self._lanes: dict[str, _Lane] = {}

    def __repr__(self) -> str:
        waiting = {name: len(lane.waiting) for name, lane in self._lanes.items() if lane.waiting}
        return f"<Intake targets={len(self._lanes)} waiting={waiting}>"

    def enter(self, target: str, event_id: str, now: float) -> bool:
        """Tell whether an event is tried now, and `leave`s later; otherwise it waits until `resume` names it."""
        lane = self._lanes.setdefault(target, _Lane())
        if event_id in lane.called:
            lane.called.remove(event_id)
        elif lane.waiting or not lane.has_room(now):
            lane.waiting.append(event_id)
            return False
        lane.running += 1
        return True

    def leave(self, target: str, now: float, *, throttled: bool) -> bool:
        """An event has been tried; tell whether its target is at work on others."""
        lane = self._lanes[target]
        lane.running -= 1
        if not throttled:
            lane.hold_s = HOLD_S_FIRST
        else:
            lane.allowed = min(lane.allowed, lane.running)
            lane.grows_at = now + (GROWTH_S if lane.running else lane.hold_s)
            lane.hold_s = HOLD_S_FIRST if lane.running else min(HOLD_S_MAX, 2 * lane.hold_s)
        self._forget_idle(target, lane)
        return lane.running > 0

    def dismiss(self, target: str, event_id: str) -> None:
        """An event that `resume` may have named is not tried at all."""
        lane = self._lanes.get(target)
        if lane is not None:
            lane.called.discard(event_id)
            self._forget_idle(target, lane)

    def resume(self, target: str, now: float) -> list[str]:
        """Name the events whose turn it is, those that wait longest; their places are kept for them."""
        lane = self._lanes.get(target)
        named: list[str] = []
        while lane is not None and lane.waiting and lane.has_room(now):
            named.append(lane.waiting.popleft())
            lane.called.add(named[-1])
        return named

    def opens_at(self) -> dict[str, float]:
        """When to `resume` the targets for which something waits, if nothing of them ends before."""
        return {name: lane.grows_at for name, lane in self._lanes.items() if lane.waiting}

    def _forget_idle(self, target: str, lane: _Lane) -> None:
        if lane.allowed >= UNLIMITED and not (lane.running or lane.waiting or lane.called):
            del self._lanes[target]

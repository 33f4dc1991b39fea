"""When a part that died is started again. A core: it takes `now` and does nothing itself."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class RestartLimits:
    """How patient to be."""

    delay_s_first: float = 0.25
    delay_s_max: float = 15.0
    """The delay doubles at each death in a row, up to this: a part that needs a while (a port in TIME_WAIT, a
    recovery) gets it, and nobody waits longer than this for one that could run again."""
    healthy_after_s: float = 30.0
    """Ready for this long, a part has earned a clean slate: its next death is a first one."""
    deaths_max: int = 8
    """Deaths in a row before giving up: about half a minute with the delays above."""


@dataclass(frozen=True, slots=True)
class Restart:
    """Start it again at that time."""

    at: float
    death: int
    """Deaths in a row so far, this one included."""


@dataclass(frozen=True, slots=True)
class GiveUp:
    """Leave it; somebody has to look."""

    reason: str


class RestartPolicy:
    """The record of one part's deaths. Times are monotonic seconds."""

    def __init__(self, limits: RestartLimits) -> None:
        self._limits = limits
        self._deaths = 0
        self._ready_since: float | None = None

    def __repr__(self) -> str:
        return f"<RestartPolicy deaths={self._deaths} ready_since={self._ready_since}>"

    def became_ready(self, now: float) -> None:
        """Note that the part answers."""
        self._ready_since = now

    def exited(self, now: float, how: str) -> Restart | GiveUp:
        """Decide after a death; `how` is told on when it is the last."""
        limits = self._limits
        if self._ready_since is not None and now - self._ready_since >= limits.healthy_after_s:
            self._deaths = 0
        self._ready_since = None
        self._deaths += 1
        if self._deaths >= limits.deaths_max:
            return GiveUp(f"died {self._deaths} times in a row, last: {how}")
        delay_s = min(limits.delay_s_max, limits.delay_s_first * 2.0 ** (self._deaths - 1))
        return Restart(now + delay_s, self._deaths)

"""A clock that runs as fast as the machine's, at another time of day."""

import time

from workshape.clock import Clock


class ShiftedClock(Clock):
    """Says `starts_at` (Unix time) when it is made, and goes on from there; `shift` moves its hands."""

    def __init__(self, starts_at: float) -> None:
        self._ahead_s = starts_at - time.time()

    def wall_s(self) -> float:
        """The time of day, moved."""
        return time.time() + self._ahead_s

    def shift(self, seconds: float) -> None:
        """Move its hands forward."""
        self._ahead_s += seconds

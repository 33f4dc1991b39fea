"""How many processes to keep waiting: as many as were lately wanted at once, between two bounds.

A decision, without I/O and clock. Standard library only, Python 3.10: the processes that fork environments load it.
"""

from math import inf

BURST_GAP_S = 0.25
"""What is wanted within this long of each other is wanted at once: a process is made ready in less."""
CALM_S = 60.0
"""After so long without such a burst half of what is above the least is let go."""
FORGOTTEN_S = 1_800.0
"""What nobody has wanted for so long is not kept at all."""


class Shelf:
    """What is kept of one kind. `now` is in seconds, of a clock that never goes back."""

    def __init__(self, least: int, most: int, now: float) -> None:
        self.least = least
        self.most = most
        self._many = least
        """How many a burst wanted, not long ago."""
        self._burst = 0
        self._used_at = now
        self._reached_at = now
        """When `_many` were last wanted, or it was last lowered."""

    def __repr__(self) -> str:
        return f"<Shelf {self._many} of {self.least} to {self.most}>"

    def used(self, now: float, count: int = 1, soon: int = 0) -> None:
        """So many were wanted (0: none yet), and `soon` more are about to be."""
        if now - self._used_at > BURST_GAP_S:
            self._burst = 0
        many = self.wanted(now)
        self._burst += count
        self._used_at = now
        if max(self._burst, soon) >= max(many, 1):
            self._many = max(self.least, min(max(self._burst, soon), self.most))
            self._reached_at = now

    def wanted(self, now: float) -> int:
        """Return how many to keep."""
        if self.forgotten(now):
            return 0
        while self._many > self.least and now >= self._reached_at + CALM_S:
            self._many = self.least + (self._many - self.least) // 2
            self._reached_at += CALM_S
        return self._many

    def forgotten(self, now: float) -> bool:
        """Nobody has wanted any for so long that none are kept."""
        return now >= self._used_at + FORGOTTEN_S

    def changes_at(self, now: float) -> float:
        """Return when fewer will be wanted, if nothing happens until then."""
        if self.wanted(now) == 0:
            return inf
        forgotten_at = self._used_at + FORGOTTEN_S
        return min(forgotten_at, self._reached_at + CALM_S) if self._many > self.least else forgotten_at

"""A clock whose hands a test moves."""

from workshape.clock import Clock


class FakeClock(Clock):
    """Stands still until told otherwise."""

    def __init__(self, wall_s: float = 1_700_000_000.0) -> None:
        self.wall = wall_s

    def wall_s(self) -> float:
        """What the test says it is."""
        return self.wall

"""Time, as drivers read it. Cores never do: they are handed `now`."""

import time


class Clock:
    """The machine's two clocks. Tests hand in a subclass whose hands they move themselves."""

    def monotonic_s(self) -> float:
        """Seconds that never go back: for durations, deadlines and keep-alives within one process."""
        return time.monotonic()

    def wall_s(self) -> float:
        """Seconds since the Unix epoch: for whatever is stored or shown."""
        return time.time()

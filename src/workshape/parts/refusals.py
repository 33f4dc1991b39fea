"""How often a PostgreSQL server has refused connections for want of room, by what it writes into its log. A core.

The server counts them nowhere: who is refused has no session yet.

Source: https://www.postgresql.org/docs/current/errcodes-appendix.html (53300, too_many_connections)
"""

from collections import deque

LOG_LINE_PREFIX = "%m [%p] %e %u@%d "
"""What a server has to begin its lines with, for them to be counted.

Source: https://www.postgresql.org/docs/current/runtime-config-logging.html#GUC-LOG-LINE-PREFIX
"""
SPAN_S = 60
_MARK = b"] 53300 "
_LINE_BYTES_MAX = 4_096  # of a line that is not whole yet; what is refused is told at a line's beginning


class Refusals:
    """Counts over the last minute, by whole seconds: never more than sixty-one of them are held."""

    def __init__(self) -> None:
        self._seconds: deque[tuple[int, int]] = deque()
        self._begun = b""

    def __repr__(self) -> str:
        return f"<Refusals seconds={len(self._seconds)}>"

    def read(self, written: bytes, now: float) -> None:
        """Take in what was written since the last time; it may end within a line."""
        whole, newline, begun = (self._begun + written).rpartition(b"\n")
        self._begun = begun[:_LINE_BYTES_MAX]
        count = (whole + newline).count(_MARK)
        while self._seconds and self._seconds[0][0] <= int(now) - SPAN_S:
            self._seconds.popleft()
        if not count:
            return
        if self._seconds and self._seconds[-1][0] >= int(now):
            at, before = self._seconds.pop()
            self._seconds.append((at, before + count))
        else:
            self._seconds.append((int(now), count))

    def last_minute(self, now: float) -> int:
        """Tell how many there were."""
        return sum(count for at, count in self._seconds if at > int(now) - SPAN_S)

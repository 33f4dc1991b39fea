"""Up to where a partition is finished: what may be committed, and what is to be read again. A core."""

from collections import deque
from collections.abc import Iterable


class PartitionOffsets:
    """The records of one partition that were handed out, until each is finished.

    Offsets grow but need not follow one another: a compacted topic has gaps.
    """

    def __init__(self, position: int) -> None:
        """`position` is that of the first record to be handed out."""
        self._position = position
        self._under_way: deque[int] = deque()
        self._finished: set[int] = set()

    def __repr__(self) -> str:
        return f"<PartitionOffsets {self._position} under_way={len(self._under_way)}>"

    @property
    def position(self) -> int:
        """Where a reader would have to go on if everything were forgotten now: all records before are finished."""
        return self._position

    def hand_out(self, offset: int) -> None:
        """A record goes to work."""
        assert offset >= (self._under_way[-1] + 1 if self._under_way else self._position), "in their order, and once"
        self._under_way.append(offset)

    def finish(self, offsets: Iterable[int]) -> None:
        """Records are done, in whatever order."""
        self._finished.update(offsets)
        while self._under_way and self._under_way[0] in self._finished:
            offset = self._under_way.popleft()
            self._finished.discard(offset)
            self._position = offset + 1

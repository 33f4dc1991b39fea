"""So many init phases at once, and no more.

On AWS every environment has processors of its own; here all share the machine's. A crowd of environments that start
together would each get a sliver, all pass the init limit, be killed and begin again, and serve nobody. In their order
they are ready sooner, every one of them.
"""

import asyncio
import contextlib
import os
from collections import deque
from collections.abc import Callable

PLACES_PER_CORE = 2  # one computes while another reads its files
PLACE_S_MAX = 3.0  # an init phase that waits for others rather than computes does not hold up the rest for longer


class InitGate:
    """Places for environments in their init phase, given in the order they are asked for."""

    def __init__(self, places: int | None = None, place_s_max: float = PLACE_S_MAX) -> None:
        """`places` is `PLACES_PER_CORE` for each core unless given."""
        self._place_s_max = place_s_max
        self._free = places or PLACES_PER_CORE * (os.cpu_count() or 1)
        # Bounded by the environments there may be: each waits once.
        self._queue: deque[asyncio.Future[None]] = deque()

    def __repr__(self) -> str:
        return f"<InitGate free={self._free} waiting={self.waiting}>"

    @property
    def waiting(self) -> int:
        """How many wait for a place."""
        return len(self._queue)

    def enter_now(self) -> Callable[[], None] | None:
        """Take a place that is free; None: there is none."""
        if self._free == 0:
            return None
        self._free -= 1
        return self._hold()

    async def enter(self) -> Callable[[], None]:
        """Wait for a place; return what gives it back, once. It comes back by itself in the end."""
        if (leave := self.enter_now()) is not None:
            return leave
        place: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._queue.append(place)
        try:
            await place
        except asyncio.CancelledError:
            if place.cancelled():
                with contextlib.suppress(ValueError):  # it is past already
                    self._queue.remove(place)
            else:
                self._release()  # it was given just then
            raise
        return self._hold()

    def _hold(self) -> Callable[[], None]:
        place = _Place(self._release)
        place.timer = asyncio.get_running_loop().call_later(self._place_s_max, place.leave)
        return place.leave

    def _release(self) -> None:
        while self._queue:
            place = self._queue.popleft()
            if not place.done():
                place.set_result(None)
                return
        self._free += 1


class _Place:
    __slots__ = ("_release", "timer")

    def __init__(self, release: Callable[[], None]) -> None:
        self._release = release
        self.timer: asyncio.TimerHandle | None = None

    def leave(self) -> None:
        if self.timer is not None:
            self.timer.cancel()
            self.timer = None
            self._release()

"""So many init phases at once, and no more.

On AWS every environment has processors of its own; here all share the machine's. A crowd of environments that start
together would each get a sliver, all pass the init limit, be killed and begin again, and serve nobody. In their order
they are ready sooner, every one of them.
"""

import asyncio
import os
from collections.abc import Callable

PLACES_PER_CORE = 2  # one computes while another reads its files
PLACE_S_MAX = 3.0  # an init phase that waits for others rather than computes does not hold up the rest for longer


class InitGate:
    """Places for environments in their init phase, given in the order they are asked for."""

    def __init__(self, places: int | None = None, place_s_max: float = PLACE_S_MAX) -> None:
        """`places` is `PLACES_PER_CORE` for each core unless given."""
        self._place_s_max = place_s_max
        self._places = asyncio.Semaphore(places or PLACES_PER_CORE * (os.cpu_count() or 1))

    def __repr__(self) -> str:
        return f"<InitGate {self._places!r}>"

    async def enter(self) -> Callable[[], None]:
        """Wait for a place; return what gives it back, once. It comes back by itself in the end."""
        await self._places.acquire()
        place = _Place(self._places)
        place.timer = asyncio.get_running_loop().call_later(self._place_s_max, place.leave)
        return place.leave


class _Place:
    __slots__ = ("_places", "timer")

    def __init__(self, places: asyncio.Semaphore) -> None:
        self._places = places
        self.timer: asyncio.TimerHandle | None = None

    def leave(self) -> None:
        if self.timer is not None:
            self.timer.cancel()
            self.timer = None
            self._places.release()

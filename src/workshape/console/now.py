"""The view of this moment: what is on fire, and the two things that put most fires out."""

from collections.abc import Awaitable, Callable

import msgspec

from workshape.alarms import Alarm, alarms
from workshape.backends import Selection
from workshape.console.view import Done, View
from workshape.errors import BackendUnavailable
from workshape.remedies import Remedies
from workshape.status import EngineStatus, ProxyStatus

COUNT_MAX = 1_000_000  # as much as anybody's account allows, and more


class Now(msgspec.Struct, frozen=True):
    """What the page shows."""

    alarms: tuple[Alarm, ...]
    """The worst first."""
    engine: EngineStatus
    proxy: ProxyStatus | None
    proxy_unknown: str = ""
    """Why the proxy, which is there, is not shown."""


class ThrottleOrder(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Let so many invocations of a function run at once; None: as many as the account allows."""

    function: str
    count: int | None


class KillOrder(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """End connections of the database: see `Selection`."""

    function: str | None = None
    idle: bool = False
    everybody: bool = False

    def selection(self) -> Selection:
        """Which those are."""
        return Selection(self.function, idle_only=self.idle, everybody=self.everybody)


class Foreseen(msgspec.Struct, frozen=True):
    """What would be ended."""

    count: int
    said: str


def now_view(
    engine: Callable[[], Awaitable[EngineStatus]],
    proxy: Callable[[], Awaitable[ProxyStatus]] | None,
    remedies: Remedies,
) -> View:
    """Make the view; `proxy` is None where there is none."""
    made = _NowView(engine, proxy, remedies)
    return View(
        "now",
        reads={"status": made.status},
        does={"throttle": made.throttle, "foresee": made.foresee, "kill-connections": made.kill_connections},
    )


class _NowView:
    def __init__(
        self,
        engine: Callable[[], Awaitable[EngineStatus]],
        proxy: Callable[[], Awaitable[ProxyStatus]] | None,
        remedies: Remedies,
    ) -> None:
        self._engine = engine
        self._proxy = proxy
        self._remedies = remedies

    async def status(self) -> Now:
        engine, proxy, unknown = await self._engine(), None, ""
        if self._proxy is not None:
            try:
                proxy = await self._proxy()
            except BackendUnavailable as error:
                unknown = str(error)
        return Now(tuple(alarms(engine, proxy, unknown)), engine, proxy, unknown)

    async def throttle(self, body: bytes) -> Done:
        order = msgspec.json.decode(body, type=ThrottleOrder)
        if order.count is not None and not 0 <= order.count <= COUNT_MAX:
            raise msgspec.ValidationError(f"count is 0 to {COUNT_MAX}, or null")
        return Done(self._remedies.throttle(order.function, order.count).told())

    async def foresee(self, body: bytes) -> Foreseen:
        order = msgspec.json.decode(body, type=KillOrder)
        foreseen = await self._remedies.kill_connections(order.selection(), in_advance=True)
        return Foreseen(sum(foreseen.ended.values()), foreseen.told(in_advance=True))

    async def kill_connections(self, body: bytes) -> Done:
        order = msgspec.json.decode(body, type=KillOrder)
        return Done((await self._remedies.kill_connections(order.selection())).told())

"""Keeps parts running: starts them in order, starts again what dies, stops them in reverse."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Protocol

from workshape.clock import Clock
from workshape.errors import PlatformError
from workshape.parts.restart import GiveUp, Restart, RestartLimits, RestartPolicy


class Part(Protocol):
    """Something that runs as a process of its own."""

    @property
    def name(self) -> str:
        """What people call it."""

    @property
    def pid(self) -> int:
        """Process id of its last start."""

    async def start(self) -> None:
        """Start it; return when it is ready. Leaves nothing running when it raises PlatformError."""

    async def wait(self) -> str:
        """Wait until it dies by itself; tell how."""

    async def stop(self) -> None:
        """End it; return when it is gone."""


@dataclass(frozen=True, slots=True)
class Started:
    """A part is ready."""

    part: str
    pid: int
    took_s: float


@dataclass(frozen=True, slots=True)
class Died:
    """A part ended by itself and will be started again."""

    part: str
    how: str
    delay_s: float


@dataclass(frozen=True, slots=True)
class Abandoned:
    """A part keeps dying; it is left alone."""

    part: str
    reason: str


SupervisorEvent = Started | Died | Abandoned


class PartAbandoned(PlatformError):
    """{part} is not started any more: {reason}"""

    part: str
    reason: str


class Supervisor:
    """Owns parts, in the order they were started. Call `start` for each, `run` to watch, `stop` at the end."""

    def __init__(
        self,
        clock: Clock,
        announce: Callable[[SupervisorEvent], None],
        limits: RestartLimits | None = None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._clock = clock
        self._announce = announce
        self._limits = limits or RestartLimits()
        self._sleep = sleep
        self._parts: list[tuple[Part, RestartPolicy]] = []

    def __repr__(self) -> str:
        return f"<Supervisor {' '.join(part.name for part, _ in self._parts)}>"

    @property
    def parts(self) -> list[Part]:
        """What was started, in order."""
        return [part for part, _ in self._parts]

    async def start(self, part: Part) -> None:
        """Start a part and keep it.

        Raises:
            PlatformError: it did not get ready. A first start is not repeated: somebody is there to read why.
        """
        policy = RestartPolicy(self._limits)
        await self._start(part, policy)
        self._parts.append((part, policy))

    async def run(self) -> None:
        """Watch every part started so far, until cancelled.

        Raises:
            PartAbandoned: one kept dying.
        """
        watches = [asyncio.create_task(self._watch(part, policy)) for part, policy in self._parts]
        try:
            done, _ = await asyncio.wait(watches, return_when=asyncio.FIRST_COMPLETED)
            for watch in done:
                await watch
        finally:
            for watch in watches:
                watch.cancel()
            await asyncio.gather(*watches, return_exceptions=True)

    async def stop(self) -> None:
        """End every part, the last started first."""
        while self._parts:
            part, _ = self._parts.pop()
            with contextlib.suppress(PlatformError, TimeoutError):
                await part.stop()

    async def _start(self, part: Part, policy: RestartPolicy) -> None:
        began = self._clock.monotonic_s()
        await part.start()
        now = self._clock.monotonic_s()
        policy.became_ready(now)
        self._announce(Started(part.name, part.pid, now - began))

    async def _watch(self, part: Part, policy: RestartPolicy) -> None:
        how = await part.wait()
        while True:
            now = self._clock.monotonic_s()
            match policy.exited(now, how):
                case GiveUp(reason):
                    self._announce(Abandoned(part.name, reason))
                    raise PartAbandoned(part=part.name, reason=reason)
                case Restart(at, _):
                    self._announce(Died(part.name, how, at - now))
                    await self._sleep(at - now)
            await part.stop()  # what its process group left behind goes before the next one comes
            try:
                await self._start(part, policy)
            except PlatformError as error:
                how = str(error)
            else:
                how = await part.wait()

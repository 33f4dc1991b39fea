"""Parts that live and die when a test says so."""

import asyncio
from dataclasses import dataclass, field

from workshape.parts.process import PartFailed


@dataclass
class FakePart:
    """A part without a process; `story` collects what was done to all parts that share it."""

    name: str
    story: list[str] = field(default_factory=list)
    refusals: int = 0
    """Starts that fail before one succeeds again."""
    pid: int = 1
    _death: "asyncio.Future[str] | None" = None

    async def start(self) -> None:
        self.story.append(f"start {self.name}")
        if self.refusals:
            self.refusals -= 1
            raise PartFailed(part=self.name, reason="refused")
        self._death = asyncio.get_running_loop().create_future()

    async def wait(self) -> str:
        assert self._death is not None
        return await asyncio.shield(self._death)

    async def stop(self) -> None:
        self.story.append(f"stop {self.name}")

    def die(self, how: str = "exit status 1") -> None:
        assert self._death is not None
        self._death.set_result(how)

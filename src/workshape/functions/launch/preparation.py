"""Has stems ready for the functions there are, before anybody invokes them."""

import asyncio
import logging
from collections.abc import Callable, Collection

from workshape.errors import WorkshapeError
from workshape.functions.launch.process import ProcessLauncher
from workshape.functions.model import FunctionName, FunctionVersion

_log = logging.getLogger(__name__)


class Preparation:
    """Prepares the launcher for each function that is new or has changed. `run` it."""

    def __init__(
        self,
        launcher: ProcessLauncher,
        resolve: Callable[[str, str | None], FunctionVersion],
        names: Collection[FunctionName],
    ) -> None:
        """`resolve` is the catalogue's; `names` are the functions there are now."""
        self._launcher = launcher
        self._resolve = resolve
        self._wanted = dict.fromkeys(names)  # in their order, each once: never more than there are functions
        self._changed = asyncio.Event()
        if names:
            self._changed.set()

    def __repr__(self) -> str:
        return f"<Preparation wanted={len(self._wanted)}>"

    def changed(self, name: FunctionName, revisions: Collection[str]) -> None:
        """Take note of a function's change, as the catalogue tells it; without revisions it is gone."""
        if revisions:
            self._wanted[name] = None
            self._changed.set()

    async def run(self) -> None:
        """Prepare what is wanted, until cancelled. What cannot be prepared says why when it is invoked."""
        while True:
            await self._changed.wait()
            self._changed.clear()
            while self._wanted:
                name = next(iter(self._wanted))
                del self._wanted[name]
                try:
                    await self._launcher.prepare(self._resolve(name, None))
                except WorkshapeError as error:
                    _log.info("function_not_prepared", extra={"function": name, "reason": str(error)})

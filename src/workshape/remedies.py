"""What can be done at once when something is on fire: let less of a function run, free the database of connections.

The commands and the console do the same with it.
"""

from collections.abc import Awaitable, Callable
from typing import Protocol

from workshape.backends import Selection
from workshape.errors import NotFound
from workshape.functions.catalog import Catalog
from workshape.functions.model import FunctionName
from workshape.status import EndedConnections, Throttling


class NoDatabase(NotFound):
    """No database runs here: there is nothing to end."""


class NoSuchFunction(NotFound):
    """There is no function named {name}."""


class EndConnections(Protocol):
    """Ends connections of the database, or only tells what it would end."""

    def __call__(self, selection: Selection, *, in_advance: bool) -> Awaitable[EndedConnections]: ...


class Remedies:
    """Performs them."""

    def __init__(
        self,
        catalog: Catalog,
        reserve: Callable[[FunctionName, int | None], object],
        end_connections: EndConnections | None,
    ) -> None:
        """`reserve` sets a function's reserved concurrency. `end_connections` is None where there is no database."""
        self._catalog = catalog
        self._reserve = reserve
        self._end_connections = end_connections

    def __repr__(self) -> str:
        return f"<Remedies database={self._end_connections is not None}>"

    def throttle(self, function: str, count: int | None) -> Throttling:
        """Let so many invocations of a function run at once from now on; None: as many as the account allows.

        Raises:
            NoSuchFunction: there is none.
            CallerError: Lambda would not allow it.
        """
        self._check(function)
        name = FunctionName(function)
        before = self._catalog.reserved_concurrency(name)
        self._reserve(name, count)
        return Throttling(function, before, self._catalog.reserved_concurrency(name))

    async def kill_connections(self, selection: Selection, *, in_advance: bool = False) -> EndedConnections:
        """End connections of the database; `in_advance` only tells which it would be.

        Raises:
            NoDatabase, NoSuchFunction: there is none. BackendUnavailable: it cannot be done now.
        """
        if self._end_connections is None:
            raise NoDatabase(kind="database", name="")
        if selection.function is not None:
            self._check(selection.function)
        return await self._end_connections(selection, in_advance=in_advance)

    def _check(self, function: str) -> None:
        if function not in [one.name for one in self._catalog.list()]:
            raise NoSuchFunction(kind="function", name=function)

"""Which database is where: from the name that a client asks for to servers, and the name there. A core."""

from collections.abc import Iterable
from dataclasses import dataclass

EVERY_DATABASE = "*"


@dataclass(frozen=True, slots=True)
class ProxiedDatabase:
    """Where clients come to by the name of the database that they ask for."""

    name: str
    """EVERY_DATABASE: every one that has no entry of its own."""
    server: str
    """The name of the server that reads and writes it."""
    readers: tuple[str, ...] = ()
    """The names of those that a READ_ONLY endpoint sends to."""
    real_name: str = ""
    """What it is called on the server; empty: the same."""


class Routes:
    """One configuration's."""

    def __init__(self, databases: Iterable[ProxiedDatabase]) -> None:
        self._by_name = {database.name: database for database in databases}

    def __repr__(self) -> str:
        return f"<Routes {sorted(self._by_name)}>"

    def find(self, name: str) -> ProxiedDatabase | None:
        """Where a client that asks for this name comes to; None: nowhere."""
        return self._by_name.get(name) or self._by_name.get(EVERY_DATABASE)

    def real_name(self, name: str) -> str:
        """What the database is called on its server."""
        found = self.find(name)
        return name if found is None or not found.real_name else found.real_name

"""The database server's connections: whose they are, and which of them are to end. A core."""

from collections import Counter
from collections.abc import Collection, Iterable
from dataclasses import dataclass

from workshape.status import ConnectionHolder, HolderKind

WATCH = "workshape database watch"
"""The application name of the platform's own connection."""
NAME_BYTES_MAX = 63
"""PostgreSQL cuts application names; functions' may be one longer.

Source: https://www.postgresql.org/docs/current/runtime-config-logging.html#GUC-APPLICATION-NAME
"""
PROXY = "the proxy"
PLATFORM = "the platform's watch"


@dataclass(frozen=True, slots=True)
class Backend:
    """One client's connection, as pg_stat_activity shows it."""

    pid: int
    application_name: str
    is_idle: bool
    """Outside a transaction, with nothing under way."""


@dataclass(frozen=True, slots=True)
class Selection:
    """Which connections are to end: by default those that functions have of their own."""

    function: str | None = None
    """Only this one's."""
    idle_only: bool = False
    everybody: bool = False
    """The proxy's and strangers' too. The platform's watch stays: the others are ended through it."""


def choose(
    backends: Iterable[Backend], selection: Selection, functions: Collection[str], proxy: Collection[int]
) -> list[Backend]:
    """Return those that are to end; `functions` are the names there are, `proxy` the proxy's process ids."""
    chosen = []
    names = {name[:NAME_BYTES_MAX] for name in functions}
    for backend in backends:
        owner = owner_of(backend, proxy)
        if owner == PLATFORM or (selection.idle_only and not backend.is_idle):
            continue
        if selection.function is not None:
            if owner == selection.function[:NAME_BYTES_MAX]:
                chosen.append(backend)
        elif selection.everybody or owner in names:
            chosen.append(backend)
    return chosen


def count_by_owner(backends: Iterable[Backend], proxy: Collection[int]) -> dict[str, int]:
    """Count them by who has them, most first."""
    return dict(Counter(owner_of(backend, proxy) for backend in backends).most_common())


def holders(
    backends: Iterable[Backend], functions: Collection[str], proxy: Collection[int]
) -> tuple[ConnectionHolder, ...]:
    """Tell who has connections, and how many of them are idle, most first."""
    present = list(backends)
    idle = count_by_owner([backend for backend in present if backend.is_idle], proxy)
    names = {name[:NAME_BYTES_MAX] for name in functions}
    kinds = dict.fromkeys(names, HolderKind.FUNCTION) | {PROXY: HolderKind.PROXY, PLATFORM: HolderKind.PLATFORM}
    return tuple(
        ConnectionHolder(owner, kinds.get(owner, HolderKind.OTHER), count, idle.get(owner, 0))
        for owner, count in count_by_owner(present, proxy).items()
    )


def owner_of(backend: Backend, proxy: Collection[int]) -> str:
    """Say who has a connection. A client of the proxy shows its name there as well: the process ids go first."""
    if backend.pid in proxy:
        return PROXY
    if backend.application_name == WATCH:
        return PLATFORM
    return backend.application_name or "somebody without an application name"

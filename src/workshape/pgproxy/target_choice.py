"""Which of a database's servers gets a client: one that writes, or one of those that read. A core.

Roles are what the servers say of themselves, not what the configuration calls them: after a fail-over the writer is
another, and so is found without being told.

Source: https://docs.aws.amazon.com/AmazonRDS/latest/AuroraUserGuide/rds-proxy-endpoints.html (a read-only endpoint
waits for a reader, up to the borrow timeout, and never falls back to the writer)
"""

from collections.abc import Sequence
from dataclasses import dataclass

from workshape.hosted import TargetRole


@dataclass(frozen=True, slots=True)
class Standing:
    """How a server stands at the moment."""

    takes_writes: bool | None
    """None: it has not been asked yet."""
    is_failing: bool
    """The last attempt to connect to it failed."""
    borrowed: int
    """Connections in use, being opened or waited for."""


def roles(found: Sequence[tuple[bool | None, bool]]) -> list[TargetRole]:
    """Name what the servers of a database do, out of whether each takes writes, and whether it is available.

    A writer that went away said last that it writes. Once another does, nobody knows what it will be when it is back.
    """
    writes = any(takes_writes and is_available for takes_writes, is_available in found)
    return [
        TargetRole.UNKNOWN
        if takes_writes is None or (takes_writes and writes and not is_available)
        else TargetRole.READ_WRITE
        if takes_writes
        else TargetRole.READ_ONLY
        for takes_writes, is_available in found
    ]


def fits(standing: Standing, *, writes: bool) -> bool:
    """Whether a client may go to that server, as far as is known."""
    return not standing.is_failing and standing.takes_writes in (None, writes)


def choose(standings: Sequence[Standing], *, writes: bool) -> int | None:
    """Choose among a database's servers, the configured writer first and then its readers; None: wait.

    A client that writes goes to the first that is known to take writes, else to the first that may. One that reads goes
    to the reader with the fewest connections in use; the configured writer, while nobody has asked it, comes last.
    """
    fitting = [number for number, standing in enumerate(standings) if fits(standing, writes=writes)]
    if writes:
        return min(fitting, key=lambda number: standings[number].takes_writes is None, default=None)
    return min(
        fitting,
        key=lambda number: (number == 0 and standings[number].takes_writes is None, standings[number].borrowed),
        default=None,
    )

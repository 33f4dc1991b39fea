"""What the pools decide, and what connections are sorted by. A core."""

from collections.abc import Hashable
from dataclasses import dataclass

from workshape.pgproxy.sqlstate import WireError

Borrower = Hashable


@dataclass(frozen=True, slots=True)
class PoolKey:
    """Connections with the same key are alike to their users."""

    database: str
    user: str
    parameters: tuple[tuple[str, str], ...] = ()
    """Start-up parameters that cannot be changed later, or that nobody tracks."""


@dataclass(frozen=True, slots=True)
class Lend:
    """Give the connection to the borrower."""

    borrower: Borrower
    link: int


@dataclass(frozen=True, slots=True)
class Connect:
    """Open a connection, then say `connected` or `failed`."""

    link: int
    key: PoolKey


@dataclass(frozen=True, slots=True)
class Disconnect:
    """Close the connection; it is forgotten here."""

    link: int


@dataclass(frozen=True, slots=True)
class Refuse:
    """Tell the borrower that there will be none."""

    borrower: Borrower
    error: WireError


@dataclass(frozen=True, slots=True)
class Check:
    """Ask whether the connection still answers, then say `checked` or `lost`."""

    link: int


PoolAction = Lend | Connect | Disconnect | Refuse | Check

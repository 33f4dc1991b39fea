"""What the pools decide, and what connections are sorted by. A core."""

from collections.abc import Hashable

from msgspec import Struct

from workshape.pgproxy.sqlstate import WireError

Borrower = Hashable


class PoolKey(Struct, frozen=True, cache_hash=True, weakref=True):
    """Connections with the same key are alike to their users. A struct, for its hash is asked for at every borrow."""

    database: str
    user: str
    parameters: tuple[tuple[str, str], ...] = ()
    """Start-up parameters that cannot be changed later, or that nobody tracks."""


class Lend(Struct, frozen=True):
    """Give the connection to the borrower."""

    borrower: Borrower
    link: int
    since: float
    """When the borrower began to wait."""


class Connect(Struct, frozen=True):
    """Open a connection, then say `connected` or `failed`."""

    link: int
    key: PoolKey


class Disconnect(Struct, frozen=True):
    """Close the connection; it is forgotten here."""

    link: int


class Refuse(Struct, frozen=True):
    """Tell the borrower that there will be none."""

    borrower: Borrower
    error: WireError


class Check(Struct, frozen=True):
    """Ask whether the connection still answers, then say `checked` or `lost`."""

    link: int


PoolAction = Lend | Connect | Disconnect | Refuse | Check

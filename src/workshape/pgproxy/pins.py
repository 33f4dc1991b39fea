"""What keeps a session's connection to it: why, by which statement; and what a text does to its session.

RDS Proxy pins on all of: SET commands, PREPARE, DISCARD, DEALLOCATE, EXECUTE, temporary sequences, tables and views,
cursors, LISTEN, LOAD, nextval and setval, advisory locks, setting or resetting a parameter, and texts over 16 KB. Here
the same state pins, unless it ends with its transaction (SET LOCAL, cursors WITHOUT HOLD, ON COMMIT DROP,
pg_advisory_xact_lock) or can be carried (variables the server reports, prepared statements of the protocol); and it is
pinned no longer than it lasts: DISCARD ALL, RESET ALL, UNLISTEN * and their like end a pin. As with RDS Proxy, what a
stored function does inside is not seen. In doubt: pin.

Source: https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/rds-proxy-pinning.html,
https://www.postgresql.org/docs/current/sql-discard.html (what a session's state is)
"""

from dataclasses import dataclass, field
from enum import Enum

STATEMENT_SHOWN_CHARACTERS = 200  # of a statement, in a pin: enough to know it by


class PinReason(Enum):
    """Why a session keeps its connection. The value says it to people."""

    VARIABLE = "SET of a variable that the server does not report"
    ROLE = "SET ROLE or SET SESSION AUTHORIZATION"
    PREPARED = "PREPARE in SQL text"
    LISTEN = "LISTEN"
    TEMPORARY = "a temporary table, view or sequence"
    ADVISORY_LOCK = "a session-level advisory lock"
    CURSOR = "a cursor WITH HOLD"
    SEQUENCE = "a sequence's value kept for currval or lastval"
    LIBRARY = "LOAD of a library"
    LASTING = "a function whose work lasts as its session does, as dblink_connect's"
    FUNCTION_CALL = "a fast-path function call, which may do any of these"
    BLOCK = "a DO block that may do any of these"
    UNREAD = "a statement too long or too odd to be read"
    SESSION_MODE = "pool_mode is session"


EVERYTHING = frozenset(PinReason) - {PinReason.SESSION_MODE}
"""That a statement can pin for."""
BEYOND_RESET = frozenset({PinReason.LIBRARY, PinReason.LASTING, PinReason.BLOCK, PinReason.UNREAD})
"""DISCARD ALL neither unloads a library nor hangs up dblink's connections; and who knows what the unread did."""


@dataclass(frozen=True, slots=True)
class Pin:
    """A session keeps its connection: why, by which statement, since when."""

    reason: PinReason
    statement: str
    time: float
    """As the driver's clock tells it."""


@dataclass(frozen=True, slots=True)
class Effects:
    """What a text does to its session, beyond its transaction."""

    pins: frozenset[PinReason] = frozenset()
    lifts: frozenset[PinReason] = frozenset()
    """Pins that are void once it succeeded outside a transaction."""
    names: tuple[bytes, ...] = ()
    """Prepared statements that it EXECUTEs or DEALLOCATEs by name."""
    deallocates: tuple[bytes, ...] = ()
    """Those of `names` that are gone afterwards."""
    deallocates_all: bool = False
    resets: frozenset[str] = frozenset()
    """Carried variables, in lower case, that it puts back to what they were at the log-in."""
    databases_alone: tuple[str, ...] = ()
    """Databases that nobody may be connected to while it runs."""

    @property
    def nothing(self) -> bool:
        """Whether it does nothing of all this."""
        found = self.pins or self.lifts or self.names or self.deallocates_all or self.resets
        return not (found or self.databases_alone)


NO_EFFECTS = Effects()
UNREAD = Effects(pins=frozenset({PinReason.UNREAD}))


@dataclass(slots=True)
class Findings:
    """What the statements of a text did so far, in their order: a later one may undo an earlier one."""

    tracked: frozenset[str]
    """The variables that are carried, in lower case."""
    pins: set[PinReason] = field(default_factory=set)
    lifts: set[PinReason] = field(default_factory=set)
    names: list[bytes] = field(default_factory=list)
    deallocated: list[bytes] = field(default_factory=list)
    deallocates_all: bool = False
    resets: set[str] = field(default_factory=set)

    def pin(self, reason: PinReason) -> None:
        """Note state that stays."""
        self.pins.add(reason)
        self.lifts.discard(reason)

    def lift(self, reasons: frozenset[PinReason]) -> None:
        """Note that such state is gone."""
        self.pins -= reasons
        self.lifts |= reasons

    def set(self, variable: str) -> None:
        """Note a SET, for the session, of a variable by its lower-case name."""
        if variable in ROLES:
            self.pin(PinReason.ROLE)
        elif variable not in self.tracked and variable not in OF_TRANSACTION:
            self.pin(PinReason.VARIABLE)
        self.resets.discard(variable)

    def set_path(self, schemas: str) -> None:
        """Note a SET of search_path: what is created while it is in force may be temporary."""
        if "pg_temp" in schemas.lower():
            self.pin(PinReason.TEMPORARY)

    def reset(self, variable: str) -> None:
        """Note that a variable is what it was at the log-in."""
        self.resets |= {variable} & self.tracked

    def reset_all(self) -> None:
        """Note that all variables are what they were at the log-in."""
        self.resets |= self.tracked

    def execute(self, name: bytes) -> None:
        """Note that a prepared statement is named."""
        self.names.append(name)

    def deallocate(self, name: bytes) -> None:
        """Note that one is gone."""
        self.names.append(name)
        self.deallocated.append(name)

    def deallocate_all(self) -> None:
        """Note that all are gone."""
        self.lift(frozenset({PinReason.PREPARED}))
        self.deallocates_all = True

    def discard_all(self) -> None:
        """Note that the session is as new, but for what DISCARD ALL does not reach."""
        self.lift(EVERYTHING - BEYOND_RESET)
        self.deallocates_all = True
        self.reset_all()

    @property
    def effects(self) -> Effects:
        """All of it; `NO_EFFECTS` itself when that is nothing."""
        found = Effects(
            frozenset(self.pins),
            frozenset(self.lifts),
            tuple(self.names),
            tuple(self.deallocated),
            self.deallocates_all,
            frozenset(self.resets),
        )
        return NO_EFFECTS if found.nothing else found


ROLES = frozenset({"role", "session_authorization"})
OF_TRANSACTION = frozenset({"transaction_isolation", "transaction_read_only", "transaction_deferrable"})
"""Variables whose value ends with the transaction, whoever sets them. Source:
https://www.postgresql.org/docs/current/runtime-config-client.html#GUC-TRANSACTION-ISOLATION"""

LASTING_FUNCTIONS = {
    "nextval": PinReason.SEQUENCE,
    "setval": PinReason.SEQUENCE,
    "currval": PinReason.SEQUENCE,
    "lastval": PinReason.SEQUENCE,
    "pg_advisory_lock": PinReason.ADVISORY_LOCK,
    "pg_advisory_lock_shared": PinReason.ADVISORY_LOCK,
    "pg_try_advisory_lock": PinReason.ADVISORY_LOCK,
    "pg_try_advisory_lock_shared": PinReason.ADVISORY_LOCK,
    "setseed": PinReason.VARIABLE,
    "set_limit": PinReason.VARIABLE,
    "dblink_connect": PinReason.LASTING,
    "dblink_connect_u": PinReason.LASTING,
    "pg_create_physical_replication_slot": PinReason.LASTING,
    "pg_create_logical_replication_slot": PinReason.LASTING,
    "pg_copy_physical_replication_slot": PinReason.LASTING,
    "pg_copy_logical_replication_slot": PinReason.LASTING,
    "pg_replication_origin_session_setup": PinReason.LASTING,
    "pg_backup_start": PinReason.LASTING,
    "pg_start_backup": PinReason.LASTING,
}
"""Functions that leave something in their session. Source:
https://www.postgresql.org/docs/current/functions-sequence.html, functions-admin.html (advisory locks, replication,
backup control), contrib-dblink-connect.html, pgtrgm.html (set_limit)"""
SET_CONFIG = "set_config"
UNLOCK_ALL = "pg_advisory_unlock_all"
SETTINGS_VIEW = "pg_settings"
"""An UPDATE of it is a SET. Source: https://www.postgresql.org/docs/current/view-pg-settings.html"""
TEMPORARY_SCHEMA = "pg_temp"


def shown(sql: bytes) -> str:
    """Shorten a statement for people."""
    text = " ".join(sql[: STATEMENT_SHOWN_CHARACTERS * 4].decode("utf-8", "replace").split())
    return text if len(text) <= STATEMENT_SHOWN_CHARACTERS else text[: STATEMENT_SHOWN_CHARACTERS - 1] + "…"

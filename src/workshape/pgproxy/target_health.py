"""Whether a database takes connections of a proxy's users, in RDS's words.

AWS: undocumented which reason is which; we chose UNREACHABLE for who does not answer, AUTH_FAILURE for who does not
want the user or its password, and CONNECTION_FAILED for every other refusal.

Source: https://docs.aws.amazon.com/AmazonRDS/latest/APIReference/API_TargetHealth.html
Source: https://www.postgresql.org/docs/current/errcodes-appendix.html (class 28)
"""

from collections.abc import Mapping
from dataclasses import dataclass

from workshape.errors import BackendUnavailable
from workshape.hosted import AVAILABLE, TargetState
from workshape.pgproxy.database_connection import DatabaseEvents, DatabaseTarget
from workshape.pgproxy.database_login import LoginFailed

UNAVAILABLE = "UNAVAILABLE"
AUTH_FAILURE = "AUTH_FAILURE"
_NO_PASSWORD = "None of the proxy's secrets could be read: the log of the proxy's process says why."  # noqa: S105 - words


@dataclass(frozen=True, slots=True)
class Checked:
    """What a check found."""

    health: TargetState
    takes_writes: bool | None = None
    """As the server said; None: it did not."""


async def check_target(target: DatabaseTarget, passwords: Mapping[str, str], database: str) -> Checked:
    """Log in as one of the users, and out again."""
    if not passwords:
        return Checked(TargetState(UNAVAILABLE, AUTH_FAILURE, _NO_PASSWORD))
    user, password = next(iter(passwords.items()))
    events = DatabaseEvents(
        rested=lambda _database: None,
        lost=lambda _database, _reason: None,
        left=lambda _database: None,
        schema_changed=lambda: None,
        leave_alone=lambda _database: None,
    )
    try:
        connection = await target.connect(
            0, events, user=user, password=password, parameters={"database": database}, init_query=""
        )
    except LoginFailed as error:
        reason = AUTH_FAILURE if error.error.code.startswith("28") else "CONNECTION_FAILED"
        return Checked(TargetState(UNAVAILABLE, reason, str(error)))
    except BackendUnavailable as error:
        return Checked(TargetState(UNAVAILABLE, "UNREACHABLE", str(error)))
    limits = connection.limits
    connection.hang_up()
    return Checked(AVAILABLE, None if limits is None else limits.takes_writes)

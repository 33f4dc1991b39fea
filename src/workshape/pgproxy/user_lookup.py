"""Asks the database for the verifier of a user whom the configuration does not name. A driver.

Source: https://www.postgresql.org/docs/current/catalog-pg-authid.html
"""

from workshape.pgproxy.auth import ScramKeys
from workshape.pgproxy.config import UserLookup
from workshape.pgproxy.database_connection import DatabaseEvents, DatabaseTarget
from workshape.pgproxy.messages import question

_NOBODYS = DatabaseEvents(
    rested=lambda _database: None,
    lost=lambda _database, _reason: None,
    left=lambda _database: None,
    schema_changed=lambda: None,
    leave_alone=lambda _database: None,
)


async def ask_verifier(target: DatabaseTarget, lookup: UserLookup, password: str | ScramKeys, user: str) -> str:
    """Look a user's verifier up; empty: there is no such user, or it may not log in.

    Raises:
        BackendUnavailable, LoginFailed: the database cannot be asked.
    """
    connection = await target.connect(
        0,
        _NOBODYS,
        user=lookup.user,
        password=password,
        parameters={"database": lookup.database},
        question=question(lookup.query, user),
    )
    connection.hang_up()
    found = connection.answer[0] if connection.answer else None
    return "" if found is None else found.decode("ascii", "replace")

"""What the proxy itself tells clients went wrong, as PostgreSQL words it: SQLSTATE, DETAIL, HINT.

Source: https://www.postgresql.org/docs/current/errcodes-appendix.html,
https://www.postgresql.org/docs/current/protocol-error-fields.html
"""

from dataclasses import dataclass

from workshape.pgproxy.messages import ERROR_RESPONSE, NOTICE_RESPONSE, message

CONNECTION_FAILURE = "08006"
CONNECTION_REFUSED = "08001"  # sqlclient_unable_to_establish_sqlconnection
PROTOCOL_VIOLATION = "08P01"
FEATURE_NOT_SUPPORTED = "0A000"
CACHED_PLAN_CHANGED = "0A000"
IDLE_IN_TRANSACTION = "25P03"
INVALID_STATEMENT_NAME = "26000"
INVALID_CURSOR_NAME = "34000"
INVALID_CATALOG_NAME = "3D000"
NAME_TOO_LONG = "42622"
SYNTAX_ERROR = "42601"
INSUFFICIENT_PRIVILEGE = "42501"
UNDEFINED_OBJECT = "42704"
INVALID_AUTHORIZATION = "28000"
INVALID_PASSWORD = "28P01"  # noqa: S105 - an error's code
TOO_MANY_CONNECTIONS = "53300"
QUERY_CANCELED = "57014"
ADMIN_SHUTDOWN = "57P01"
IDLE_SESSION = "57P05"
CONFIG_FILE_ERROR = "F0000"

# The server's answers to a log-in that no waiting will change: the role, the password, the database.
_LASTING_CLASSES = ("28", "3D", "42", "0A", "22")


@dataclass(frozen=True, slots=True)
class WireError:
    """An error, or a notice, on its way to a client."""

    code: str
    message: str
    detail: str = ""
    hint: str = ""
    fatal: bool = False

    is_notice: bool = False

    def __bytes__(self) -> bytes:
        severity = "NOTICE" if self.is_notice else "FATAL" if self.fatal else "ERROR"
        fields = {"S": severity, "V": severity, "C": self.code, "M": self.message, "D": self.detail, "H": self.hint}
        texts = (f"{letter}{text}" for letter, text in fields.items() if text)
        body = b"".join(text.encode("utf-8", "surrogateescape") + b"\0" for text in texts)
        return message(NOTICE_RESPONSE if self.is_notice else ERROR_RESPONSE, body + b"\0")


def name_was_cut(name: str, cut: str) -> WireError:
    """What a server tells a client whose application's name is longer than it keeps."""
    return WireError(NAME_TOO_LONG, f'identifier "{name}" will be truncated to "{cut}"', is_notice=True)


def is_lasting(code: str) -> bool:
    """Tell whether a log-in that failed with this code will fail again."""
    return code[:2] in _LASTING_CLASSES


def borrow_timed_out(timeout_s: float, figures: str, last_failure: str) -> WireError:
    """No database connection became free in time; the session goes on."""
    detail = figures if not last_failure else f"{figures} The last attempt to connect failed: {last_failure}"
    return WireError(
        TOO_MANY_CONNECTIONS if not last_failure else CONNECTION_REFUSED,
        f"no database connection became free within {timeout_s:g} s",
        detail,
        "Shorten transactions, or raise proxy.connection_borrow_timeout_s or proxy.max_connections_percent.",
    )


def too_many_clients(clients_max: int, whose: str, setting: str) -> WireError:
    """The proxy is full, or full of such clients: `whose` is `in all`, `of user app`, `from 10.0.0.7`."""
    return WireError(
        TOO_MANY_CONNECTIONS,
        "sorry, too many clients already",
        f"The proxy serves {clients_max} clients {whose} at most.",
        f"Raise {setting}.",
        fatal=True,
    )


def no_such_database(name: str) -> WireError:
    """The proxy stands before no database of this name."""
    return WireError(
        INVALID_CATALOG_NAME,
        f'database "{name}" does not exist',
        "The proxy has no such database, and none for all others.",
        "SHOW DATABASES on the proxy's admin console has those there are.",
        fatal=True,
    )


def no_readers(name: str) -> WireError:
    """The endpoint only reads, and the database has no servers for that.

    Source: https://docs.aws.amazon.com/AmazonRDS/latest/AuroraUserGuide/rds-proxy-endpoints.html (such requests fail)
    """
    # AWS: undocumented; we chose the words.
    return WireError(
        CONNECTION_REFUSED,
        f'database "{name}" has no readers',
        "This endpoint sends to readers only.",
        "Give the database readers, or connect to the endpoint that reads and writes.",
        fatal=True,
    )


def no_target(timeout_s: float, *, writes: bool, figures: str) -> WireError:
    """No server of the database could serve the client in time; the session goes on."""
    return WireError(
        CONNECTION_REFUSED,
        f"no {'writer' if writes else 'reader'} of the database was there within {timeout_s:g} s",
        figures,
        "Look at SHOW TARGETS on the proxy's admin console, or raise proxy.connection_borrow_timeout_s.",
    )


def startup_timed_out(timeout_s: float) -> WireError:
    """The client took too long to log in."""
    return WireError(
        PROTOCOL_VIOLATION,
        "canceling authentication due to timeout",
        f"The client did not log in within {timeout_s:g} s.",
        "Raise proxy.startup_timeout_s.",
        fatal=True,
    )


def idle_in_transaction(timeout_s: float) -> WireError:
    """The client kept a transaction open and said nothing."""
    return WireError(
        IDLE_IN_TRANSACTION,
        "terminating connection due to idle-in-transaction timeout",
        f"The transaction was idle for {timeout_s:g} s and was rolled back; others wait for its database connection.",
        "Commit sooner, or raise proxy.idle_in_transaction_timeout_s.",
        fatal=True,
    )


def idle_client(timeout_s: float) -> WireError:
    """The client said nothing for long."""
    return WireError(
        IDLE_SESSION,
        "terminating connection due to idle-session timeout",
        f"The client was idle for {timeout_s:g} s.",
        "Raise proxy.idle_client_timeout_s.",
        fatal=True,
    )


def connection_lost(reason: str) -> WireError:
    """The database connection ended under a statement or an open transaction."""
    return WireError(
        CONNECTION_FAILURE,
        "the connection to the database was lost",
        f"{reason} What the open transaction did is rolled back; whether a running COMMIT succeeded is not known.",
        "Connect again and repeat the transaction.",
        fatal=True,
    )


def wrong_password(user: str) -> WireError:
    """The log-in failed; unknown users are told the same."""
    return WireError(INVALID_PASSWORD, f'password authentication failed for user "{user}"', fatal=True)


def tls_required() -> WireError:
    """The client came without TLS."""
    return WireError(
        INVALID_AUTHORIZATION, "TLS is required", hint="Connect with sslmode=require or verify-full.", fatal=True
    )


def certificate_required() -> WireError:
    """The client came without a certificate that the authority for clients signed."""
    return WireError(
        INVALID_AUTHORIZATION,
        "connection requires a valid client certificate",
        hint="Connect over TLS with sslcert and sslkey.",
        fatal=True,
    )


def certificate_refused(user: str, common_name: str) -> WireError:
    """The certificate is in another name than the user's."""
    return WireError(
        INVALID_AUTHORIZATION,
        f'certificate authentication failed for user "{user}"',
        f"The certificate is in the name {common_name!r}.",
        fatal=True,
    )


def token_refused(user: str, reason: str) -> WireError:
    """The IAM token does not let this user in here.

    Source: https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/rds-proxy.troubleshooting.html (the message)
    """
    # AWS: the SQLSTATE and a reason are undocumented; we chose them.
    return WireError(
        INVALID_PASSWORD,
        f"The IAM authentication failed for the role {user}. Check the IAM token for this role and try again.",
        reason,
        fatal=True,
    )


def token_in_the_clear() -> WireError:
    """A user of IAM tokens came without TLS.

    Source: https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/rds-proxy.troubleshooting.html (the message)
    """
    return WireError(
        INVALID_AUTHORIZATION,
        "IAM is allowed only with SSL connections.",
        hint="Connect with sslmode=require or verify-full.",
        fatal=True,
    )


def no_credentials(user: str) -> WireError:
    """The secret with this user's password could not be read, or there is only a verifier and nobody proved it.

    Source: https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/rds-proxy.troubleshooting.html (the message)
    """
    return WireError(
        INVALID_AUTHORIZATION,
        f"This RDS proxy has no credentials for the role {user}. Check the credentials for this role and try again.",
        hint="The proxy's log says why a secret cannot be read. With a verifier alone, a client has to use SCRAM.",
        fatal=True,
    )


def refused(error_message: str, code: str = PROTOCOL_VIOLATION) -> WireError:
    """The client cannot be understood, or asks for what the proxy does not do."""
    return WireError(code, error_message, fatal=True)


def transaction_refused() -> WireError:
    """A transaction of several statements in statement pooling mode. PgBouncer's rule, words and SQLSTATE."""
    return WireError(
        PROTOCOL_VIOLATION,
        "transaction blocks not allowed in statement pooling mode",
        "What the transaction did so far is rolled back.",
        'Commit each statement by itself (autocommit), or use pool_mode = "transaction".',
        fatal=True,
    )


def canceled() -> WireError:
    """A cancel request came while the statement waited for a connection."""
    return WireError(QUERY_CANCELED, "canceling statement due to user request")


def shutting_down() -> WireError:
    """The proxy ends."""
    return WireError(ADMIN_SHUTDOWN, "terminating connection because the proxy shuts down", fatal=True)


def killed() -> WireError:
    """Somebody ended this client on the admin console."""
    return WireError(
        ADMIN_SHUTDOWN,
        "terminating connection due to administrator command",
        "KILL was said on the proxy's admin console.",
        fatal=True,
    )

"""Connections as values: how requests are authorized, and whether that is so now. A core.

Secrets are wrapped, so that no `repr` shows them.

Source: https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-target-connection.html
Source: https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-target-connection-states.html
"""

from enum import StrEnum

import msgspec

from workshape.errors import Conflict, NotFound

CONNECTIONS_MAX = 3_000
"""Source: https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-quota.html"""


class AuthorizationType(StrEnum):
    """How requests are authorized."""

    BASIC = "BASIC"
    API_KEY = "API_KEY"
    OAUTH = "OAUTH_CLIENT_CREDENTIALS"


class ConnectionState(StrEnum):
    """Those states of AWS's that last here."""

    AUTHORIZING = "AUTHORIZING"
    """A token is on its way."""
    AUTHORIZED = "AUTHORIZED"
    DEAUTHORIZED = "DEAUTHORIZED"


class Secret(msgspec.Struct, frozen=True):
    """A text that is written nowhere but in the store and in requests."""

    value: str

    def __repr__(self) -> str:
        return "<Secret>"

    def __rich_repr__(self) -> list[tuple[str, object]]:
        """Show nothing in rich's tracebacks either."""
        return []


class Parameter(msgspec.Struct, frozen=True):
    """A header, a query parameter or a member of the body."""

    key: str
    value: Secret
    is_secret: bool = False
    """It is not shown."""


class ConnectionParameters(msgspec.Struct, frozen=True):
    """What every request of a connection has."""

    headers: tuple[Parameter, ...] = ()
    query: tuple[Parameter, ...] = ()
    body: tuple[Parameter, ...] = ()


class BasicAuth(msgspec.Struct, frozen=True, tag="basic"):
    """A user name and a password in the header `Authorization`."""

    username: str
    password: Secret


class ApiKeyAuth(msgspec.Struct, frozen=True, tag="api-key"):
    """A header of any name."""

    name: str
    value: Secret


class OAuth(msgspec.Struct, frozen=True, tag="oauth"):
    """A token that an authorization endpoint gives for a client's id and secret."""

    client_id: str
    client_secret: Secret
    endpoint: str
    method: str
    parameters: ConnectionParameters = ConnectionParameters()


Auth = BasicAuth | ApiKeyAuth | OAuth


class Connection(msgspec.Struct, frozen=True, kw_only=True):
    """One connection. Durable as it is; times are Unix times."""

    name: str
    type: AuthorizationType
    auth: Auth | None
    """None: it was deauthorized by a request, which takes all of it away."""
    invocation: ConnectionParameters = ConnectionParameters()
    arn: str = ""
    secret_arn: str = ""
    description: str = ""
    kms_key: str = ""
    """Kept and shown: nothing is encrypted."""
    state: ConnectionState = ConnectionState.DEAUTHORIZED
    reason: str = ""
    """Why it is deauthorized."""
    created_at: float = 0.0
    modified_at: float = 0.0
    authorized_at: float = 0.0

    @property
    def is_authorized(self) -> bool:
        """Tell whether requests can be made, or can be soon."""
        return self.state is not ConnectionState.DEAUTHORIZED

    def to_authorize(self) -> "Connection":
        """Begin anew with what authorizes: a token has to be fetched, other credentials are good as they are."""
        if self.type is AuthorizationType.OAUTH:
            return msgspec.structs.replace(self, state=ConnectionState.AUTHORIZING, reason="")
        return self.authorized(self.modified_at)

    def authorized(self, now: float) -> "Connection":
        """Note that requests can be made."""
        return msgspec.structs.replace(self, state=ConnectionState.AUTHORIZED, reason="", authorized_at=now)

    def refused(self, reason: str) -> "Connection":
        """Note that its credentials are not taken. They stay, for an update to mend them."""
        return msgspec.structs.replace(self, state=ConnectionState.DEAUTHORIZED, reason=reason)

    def deauthorized(self, now: float) -> "Connection":
        """Take all that authorizes away.

        Source: https://docs.aws.amazon.com/eventbridge/latest/APIReference/API_DeauthorizeConnection.html
        """
        return msgspec.structs.replace(
            self,
            auth=None,
            invocation=ConnectionParameters(),
            secret_arn="",
            state=ConnectionState.DEAUTHORIZED,
            reason="",
            modified_at=now,
        )


# The errors. AWS: undocumented; we chose the words.


class ConnectionNotFound(NotFound):
    """Connection {name} does not exist."""


class ConnectionExists(Conflict):
    """Connection {name} already exists."""

    name: str


def connection_arn(region: str, account: str, name: str, key: str) -> str:
    """Name a connection; `key` is a UUID that another one of the same name does not have."""
    return f"arn:aws:events:{region}:{account}:connection/{name}/{key}"


def secret_arn(region: str, account: str, name: str, key: str) -> str:
    """Name what AWS would keep a connection's secret as.

    Source: https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-use-identity-based.html
    """
    return f"arn:aws:secretsmanager:{region}:{account}:secret:events!connection/{name}/{key}"

"""What the engine has the proxy process run for RDS's API, and what that says of it.

The engine writes `ProxyPlan` to `RunFile.state.proxy_plan` and asks the process to read it again; the process answers,
and at its own start reads the plan by itself:

    GET /_workshape/proxies           200 `HostState`
    POST /_workshape/proxies/reload   200 `HostState`, once the plan is applied
"""

from collections.abc import Sequence
from enum import StrEnum

import msgspec

from workshape.settings import ProxySettings
from workshape.status import ProxyFigures

STATE_PATH = "/_workshape/proxies"
RELOAD_PATH = "/_workshape/proxies/reload"


class HostedUser(msgspec.Struct, frozen=True):
    """Who may log in."""

    secret: str
    """The ARN of the secret with the name and the password."""
    name: str = ""
    """Empty: the secret's."""
    iam: str = "DISABLED"
    password_auth: str = "POSTGRES_SCRAM_SHA_256"  # noqa: S105 - the name of a method
    """Both in RDS's words."""


class HostedEndpoint(msgspec.Struct, frozen=True):
    """Where to listen."""

    name: str
    host: str
    port: int
    role: str = "READ_WRITE"
    """What its clients get, in RDS's words."""


class HostedProxy(msgspec.Struct, frozen=True):
    """One proxy in front of the app's database: the servers of `RunFile.database`."""

    id: str
    name: str
    users: tuple[HostedUser, ...]
    endpoints: tuple[HostedEndpoint, ...]
    hosts: tuple[str, ...]
    """The addresses that its certificate is for."""
    require_tls: bool
    settings: ProxySettings


class ProxyPlan(msgspec.Struct, frozen=True):
    """Everything to run; what is not in it ends."""

    revision: str
    """Unlike every earlier one."""
    proxies: tuple[HostedProxy, ...] = ()


class TargetState(msgspec.Struct, frozen=True):
    """Whether a proxy reaches its database, in RDS's words.

    Source: https://docs.aws.amazon.com/AmazonRDS/latest/APIReference/API_TargetHealth.html
    """

    state: str
    reason: str = ""
    description: str = ""

    @property
    def is_available(self) -> bool:
        """Whether clients are served."""
        return self.state == "AVAILABLE"


REGISTERING = TargetState("REGISTERING")
AVAILABLE = TargetState("AVAILABLE")
# AWS: undocumented; we chose the words.
_NOBODY_WRITES = TargetState("UNAVAILABLE", "INVALID_REPLICATION_STATE", "None of the database's servers takes writes.")


class TargetRole(StrEnum):
    """What a server of a database does at the moment, by RDS's names.

    Source: https://docs.aws.amazon.com/AmazonRDS/latest/APIReference/API_DBProxyTarget.html (Role)
    """

    READ_WRITE = "READ_WRITE"
    READ_ONLY = "READ_ONLY"
    UNKNOWN = "UNKNOWN"


class ServerState(msgspec.Struct, frozen=True):
    """One of the database's servers, as a proxy finds it."""

    health: TargetState = REGISTERING
    role: TargetRole = TargetRole.UNKNOWN


def health_of_database(servers: Sequence[ServerState]) -> TargetState:
    """Tell the health of a database by its servers': whether clients that write are served, or why they are not."""
    if len(servers) == 1 or any(one.role is TargetRole.READ_WRITE and one.health.is_available for one in servers):
        return AVAILABLE if len(servers) > 1 else servers[0].health
    failing = [one.health for one in servers if one.role is not TargetRole.READ_ONLY and not one.health.is_available]
    return failing[0] if failing else _NOBODY_WRITES


class HostedState(msgspec.Struct, frozen=True):
    """One proxy as it is now."""

    endpoints: dict[str, str]
    """By name: why it does not listen; empty where it does."""
    target: TargetState
    """Whether clients that write are served."""
    figures: ProxyFigures | None = None
    """None while it does not run."""
    servers: dict[str, ServerState] = {}
    """Each server of the database, by its address: `HOST:PORT`."""


class HostState(msgspec.Struct, frozen=True):
    """All of them."""

    revision: str = ""
    """Of the plan that was applied last; empty: none yet."""
    proxies: dict[str, HostedState] = {}
    """By id."""

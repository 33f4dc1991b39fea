"""RDS Proxy's proxies, target groups and endpoints as values, and what goes wrong with them. A core.

Source: https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/rds-proxy.html
"""

import msgspec

from workshape.errors import Conflict, Invalid, NotFound, Throttled

PROXIES_MAX = 20
ENDPOINTS_MAX = 20
"""Beside the default one. Source: https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/rds-proxy.html#rds-proxy.limitations"""
POSTGRES_PORT = 5432
DEFAULT = "default"
"""The name of every proxy's target group, and of its first endpoint."""
SCRAM = "POSTGRES_SCRAM_SHA_256"
MD5 = "POSTGRES_MD5"
READ_WRITE = "READ_WRITE"
READ_ONLY = "READ_ONLY"

Address = tuple[str, int]
"""A host and a port."""


class UserAuth(msgspec.Struct, frozen=True, kw_only=True):
    """A user of the database, by the secret that has its name and password."""

    secret_arn: str
    user_name: str = ""
    description: str = ""
    iam: str = "DISABLED"
    password_type: str = SCRAM


class PoolConfig(msgspec.Struct, frozen=True, kw_only=True):
    """A target group's connection pool; its defaults are RDS's."""

    max_connections_percent: int = 100
    max_idle_connections_percent: int = 50
    borrow_timeout_s: int = 120
    init_query: str = ""


class TargetGroup(msgspec.Struct, frozen=True, kw_only=True):
    """What a proxy's connections go to. Each proxy has one."""

    arn: str = ""
    created_at: float = 0.0
    updated_at: float = 0.0
    pool: PoolConfig = PoolConfig()
    target: str = ""
    """The identifier of the database; empty: none is registered."""
    tags: dict[str, str] = {}


class ProxyEndpoint(msgspec.Struct, frozen=True, kw_only=True):
    """Where clients connect."""

    name: str
    arn: str
    host: str
    port: int
    created_at: float
    subnet_ids: tuple[str, ...]
    security_group_ids: tuple[str, ...] = ()
    tags: dict[str, str] = {}
    role: str = READ_WRITE

    @property
    def listens_at(self) -> Address:
        """Where."""
        return self.host, self.port

    @property
    def address(self) -> str:
        """As RDS shows it, whose endpoints all listen at PostgreSQL's own port; another port is named."""
        return self.host if self.port == POSTGRES_PORT else f"{self.host}:{self.port}"


class DbProxy(msgspec.Struct, frozen=True, kw_only=True):
    """One proxy; times are Unix times."""

    name: str
    auth: tuple[UserAuth, ...]
    id: str = ""
    arn: str = ""
    created_at: float = 0.0
    updated_at: float = 0.0
    group: TargetGroup = TargetGroup()
    endpoints: tuple[ProxyEndpoint, ...] = ()
    """The default one first."""
    role_arn: str = ""
    subnet_ids: tuple[str, ...] = ()
    security_group_ids: tuple[str, ...] = ()
    require_tls: bool = False
    idle_client_timeout_s: int = 1_800
    debug_logging: bool = False
    tags: dict[str, str] = {}
    is_of_app: bool = False
    """The one of the app file's [database]: shown here, changed there."""


class DatabaseInstance(msgspec.Struct, frozen=True, kw_only=True):
    """One of the database's servers, as RDS shows a DB instance."""

    identifier: str
    arn: str
    host: str
    port: int
    server: str = ""
    """What the proxy process calls it."""


class Database(msgspec.Struct, frozen=True, kw_only=True):
    """The app's database: as RDS shows a DB instance, or with readers a DB cluster."""

    identifier: str
    arn: str
    user: str
    name: str
    instances: tuple[DatabaseInstance, ...]
    """Of a cluster the one that writes, as configured, and its readers; else the database itself."""

    @property
    def is_cluster(self) -> bool:
        """Whether it has readers."""
        return len(self.instances) > 1


# The errors. AWS: undocumented; we chose the words.


class ProxyNotFound(NotFound):
    """DB proxy {name} doesn't exist."""


class ProxyExists(Conflict):
    """DB proxy {name} already exists."""

    name: str


class ProxyQuotaExceeded(Throttled):
    """There are {limit} DB proxies already, as many as an account may have."""

    retryable = False
    limit: int


class TargetGroupNotFound(NotFound):
    """DB proxy {proxy} has no target group {name}; its only one is default."""

    proxy: str


class TargetNotFound(NotFound):
    """{name} isn't registered with DB proxy {proxy}."""

    proxy: str


class TargetRegistered(Conflict):
    """DB proxy {proxy} is already associated with {name}."""

    proxy: str
    name: str


class EndpointNotFound(NotFound):
    """DB proxy endpoint {name} doesn't exist."""


class EndpointExists(Conflict):
    """DB proxy endpoint {name} already exists."""

    name: str


class EndpointQuotaExceeded(Throttled):
    """DB proxy {name} has {limit} endpoints already beside its default one."""

    retryable = False
    name: str
    limit: int


class InstanceNotFound(NotFound):
    """DB instance {name} is no target here: {reason}."""

    reason: str


class ClusterNotFound(NotFound):
    """DB cluster {name} is no target here: {reason}."""

    reason: str


class WrongInstance(Conflict):
    """DB instance {name} is one of DB cluster {cluster}: register the cluster."""

    name: str
    cluster: str


class WrongState(Conflict):
    """DB proxy {name} {reason}."""

    name: str


class ResourceNotFound(NotFound):
    """No DB proxy, target group or endpoint has the ARN {name}."""


class InvalidValue(Invalid):
    """{reason}"""


class InvalidCombination(Invalid):
    """{reason}"""

"""What a proxy is told: the database servers, which database is where, who may use it, where it listens.

The plain case is one server and one endpoint, through which every database of that server is reached:

    ProxyConfig((DatabaseServer("db", "db.internal", 5432),), (ProxyUser("app", "secret"),))
"""

from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Self

from workshape.errors import Invalid
from workshape.pgproxy.routes import EVERY_DATABASE, ProxiedDatabase, Routes
from workshape.run import DatabaseRun
from workshape.settings import PoolMode, ProxySettings


@dataclass(frozen=True, slots=True)
class ProxyUser:
    """A role of the database: clients log in as it with this password, and so does the proxy."""

    name: str
    password: str = field(repr=False)
    pool_mode: PoolMode | None = None
    """Another one than the database's or the proxy's."""


@dataclass(frozen=True, slots=True)
class DatabaseServer:
    """One PostgreSQL server, a writer or a reader. The proxy has a share of its max_connections for itself."""

    name: str
    """By which databases name it; shown on the console."""
    host: str
    port: int
    tls: bool = False
    """Whether to ask it for TLS, and to refuse to go on without."""
    ca_file: Path | None = None
    """With it the server must be who it says (verify-full); without it, TLS only hides what is said."""

    @classmethod
    def of(cls, database: DatabaseRun) -> Self:
        """The one that the app's database is on."""
        ca_file = None if database.ca_file is None else Path(database.ca_file)
        return cls.at(database.server_host, database.server_port, tls=database.server_tls, ca_file=ca_file)

    @classmethod
    def at(cls, host: str, port: int, *, tls: bool, ca_file: Path | None) -> Self:
        """The one at this address, and named by it."""
        return cls(f"{host}:{port}", host, port, tls, ca_file)

    @property
    def address(self) -> str:
        """For people."""
        return f"{self.host}:{self.port}"


class EndpointRole(StrEnum):
    """What clients of an endpoint get, by RDS Proxy's names.

    Source: https://docs.aws.amazon.com/AmazonRDS/latest/APIReference/API_DBProxyEndpoint.html (TargetRole)
    """

    READ_WRITE = "READ_WRITE"
    READ_ONLY = "READ_ONLY"


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where the proxy listens."""

    host: str = "127.0.0.1"
    port: int = 0
    """0 picks a free one."""
    role: EndpointRole = EndpointRole.READ_WRITE
    name: str = "default"
    """By which its clients are counted."""


@dataclass(frozen=True, slots=True)
class ProxyConfig:
    """One proxy.

    Raises:
        Invalid: a database names a server that there is not, or two have one name.
    """

    servers: tuple[DatabaseServer, ...]
    users: tuple[ProxyUser, ...]
    databases: tuple[ProxiedDatabase, ...] = ()
    """Empty: every database is on the first server."""
    endpoints: tuple[Endpoint, ...] = (Endpoint(),)
    certificate_file: Path | None = None
    """With it (and its key) clients may use TLS."""
    key_file: Path | None = None
    reuse_port: bool = False
    """Let another proxy listen at the same address (SO_REUSEPORT): the next one starts before this one ends."""
    tls_required: bool = False
    """Refuse clients that do not ask for TLS."""
    status_port: int | None = None
    """Where GET /_workshape/status and GET /status answer, on the first endpoint's host; None: nowhere."""
    administrators: tuple[str, ...] = ()
    """Users who may do more than look, on the admin console."""
    settings: ProxySettings = field(default_factory=ProxySettings)

    def __post_init__(self) -> None:
        if not self.servers:
            raise Invalid(reason="a proxy needs a database server to stand in front of")
        servers = [server.name for server in self.servers]
        databases = [database.name for database in self.databases]
        for names, kind in ((servers, "servers"), (databases, "databases")):
            doubled = next((name for name in names if names.count(name) > 1), None)
            if doubled is not None:
                raise Invalid(reason=f"two {kind} are called {doubled!r}: give one of them another name")
        for database in self.databases:
            for name in (database.server, *database.readers):
                if name not in servers:
                    known = ", ".join(servers)
                    raise Invalid(reason=f"database {database.name!r}: there is no server {name!r}, only {known}")

    def routes(self) -> Routes:
        """Where each database is, the plain case included."""
        return Routes(
            self.databases or (ProxiedDatabase(EVERY_DATABASE, self.servers[0].name),),
            self.settings.pool_mode,
            {user.name: user.pool_mode for user in self.users if user.pool_mode is not None},
        )

"""What a proxy is told: the database servers, which database is where, who may use it, where it listens.

The plain case is one server and one endpoint, through which every database of that server is reached:

    ProxyConfig((DatabaseServer("db", "db.internal", 5432),), (ProxyUser("app", "secret"),))
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Self

from workshape.errors import Invalid
from workshape.pgproxy.account import CertificateUse, IamAuth, LoginRules
from workshape.pgproxy.auth import SCRAM, is_verifier
from workshape.pgproxy.database_tls import DatabaseTls
from workshape.pgproxy.routes import EVERY_DATABASE, ProxiedDatabase, Routes
from workshape.run import DatabaseRun
from workshape.settings import PoolMode, ProxySettings
from workshape.sigv4 import Keys

LOOKUP_SQL = (
    "SELECT rolpassword FROM pg_catalog.pg_authid"
    " WHERE rolname = $1 AND rolcanlogin AND (rolvaliduntil IS NULL OR rolvaliduntil > pg_catalog.now())"
)
"""For superusers alone; others need a function that they may call, defined by one (SECURITY DEFINER)."""


@dataclass(frozen=True, slots=True)
class ProxyUser:
    """A role of the database: clients log in as it, and so does the proxy, with one password for both."""

    name: str
    """May be empty where `secret` says it."""
    password: str = field(repr=False, default="")
    """Or a verifier of it, as `pg_authid.rolpassword` has it: then the proxy logs in with what clients' proofs leave.

    Empty: no client can log in with a password, and the database must not ask the proxy for one.
    """
    pool_mode: PoolMode | None = None
    """Another one than the database's or the proxy's."""
    secret: str = ""
    """Name or ARN of a secret of Secrets Manager, to read the password from; in the place of `password`."""
    rules: LoginRules = field(default_factory=LoginRules)
    """By what clients prove that they are this user."""
    database_iam: bool = False
    """The proxy logs in with IAM tokens of its own, in the place of `password` and `secret`: at RDS, over TLS."""

    @property
    def has_verifier(self) -> bool:
        """Whether `password` is a verifier."""
        return self.password.startswith(f"{SCRAM}$")


@dataclass(frozen=True, slots=True)
class UserLookup:
    """How to find users whom nobody named: the database keeps verifiers of their passwords."""

    user: str
    """Who may read them."""
    database: str = "postgres"
    query: str = LOOKUP_SQL
    """With the name as its one parameter; its first column is a verifier, or NULL."""


@dataclass(frozen=True, slots=True)
class AwsAccess:
    """What the proxy needs of AWS: to check IAM tokens, and to read secrets."""

    region: str
    """Tokens must be signed for it."""
    keys: Keys
    """Tokens must be signed with these, and requests to Secrets Manager are."""
    secrets_endpoint: str
    """URL of Secrets Manager."""
    hosts: tuple[str, ...] = ()
    """Names, or HOST:PORT, by which clients reach the proxy, and for which their tokens are signed: beside its
    certificate's names and the addresses it listens at.
    """


@dataclass(frozen=True, slots=True)
class DatabaseServer:
    """One PostgreSQL server, a writer or a reader. The proxy has a share of its max_connections for itself."""

    name: str
    """By which databases name it; shown on the console."""
    host: str
    port: int
    tls: DatabaseTls = field(default_factory=DatabaseTls)

    @classmethod
    def of(cls, database: DatabaseRun) -> tuple[Self, ...]:
        """Those that the app's database is on: the one that writes, as configured, and its readers.

        Raises:
            Invalid: its URL says of TLS what there is not.
        """
        tls = DatabaseTls() if database.embedded else DatabaseTls.of_url(database.url)
        addresses = ((database.server_host, database.server_port), *database.readers)
        return tuple(cls.at(host, port, tls) for host, port in addresses)

    @classmethod
    def at(cls, host: str, port: int, tls: DatabaseTls) -> Self:
        """The one at this address, and named by it."""
        return cls(f"{host}:{port}", host, port, tls)

    @property
    def address(self) -> str:
        """For people."""
        return f"{self.host}:{self.port}"


def every_database(servers: Sequence[DatabaseServer]) -> ProxiedDatabase:
    """Send to these servers, of which the first writes, whatever database is asked for."""
    writer, *readers = (server.name for server in servers)
    return ProxiedDatabase(EVERY_DATABASE, writer, tuple(readers))


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
    client_ca_file: Path | None = None
    """Who signs clients' certificates; without it nobody is asked for one."""
    lookup: UserLookup | None = None
    """On the first server; None: only `users` may come."""
    aws: AwsAccess | None = None
    """Needed as soon as a user has a secret, or comes with IAM tokens."""
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
            self._check_database(database)
        for user in self.users:
            self._check_user(user)
        if self.lookup is not None and self.lookup.user not in {user.name for user in self.users}:
            raise Invalid(reason=f"lookup: there is no user {self.lookup.user!r}: add it to [users]")

    def _check_database(self, database: ProxiedDatabase) -> None:
        """Whatever the database needs must be there, and each of its servers once."""
        known = [server.name for server in self.servers]
        named = (database.server, *database.readers)
        users = [user.name for user in self.users]
        called = f"database {database.name!r}"
        for name in named:
            if name not in known:
                raise Invalid(reason=f"{called}: there is no server {name!r}, only {', '.join(known)}")
            if named.count(name) > 1:
                raise Invalid(reason=f"{called}: server {name!r} is named twice: a reader follows another server")
        if database.user and database.user not in users and not any(user.secret for user in self.users):
            raise Invalid(reason=f"{called}: there is no user {database.user!r}: add it to the users")

    def _check_user(self, user: ProxyUser) -> None:
        """Whatever the user needs must be there."""
        called = f"user {user.name!r}" if user.name else f"the user of secret {user.secret!r}"
        takes_tokens = user.rules.iam is not IamAuth.DISABLED
        lacks_aws = self.aws is None
        aws = "[aws] with a region and keys (or the variables AWS_*)"
        lacks = {
            "a password or a secret, not both": bool(user.password and user.secret),
            "a name, or a secret that says it": not (user.name or user.secret),
            f"{aws}, to read its secret": bool(user.secret) and lacks_aws,
            f"{aws}, to check IAM tokens": takes_tokens and lacks_aws,
            f"{aws}, to make IAM tokens": user.database_iam and lacks_aws,
            "sslmode=require or more: the proxy's IAM tokens go over TLS alone": user.database_iam
            and any(server.tls.is_optional or not server.tls.is_wanted for server in self.servers),
            "no secret: with database_iam nobody needs it": user.database_iam and bool(user.secret),
            "TLS offered to clients: IAM tokens come over TLS alone": takes_tokens and self.certificate_file is None,
            "an authority for clients' certificates (--client-ca)": (
                user.rules.certificate is not CertificateUse.NONE and self.client_ca_file is None
            ),
        }
        if user.has_verifier and not is_verifier(user.password):
            raise Invalid(reason=f"{called}: the password begins like a SCRAM-SHA-256 verifier, and is none")
        for what, is_lacking in lacks.items():
            if is_lacking:
                raise Invalid(reason=f"{called} needs {what}")

    def routes(self) -> Routes:
        """Where each database is, the plain case included."""
        return Routes(
            self.databases or (every_database(self.servers[:1]),),
            self.settings.pool_mode,
            {user.name: user.pool_mode for user in self.users if user.pool_mode is not None},
        )

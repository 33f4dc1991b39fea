"""The file that `workshape proxy --settings` reads: settings, databases, users, AWS, administrators."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta

from workshape.errors import Invalid, NotFound
from workshape.pgproxy.account import CertificateUse, IamAuth, LoginRules, PasswordAuth
from workshape.pgproxy.auth import ChannelBinding
from workshape.pgproxy.config import LOOKUP_SQL, AwsAccess, DatabaseServer, ProxyUser, UserLookup
from workshape.pgproxy.database_tls import DatabaseTls, SslMode
from workshape.pgproxy.routes import POSTGRES_PORT, ProxiedDatabase, server_address
from workshape.settings import PoolMode, ProxySettings
from workshape.sigv4 import Keys
from workshape.toml_document import TomlDocument


class UserEntry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`[users.NAME]`: more than a password to say."""

    password: str = ""
    secret: str = ""
    """Name or ARN of a secret of Secrets Manager, in the place of the password."""
    pool_mode: PoolMode | None = None
    """Instead of the database's or the proxy's."""
    iam: IamAuth = IamAuth.DISABLED
    database_iam: bool = False
    """Log in at the database with IAM tokens, in the place of the password."""
    password_auth: PasswordAuth = PasswordAuth.SCRAM
    certificate: CertificateUse = CertificateUse.NONE
    certificate_names: tuple[str, ...] = ()

    def user(self, name: str) -> ProxyUser:
        """Give the user as the proxy knows them."""
        rules = LoginRules(self.iam, self.password_auth, self.certificate, self.certificate_names)
        return ProxyUser(name, self.password, self.pool_mode, self.secret, rules, self.database_iam)


class AwsEntry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`[aws]`; what it lacks comes from the SDKs' environment variables."""

    region: str = ""
    access_key: str = ""
    secret_key: str = ""
    session_token: str = ""
    endpoint: str = ""
    """URL of Secrets Manager; empty: AWS's own in the region."""
    hosts: tuple[str, ...] = ()
    """Names, or HOST:PORT, by which clients reach the proxy and for which they sign IAM tokens."""

    def access(self, environment: Mapping[str, str]) -> AwsAccess | None:
        """Say what the proxy may do at AWS; None when neither the file nor the environment has a region and keys.

        Source: https://docs.aws.amazon.com/sdkref/latest/guide/settings-reference.html (the variables' names)
        """
        region = self.region or environment.get("AWS_REGION") or environment.get("AWS_DEFAULT_REGION", "")
        keys = Keys(self.access_key, self.secret_key, self.session_token)
        if not self.access_key:
            names = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")
            keys = Keys(*(environment.get(name, "") for name in names))
        if not (region and keys.access_key and keys.secret_key):
            return None
        endpoint = (
            self.endpoint
            or environment.get("AWS_ENDPOINT_URL_SECRETS_MANAGER")
            or environment.get("AWS_ENDPOINT_URL")
            or f"https://secretsmanager.{region}.amazonaws.com"
        )
        return AwsAccess(region, keys, endpoint, self.hosts)


class LookupEntry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`[lookup]`: how to find users who are not in the file."""

    user: str
    """Who may ask; one of the file's, or the URL's."""
    database: str = "postgres"
    query: str = LOOKUP_SQL
    """With the name as its one parameter, `$1`; its first column is a SCRAM verifier, or NULL."""


class DatabaseEntry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`[databases.NAME]`: where clients come to that ask for NAME; `"*"`: for any that is not in the file."""

    host: str
    port: Annotated[int, Meta(ge=1, le=65_535)] = POSTGRES_PORT
    dbname: str = ""
    """What it is called there; empty: NAME."""
    sslmode: SslMode = SslMode.PREFER
    sslrootcert: str = ""
    sslcert: str = ""
    sslkey: str = ""
    channel_binding: ChannelBinding = ChannelBinding.PREFER
    readers: tuple[str, ...] = ()
    """`host:port` of servers that only read."""
    pool_mode: PoolMode | None = None
    """Instead of the proxy's."""
    connections_max: Annotated[int, Meta(ge=1)] | None = None
    """Of the proxy to this database, on each server."""
    user: str = ""
    """As whom the proxy logs in there for every client, one of `[users]`; empty: as the client's own user."""

    def tls(self, name: str) -> DatabaseTls:
        """Say how its servers are reached.

        Raises:
            Invalid: its settings do not go together.
        """
        try:
            return DatabaseTls(self.sslmode, self.sslrootcert, self.sslcert, self.sslkey, self.channel_binding)
        except Invalid as error:
            raise Invalid(reason=f"databases.{name}: {error.reason}") from error


class ProxyFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """All that may be in it."""

    proxy: ProxySettings = ProxySettings()
    """As `[platform.proxy]` in an app file."""
    databases: dict[str, DatabaseEntry] = {}
    users: dict[str, str | UserEntry] = {}
    """By name, passwords or more: clients log in with them, and so does the proxy at the database."""
    lookup: LookupEntry | None = None
    """None: only the file's users may come."""
    aws: AwsEntry = AwsEntry()
    """For IAM tokens and secrets."""
    administrators: tuple[str, ...] = ()
    """Users who may do more than look, on the admin console."""

    def proxy_users(self, owner: ProxyUser | None = None) -> tuple[ProxyUser, ...]:
        """Give its users as the proxy knows them, after the owner of the database's URL, of whom it may say more."""
        entries = {name: UserEntry(entry) if isinstance(entry, str) else entry for name, entry in self.users.items()}
        if owner is None:
            return tuple(entry.user(name) for name, entry in entries.items())
        own = entries.pop(owner.name, UserEntry())
        if not own.password and not own.secret:
            own = msgspec.structs.replace(own, password=owner.password)
        return (own.user(owner.name), *(entry.user(name) for name, entry in entries.items()))

    def user_lookup(self) -> UserLookup | None:
        """Give how the proxy finds other users."""
        entry = self.lookup
        return None if entry is None else UserLookup(entry.user, entry.database, entry.query)

    def proxied(self) -> tuple[tuple[DatabaseServer, ...], tuple[ProxiedDatabase, ...]]:
        """Give the servers that its databases are on, each once, and where each database is.

        Raises:
            Invalid: two databases would reach one server by different sslmodes, or a reader is no address.
        """
        servers: dict[str, DatabaseServer] = {}
        databases = []
        for name, entry in self.databases.items():
            addresses = [(entry.host, entry.port), *(_address(name, text) for text in entry.readers)]
            reached = [DatabaseServer.at(host, port, entry.tls(name)) for host, port in addresses]
            for server in reached:
                if servers.setdefault(server.name, server) != server:
                    raise Invalid(reason=f"databases.{name}: another database reaches {server.name} by another sslmode")
            writer, *readers = (server.name for server in reached)
            databases.append(
                ProxiedDatabase(
                    name, writer, tuple(readers), entry.dbname, entry.pool_mode, entry.connections_max, entry.user
                )
            )
        return tuple(servers.values()), tuple(databases)


NO_FILE = ProxyFile()
SINGLE = ("proxy", "lookup", "aws")


def read_proxy_file(path: Path) -> ProxyFile:
    """Read it.

    Raises:
        NotFound: there is none. Invalid, TomlInvalid: it is wrong; says where.
    """
    try:
        text = path.read_bytes()
    except FileNotFoundError as error:
        raise NotFound(kind="settings file", name=str(path)) from error
    except OSError as error:
        raise Invalid(reason=f"{path} cannot be read: {error.strerror}") from error
    document = TomlDocument(text, str(path), ProxyFile.__struct_fields__, SINGLE)
    return document.struct(document.tables, ProxyFile, ())


def _address(database: str, text: str) -> tuple[str, int]:
    address = server_address(text)
    if address is None:
        raise Invalid(reason=f"databases.{database}.readers: {text!r}: give host:port")
    return address

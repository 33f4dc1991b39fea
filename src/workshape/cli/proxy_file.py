"""The file that `workshape proxy --settings` reads: settings, databases, users, administrators."""

from pathlib import Path
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from workshape.cli.database import POSTGRES_PORT
from workshape.errors import Invalid, NotFound
from workshape.pgproxy.config import DatabaseServer, ProxyUser
from workshape.pgproxy.routes import ProxiedDatabase
from workshape.settings import PoolMode, ProxySettings


class UserEntry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`[users.NAME]`: more than a password to say."""

    password: str
    pool_mode: PoolMode | None = None
    """Instead of the database's or the proxy's."""


class DatabaseEntry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`[databases.NAME]`: where clients come to that ask for NAME; `"*"`: for any that is not in the file."""

    host: str
    port: Annotated[int, Meta(ge=1, le=65_535)] = POSTGRES_PORT
    dbname: str = ""
    """What it is called there; empty: NAME."""
    sslmode: Literal["disable", "require", "verify-full"] = "disable"
    sslrootcert: str = ""
    readers: tuple[str, ...] = ()
    """`host:port` of servers that only read."""
    pool_mode: PoolMode | None = None
    """Instead of the proxy's."""
    connections_max: Annotated[int, Meta(ge=1)] | None = None
    """Of the proxy to this database, on each server."""


class ProxyFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """All that may be in it."""

    proxy: ProxySettings = ProxySettings()
    """As `[platform.proxy]` in an app file."""
    databases: dict[str, DatabaseEntry] = {}
    users: dict[str, str | UserEntry] = {}
    """By name, passwords or more: clients log in with them, and so does the proxy at the database."""
    administrators: tuple[str, ...] = ()
    """Users who may do more than look, on the admin console."""

    def proxy_users(self) -> tuple[ProxyUser, ...]:
        """Give its users as the proxy knows them."""
        return tuple(
            ProxyUser(name, entry) if isinstance(entry, str) else ProxyUser(name, entry.password, entry.pool_mode)
            for name, entry in self.users.items()
        )

    def proxied(self) -> tuple[tuple[DatabaseServer, ...], tuple[ProxiedDatabase, ...]]:
        """Give the servers that its databases are on, each once, and where each database is.

        Raises:
            Invalid: two databases would reach one server by different sslmodes, or a reader is no address.
        """
        servers: dict[str, DatabaseServer] = {}
        databases = []
        for name, entry in self.databases.items():
            ca_file = Path(entry.sslrootcert) if entry.sslmode == "verify-full" else None
            if (ca_file is not None) != bool(entry.sslrootcert) or ca_file == Path():
                raise Invalid(reason=f'databases.{name}: sslmode = "verify-full" and sslrootcert belong together')
            addresses = [(entry.host, entry.port), *(_address(name, text) for text in entry.readers)]
            reached = [
                DatabaseServer.at(host, port, tls=entry.sslmode != "disable", ca_file=ca_file)
                for host, port in addresses
            ]
            for server in reached:
                if servers.setdefault(server.name, server) != server:
                    raise Invalid(reason=f"databases.{name}: another database reaches {server.name} by another sslmode")
            writer, *readers = (server.name for server in reached)
            databases.append(
                ProxiedDatabase(name, writer, tuple(readers), entry.dbname, entry.pool_mode, entry.connections_max)
            )
        return tuple(servers.values()), tuple(databases)


NO_FILE = ProxyFile()


def read_proxy_file(path: Path) -> ProxyFile:
    """Read it.

    Raises:
        NotFound: there is none. Invalid: it is wrong; says where.
    """
    try:
        text = path.read_bytes()
    except FileNotFoundError as error:
        raise NotFound(kind="settings file", name=str(path)) from error
    except OSError as error:
        raise Invalid(reason=f"{path} cannot be read: {error.strerror}") from error
    try:
        return msgspec.toml.decode(text, type=ProxyFile)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Invalid(reason=f"{path}: {error}") from error


def _address(database: str, text: str) -> tuple[str, int]:
    host, colon, port = text.rpartition(":")
    if not colon:
        host, port = text, str(POSTGRES_PORT)
    if not host or not port.isdecimal():
        raise Invalid(reason=f"databases.{database}.readers: {text!r}: give host:port")
    return host.strip("[]"), int(port)

"""The app's database, as functions and the proxy will find it."""

from collections.abc import Sequence
from urllib.parse import quote, unquote, urlencode, urlsplit

from workshape.app.model import Database
from workshape.parts.postgres import Credentials
from workshape.pgproxy.database_tls import SYSTEM, DatabaseTls
from workshape.pgproxy.routes import POSTGRES_PORT, server_address
from workshape.run import DatabaseRun


def connection_url(user: str, password: str, address: tuple[str, int], name: str, ca_file: str) -> str:
    """Write a URL whose TLS is verified against `ca_file`; libpq, asyncpg and node-postgres read it alike.

    Source: https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-CONNSTRING-URIS
    """
    server = f"{address[0]}:{address[1]}"
    return f"postgresql://{quote(user)}:{quote(password)}@{server}/{quote(name)}?{verifying(ca_file)}"


def verifying(ca_file: str) -> str:
    """Write what a URL says of TLS that is verified against `ca_file`. libpq takes a `+` for one, not for a space."""
    return urlencode({"sslmode": "verify-full", "sslrootcert": ca_file}, safe="/", quote_via=quote)


def embedded_database(
    database: Database, credentials: Credentials, public: tuple[str, int], server: tuple[str, int], ca_file: str
) -> DatabaseRun:
    """Describe the embedded server: with TLS at `public`, plainly at `server`."""
    return DatabaseRun(
        url=connection_url(credentials.user, credentials.password, public, database.name, ca_file),
        server_host=server[0],
        server_port=server[1],
        name=database.name,
        user=credentials.user,
        password=credentials.password,
        embedded=True,
        ca_file=ca_file,
        max_connections=database.max_connections,
    )


def own_database(url: str, readers: Sequence[str] = ()) -> DatabaseRun:
    """Describe the owner's own server from its URL, which functions get as it is, and the servers that follow it.

    Raises:
        Invalid: it says of TLS what there is not.
    """
    parts = urlsplit(url)
    tls = DatabaseTls.of_url(url)
    return DatabaseRun(
        url=url,
        server_host=parts.hostname or "",
        server_port=parts.port or POSTGRES_PORT,
        name=unquote(parts.path.lstrip("/")),
        user=unquote(parts.username or ""),
        password=unquote(parts.password or ""),
        embedded=False,
        ca_file=None if tls.sslrootcert in ("", SYSTEM) else tls.sslrootcert,
        readers=tuple(address for reader in readers if (address := server_address(reader)) is not None),
    )

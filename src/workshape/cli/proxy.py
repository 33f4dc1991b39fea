"""`workshape proxy`: the PostgreSQL proxy alone, in front of any database; and `workshape proxy top`."""

import asyncio
import contextlib
import errno
import logging
import os
import signal
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated
from urllib.parse import quote

import msgspec
import typer
import uvloop

from workshape.cli.database import own_database, verifying
from workshape.cli.errors import reported
from workshape.cli.proxy_file import NO_FILE, ProxyFile, read_proxy_file
from workshape.cli.proxy_top import top
from workshape.errors import Denied, Invalid
from workshape.event_log import log_events_to_stderr
from workshape.pgproxy.config import DatabaseServer, Endpoint, EndpointRole, ProxyConfig, ProxyUser
from workshape.pgproxy.process import run_proxy
from workshape.pgproxy.routes import EVERY_DATABASE, ProxiedDatabase
from workshape.pgproxy.tls import ensure_certificates
from workshape.run import DatabaseRun, StateFolder

PASSWORD_VARIABLE = "PGPASSWORD"  # noqa: S105 - the name of a variable
"""Source: https://www.postgresql.org/docs/current/libpq-envars.html"""

PORT_MAX = 65_535

proxy = typer.Typer(
    name="proxy", help="The PostgreSQL proxy alone: few database connections for many clients.", add_completion=False
)
proxy.command("top")(top)


@dataclass(frozen=True, slots=True)
class _Wanted:
    """What the command line asks for."""

    database: DatabaseRun | None
    """What --database says; None: the file says it."""
    listen: tuple[str, int]
    listen_readers: tuple[str, int] | None
    status: tuple[str, int] | None
    file: Path | None
    certificate: tuple[Path, Path] | None
    own_tls: Path | None
    """The folder of the authority that the certificate is of, where it is ours."""
    ca: Path | None
    client_ca: Path | None
    require_tls: bool
    take_over: bool

    def config(self) -> ProxyConfig:
        """Read the file, if there is one, and say what the proxy is to be.

        Raises:
            Invalid, NotFound: the file.
        """
        read = NO_FILE if self.file is None else read_proxy_file(self.file)
        servers, databases = read.proxied()
        owner = None if self.database is None else ProxyUser(self.database.user, self.database.password)
        users = read.proxy_users(owner)
        if self.database is not None:
            (own,) = DatabaseServer.of(self.database)
            servers = (own, *(server for server in servers if server.name != own.name))
            if EVERY_DATABASE not in read.databases:
                databases = (*databases, ProxiedDatabase(EVERY_DATABASE, own.name))
        elif not databases:
            raise Invalid(
                reason="in front of which database? --database postgresql://user:password@host:port/name, or "
                "[databases.NAME] in a file for --settings"
            )
        if not users:
            raise Invalid(reason=f'{self.file}: nobody may log in: add [users] with NAME = "password"')
        certificate, key = self.certificate or (None, None)
        endpoints = [Endpoint(*self.listen)]
        if self.listen_readers is not None:
            endpoints.append(Endpoint(*self.listen_readers, EndpointRole.READ_ONLY, "readers"))
        return ProxyConfig(
            servers=servers,
            users=users,
            databases=databases,
            endpoints=tuple(endpoints),
            certificate_file=certificate,
            key_file=key,
            client_ca_file=self.client_ca,
            lookup=read.user_lookup(),
            aws=read.aws.access(os.environ),
            tls_required=self.require_tls,
            status_port=None if self.status is None else self.status[1],
            administrators=_administrators(read, self.database, self.file),
            settings=read.proxy,
        )

    def read_again(self) -> ProxyConfig:
        """Renew the certificate, if it is ours and due, and read the file again.

        Raises:
            Denied: the certificate's folder. Invalid, NotFound: the file.
        """
        if self.own_tls is not None:
            ensure_certificates(self.own_tls)
        return self.config()


@proxy.callback(invoke_without_command=True)
@reported
def serve_proxy(
    context: typer.Context,
    database: Annotated[
        str | None,
        typer.Option("--database", envvar="DATABASE_URL", help="postgresql://user:password@host:port/name"),
    ] = None,
    listen: Annotated[str, typer.Option("--listen", help="Where clients connect.")] = "127.0.0.1:6432",
    listen_readers: Annotated[
        str | None, typer.Option("--listen-readers", help="Where clients connect that only read: to readers.")
    ] = None,
    status: Annotated[
        str, typer.Option("--status", help="Where figures are served over HTTP on the same host; 0: nowhere.")
    ] = "6433",
    settings: Annotated[
        Path | None,
        typer.Option("--settings", help="TOML: proxy, databases, users, aws, administrators; docs/proxy.md."),
    ] = None,
    tls: Annotated[bool, typer.Option("--tls/--no-tls", help="Offer clients TLS.")] = True,
    certificate: Annotated[
        Path | None, typer.Option("--certificate", help="PEM; without one, one of our own authority's.")
    ] = None,
    key: Annotated[Path | None, typer.Option("--key", help="The certificate's, PEM.")] = None,
    client_ca: Annotated[
        Path | None, typer.Option("--client-ca", help="PEM: who signs the certificates of clients.")
    ] = None,
    require_tls: Annotated[bool, typer.Option("--require-tls", help="Refuse clients without TLS.")] = False,
    take_over: Annotated[
        bool, typer.Option("--take-over", help="Replace the proxy that listens here, without a client noticing.")
    ] = False,
) -> None:
    """Stand in front of a PostgreSQL server, until Ctrl-C or SHUTDOWN on the admin console."""
    if context.invoked_subcommand is not None:
        return
    if (certificate is None) != (key is None):
        raise Invalid(reason="--certificate and --key belong together: give both, or neither")
    if client_ca is not None and not tls:
        raise Invalid(reason="--client-ca and --no-tls contradict each other: give one of them")
    if require_tls and not tls:
        raise Invalid(reason="--require-tls and --no-tls contradict each other: give one of them")
    ca = own_tls = None
    files = None if certificate is None or key is None else (certificate, key)
    state = _state(is_needed=take_over or (tls and files is None))
    if tls and files is None and state is not None:
        own_tls = state.tls
        made = ensure_certificates(own_tls)
        files, ca = (made.proxy_certificate, made.proxy_key), made.ca
    host, port = _address("--listen", listen)
    wanted = _Wanted(
        database=_database(database),
        listen=(host, port),
        listen_readers=None if listen_readers is None else _address("--listen-readers", listen_readers),
        status=_status(status, host),
        file=settings,
        certificate=files if tls else None,
        own_tls=own_tls,
        ca=ca,
        client_ca=client_ca,
        require_tls=require_tls,
        take_over=take_over,
    )
    config = wanted.config()
    log_events_to_stderr()
    logging.getLogger("workshape").setLevel(logging.WARNING)
    try:
        uvloop.run(_serve(wanted, config, None if state is None or port == 0 else state.proxy_handover(port)))
    except OSError as error:
        way_on = "; --take-over replaces the proxy that listens there" if error.errno == errno.EADDRINUSE else ""
        raise Invalid(reason=f"cannot listen on {listen}: {error.strerror or error}{way_on}") from error


def _state(*, is_needed: bool) -> StateFolder | None:
    """Make the state folder; None: it cannot be made, and only a successor would have needed it.

    Raises:
        Denied: it cannot be made, and is needed.
    """
    state = StateFolder.of(Path())
    try:
        state.make()
    except Denied:
        if is_needed:
            raise
        return None
    return state


async def _serve(wanted: _Wanted, config: ProxyConfig, handover: Path | None) -> None:
    serving = asyncio.ensure_future(
        run_proxy(
            config,
            read_again=wanted.read_again,
            started=lambda ports: _say(wanted, config, ports),
            handover=handover,
            take_over=wanted.take_over,
        )
    )
    loop = asyncio.get_running_loop()
    for name in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(name, serving.cancel)
    with contextlib.suppress(asyncio.CancelledError):  # asked to end: that is no failure
        await serving
    sys.stdout.write("stopped\n")


def _say(wanted: _Wanted, config: ProxyConfig, ports: tuple[int, ...]) -> None:
    """What a user wants to know, once clients may come."""
    host = config.endpoints[0].host
    shown = f"{host}:{ports[0]}"
    user = (config.administrators or (config.users[0].name,))[0]
    named = [database.name for database in config.databases if database.name != EVERY_DATABASE]
    name = named[0] if wanted.database is None and named else "postgres"
    if wanted.database is not None:
        user, name = wanted.database.user, wanted.database.name
    lines = [
        f"proxy     {shown} in front of {', '.join(server.address for server in config.servers)}",
        f"connect   {_client_url(wanted, user, shown, name)}",
    ]
    if config.settings.admin_database:
        lines.append(f"console   {_client_url(wanted, user, shown, config.settings.admin_database)}  (SHOW HELP)")
    if config.status_port is not None:
        lines.append(f"status    http://{host}:{config.status_port}/status")
    if wanted.listen_readers is not None:
        lines.append(f"readers   {_client_url(wanted, user, f'{wanted.listen_readers[0]}:{ports[1]}', name)}")
    sys.stdout.write("\n".join(lines) + "\n")
    sys.stdout.flush()


def _client_url(wanted: _Wanted, user: str, address: str, database: str) -> str:
    query = "" if wanted.ca is None else f"?{verifying(str(wanted.ca.resolve()))}"
    return f"postgresql://{quote(user)}@{address}/{quote(database)}{query}"


def _database(url: str | None) -> DatabaseRun | None:
    if url is None:
        return None
    found = own_database(url)
    if not found.password:
        found = msgspec.structs.replace(found, password=os.environ.get(PASSWORD_VARIABLE, ""))
    if not url.startswith(("postgresql://", "postgres://")) or not found.server_host or not found.user:
        raise Invalid(reason="--database needs postgresql://user:password@host:port/name, with a host and a user")
    return found


def _status(text: str, host: str) -> tuple[str, int] | None:
    if not text.isdecimal() or int(text) > PORT_MAX:
        raise Invalid(reason=f"--status {text}: a port, 1 to {PORT_MAX}, or 0 for none")
    return (host, int(text)) if int(text) else None


def _address(option: str, text: str) -> tuple[str, int]:
    host, colon, port = text.rpartition(":")
    if not colon or not host or not port.isdecimal() or int(port) > PORT_MAX:
        raise Invalid(reason=f"{option} {text}: give host:port, as in 127.0.0.1:6432")
    return host.strip("[]"), int(port)


def _administrators(read: ProxyFile, database: DatabaseRun | None, file: Path | None) -> tuple[str, ...]:
    """Who may do more than look: who the file names, else the user of the database's URL."""
    owner = () if database is None else (database.user,)
    unknown = [name for name in read.administrators if name not in (*owner, *read.users)]
    if unknown:
        raise Invalid(reason=f"{file}: administrators: there is no user {unknown[0]}: add it to [users]")
    return read.administrators or owner

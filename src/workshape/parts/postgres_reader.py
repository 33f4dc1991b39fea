"""A server that follows ours, for who only reads: a copy of its cluster, kept up to date by streaming replication.

It is copied anew at every start. It has nothing of its own that is worth keeping, and one that was down for long may
lack what the writer has since thrown away of its journal.

Source: https://www.postgresql.org/docs/current/warm-standby.html#STREAMING-REPLICATION
Source: https://www.postgresql.org/docs/current/app-pgbasebackup.html
"""

import asyncio
import shutil
from dataclasses import dataclass, field
from pathlib import Path

from workshape.parts.postgres import (
    READY_S_MAX,
    SUPERUSER,
    PostgresOrder,
    end_leftover,
    hand_over,
    postgres_programs,
    server_account,
    server_program,
)
from workshape.parts.process import ChildPart, PartFailed, Program, run_to_end, write_password
from workshape.parts.psql import Psql

READERS_MAX = 5  # the writer's ten walsenders are enough for them, and two more while one is copied
COPY_S_MAX = 600.0  # of a database on the same disk


@dataclass(frozen=True, slots=True)
class ReaderOrder:
    """Which server is wanted."""

    number: int
    """From 1."""
    port: int
    log_file: Path
    writer: PostgresOrder
    """Whom it follows; its files are beside the writer's."""
    superuser_password: str = field(repr=False)
    """The writer's, and so its own."""


class PostgresReader(ChildPart):
    """The server as a part, started after the one that it follows."""

    def __init__(self, order: ReaderOrder) -> None:
        self.name = f"postgres-reader-{order.number}"
        self._order = order
        self._programs = postgres_programs()
        self._folder = order.writer.folder / f"reader-{order.number}"
        self._cluster = self._folder / "cluster"
        self._account = server_account()

    def __repr__(self) -> str:
        return f"<PostgresReader {self._order.writer.host}:{self._order.port} {self._child}>"

    async def start(self) -> None:
        """Copy the writer's cluster, start the server, and wait until it answers.

        Raises:
            PartFailed, ClusterUnusable: it does not run.
        """
        await end_leftover(self._cluster)
        await asyncio.to_thread(shutil.rmtree, self._folder, ignore_errors=True)
        await self._copy()
        order = self._order
        program = server_program(self.name, self._cluster, order.log_file, order.writer, order.port)
        await self._begin(program, self._is_ready, READY_S_MAX)

    async def _copy(self) -> None:
        """Copy the cluster; the copy knows then whom it follows, and where its password is."""
        passwords = self._write_passwords()
        log_file = self._order.log_file.with_name("pg_basebackup.log")
        arguments = ["-D", str(self._cluster), "--write-recovery-conf", "--checkpoint=fast", "--no-sync", "-w"]
        program = Program(
            name="pg_basebackup",
            arguments=[str(self._programs / "pg_basebackup"), *arguments, "-d", self._connection(passwords)],
            folder=self._folder,
            log_file=log_file,
            account=self._account,
        )
        failure = await run_to_end(program, COPY_S_MAX)
        if failure:
            raise PartFailed(part=self.name, reason=f"pg_basebackup: {failure}")

    def _write_passwords(self) -> Path:
        """Write the file of passwords that libpq reads: a command line is there for all to see.

        Source: https://www.postgresql.org/docs/current/libpq-pgpass.html
        """
        self._folder.mkdir(mode=0o700)
        file = self._folder / "pgpass"
        write_password(file, f"*:*:*:{SUPERUSER}:{self._order.superuser_password}\n")
        hand_over(self.name, self._account, self._folder, file)
        return file

    def _connection(self, passwords: Path) -> str:
        writer = self._order.writer
        parameters = {
            "host": writer.host,
            "port": str(writer.port),
            "user": SUPERUSER,
            "passfile": str(passwords),
            "sslmode": "disable",
            "application_name": self.name,
        }
        return " ".join(f"{name}={_quoted(value)}" for name, value in parameters.items())

    async def _is_ready(self) -> bool:
        order = self._order
        program, host = self._programs / "psql", order.writer.host
        psql = Psql(program, host, order.port, SUPERUSER, order.superuser_password, order.writer.folder)
        return (await psql.run("SELECT 1", database="postgres")).status == 0


async def discard_readers(folder: Path, *, beyond: int) -> None:
    """Remove the files of readers that are not wanted any more, from beside the writer's.

    Raises:
        ClusterUnusable: a server left on them does not end.
    """
    for number in range(beyond + 1, READERS_MAX + 1):
        await end_leftover(folder / f"reader-{number}" / "cluster")
        await asyncio.to_thread(shutil.rmtree, folder / f"reader-{number}", ignore_errors=True)


def _quoted(value: str) -> str:
    """Quote for a connection string of libpq.

    Source: https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-CONNSTRING-KEYWORD-VALUE
    """
    return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"

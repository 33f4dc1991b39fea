"""Statements for the embedded server, run by psql, which reads files as PostgreSQL's users write them."""

import asyncio
import contextlib
import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

SQL_S_MAX = 300.0  # the app's init_sql may load data


@dataclass(frozen=True, slots=True)
class Outcome:
    """What psql said."""

    status: int
    output: str
    errors: str


@dataclass(frozen=True, slots=True)
class Psql:
    """How to reach a server, as one of its roles."""

    program: Path
    host: str
    port: int
    user: str
    password: str
    folder: Path
    """Where it runs, unless it reads a file: there then."""

    async def run(
        self,
        sql: str | None,
        *,
        database: str,
        variables: Mapping[str, str] | None = None,
        file: Path | None = None,
    ) -> Outcome:
        """Run statements, from `sql` or a file, until one fails.

        Raises:
            TimeoutError: it takes longer than SQL_S_MAX.
        """
        arguments = ["-X", "-q", "-t", "-A", "-h", self.host, "-p", str(self.port), "-U", self.user]
        arguments += ["-d", database, "-v", "ON_ERROR_STOP=1"]
        arguments += ["-f", str(file) if file is not None else "-"]
        settings = "".join(f"\\set {name} {_quoted(value)}\n" for name, value in (variables or {}).items())
        with tempfile.TemporaryFile() as script:  # not a pipe: psql may be gone before we could write to it
            script.write(f"{settings}{sql or ''}\n".encode())
            script.seek(0)
            process = await asyncio.create_subprocess_exec(
                str(self.program),
                *arguments,
                cwd=file.parent if file is not None else self.folder,
                env=_environment(self.password),
                stdin=script,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
            )
        try:
            async with asyncio.timeout(SQL_S_MAX):
                output, errors = await process.communicate()
        finally:
            if process.returncode is None:
                with contextlib.suppress(ProcessLookupError):
                    process.kill()
                await process.wait()
        return Outcome(process.returncode or 0, output.decode(), errors.decode())


def _environment(password: str) -> dict[str, str]:
    """Our own environment, but for what would point psql elsewhere."""
    own = {name: value for name, value in os.environ.items() if not name.startswith("PG")}
    return {**own, "PGPASSWORD": password, "PGCONNECT_TIMEOUT": "10", "PGSSLMODE": "disable"}


def _quoted(value: str) -> str:
    """Quote for psql's \\set: single quotes, with backslash escapes inside."""
    return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"

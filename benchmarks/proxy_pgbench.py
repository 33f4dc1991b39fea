"""pgbench against several servers by turns: rates, processor time and latencies, each the median of its rounds."""

import asyncio
import os
import re
import shutil
import statistics
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.proxy_servers import DATABASE, Peer, Server
from workshape.parts.postgres import postgres_programs

MICROSECONDS = 1_000_000
TRIES = 3  # the log-ins count, too: on a very crowded machine a second may be over before a hundred clients are in


@dataclass(frozen=True, slots=True)
class Result:
    """One server's, in one cell."""

    rates: list[float] = field(default_factory=list)
    """Transactions a second."""
    costs_us: list[float] = field(default_factory=list)
    """The server's processor time for each transaction; without the figures of a server of many processes."""
    p50_ms: list[float] = field(default_factory=list)
    p99_ms: list[float] = field(default_factory=list)

    @property
    def rate(self) -> float:
        """The median."""
        return statistics.median(self.rates)

    @property
    def cost_us(self) -> float | None:
        """The median; None where there is none."""
        return statistics.median(self.costs_us) if self.costs_us else None


@dataclass(frozen=True, slots=True)
class Pgbench:
    """The program, and whom it logs in as."""

    program: Path
    user: str
    password: str = field(repr=False)
    ssl_mode: str = "disable"

    @classmethod
    def of(cls, server: Server) -> "Pgbench":
        """Take the one that came with the server."""
        return cls(postgres_programs() / "pgbench", server.user, server.password)

    def over_tls(self) -> "Pgbench | None":
        """Take another that can do TLS; the server's own cannot. None: there is none here."""
        program = shutil.which("pgbench")
        return None if program is None else Pgbench(Path(program), self.user, self.password, "require")

    async def compare(
        self,
        peers: Mapping[str, Peer],
        arguments: Sequence[str],
        rounds: int,
        seconds: int,
        *,
        latencies: bool = False,
    ) -> dict[str, Result]:
        """Measure each by turns, every other round the other way round; who fails again and again is left out."""
        results = {name: Result() for name in peers}
        for number in range(rounds):
            for name in list(results) if number % 2 == 0 else list(reversed(results)):
                for attempt in range(TRIES):
                    timed = (*arguments, "-T", str(seconds * 2**attempt))
                    if await self._measure(peers[name], timed, results[name], latencies=latencies):
                        break
                else:
                    del results[name]
        return results

    async def run(self, port: int, *arguments: str) -> str | None:
        """Run it; None when it failed."""
        environment = {**os.environ, "PGPASSWORD": self.password, "PGSSLMODE": self.ssl_mode}
        address = ["-h", "127.0.0.1", "-p", str(port), "-U", self.user]
        process = await asyncio.create_subprocess_exec(
            str(self.program),
            *address,
            *arguments,
            DATABASE,
            env=environment,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
        )
        output, _ = await process.communicate()
        return output.decode() if process.returncode == 0 else None

    async def _measure(self, peer: Peer, arguments: Sequence[str], into: Result, *, latencies: bool) -> bool:
        with tempfile.TemporaryDirectory(prefix="workshape-pgbench-") as folder:
            logged = ["--log", f"--log-prefix={folder}/log"] if latencies else []
            before = peer.uses()
            output = await self.run(peer.port, *arguments, *logged)
            used_s = peer.uses().since(before)
            rate, count = (re.search(pattern, output or "") for pattern in (r"tps = ([\d.]+)", r"processed: (\d+)"))
            if rate is None or count is None or not int(count.group(1)):
                return False
            into.rates.append(float(rate.group(1)))
            if peer.pid is not None:
                into.costs_us.append(used_s / int(count.group(1)) * MICROSECONDS)
            if latencies:
                # client, transaction, latency in us, script, time, ...
                # https://www.postgresql.org/docs/current/pgbench.html#id-1.9.4.11.9.9 (Per-Transaction Logging)
                lines = [line for file in Path(folder).iterdir() for line in file.read_text().splitlines()]
                took_us = sorted(int(line.split()[2]) for line in lines)
                into.p50_ms.append(took_us[len(took_us) // 2] / 1_000)
                into.p99_ms.append(took_us[len(took_us) * 99 // 100] / 1_000)
        return True

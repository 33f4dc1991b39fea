"""The PostgreSQL proxy beside the server itself and beside PgBouncer, all in one run.

A machine's figures mean little from one day to the next, their ratios something, and what a transaction takes of the
processors most. PgBouncer is measured where it is installed, with as many database connections; before 1.21 it cannot
carry prepared statements in transaction mode: the server itself stands beside us there.

    python -m benchmarks.proxy [--quick] [--json FILE]

`--quick` measures fewer cells, once each. The parts: proxy_cores.py, proxy_pgbench.py,
proxy_memory.py, proxy_storms.py.
"""

import math
import tempfile
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.proxy_cores import measure_cores
from benchmarks.proxy_memory import measure_memory
from benchmarks.proxy_pgbench import Pgbench, Result
from benchmarks.proxy_servers import Peer, allow_many_files, pgbouncer, pgbouncer_version, postgres, proxy
from benchmarks.proxy_storms import measure_storms
from benchmarks.report import Report, main
from workshape.pgproxy.tls import ensure_certificates

PROTOCOLS = ("simple", "extended", "prepared")
CLIENTS = (1, 8, 32, 100)
WRITERS = (8, 32)
SCALE = 40  # more branches than clients: they do not wait for each other's locks. 4 million accounts, all in memory
SECONDS = 1
LOGINS_PER_S = 50  # of pgbench, which derives a key for each: that time counts, too
ROUNDS = 3
RATE_PER_S = 1_000  # well below what any of them can do: latencies are theirs, not a queue's
LATENCY_CLIENTS = 8
LATENCY_SECONDS = 2
CHURN_CLIENTS = 10
TLS_CLIENTS = (1, 32)


async def run(report: Report) -> None:
    """Measure all of it."""
    allow_many_files()
    measure_cores(report)
    version = await pgbouncer_version()
    print(f"pgbouncer {'.'.join(map(str, version)) or 'is not installed'}")
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="workshape-bench-")))
        folder.chmod(0o755)
        server = await stack.enter_async_context(postgres(folder, ensure_certificates(folder / "tls")))
        pgbench = Pgbench.of(server)
        assert await pgbench.run(server.port, "--initialize", "--quiet", f"--scale={SCALE}") is not None
        async with AsyncExitStack() as poolers:
            peers = {"direct": Peer(server.port), "proxy": await poolers.enter_async_context(proxy(server))}
            bouncer = await poolers.enter_async_context(pgbouncer(server))
            if bouncer is not None:
                peers["pgbouncer"] = bouncer
            matrix = _Matrix(report, peers, rounds=1 if report.quick else ROUNDS)
            await _throughput(matrix, pgbench)
            matrix.summarize()
            await _over_tls(matrix, pgbench)
            await _latencies(matrix, pgbench)
        await measure_memory(report, server, quick=report.quick)
        await measure_storms(report, server, quick=report.quick)


@dataclass(slots=True)
class _Matrix:
    report: Report
    peers: dict[str, Peer]
    rounds: int
    ratios: dict[str, float] = field(default_factory=dict)
    """To PgBouncer, by cell."""
    costs: dict[str, float] = field(default_factory=dict)

    async def cell(
        self,
        pgbench: Pgbench,
        measure: str,
        arguments: Sequence[str],
        *,
        seconds: int = SECONDS,
        prepared: bool = False,
    ) -> None:
        """Measure one cell, and say how we stand."""
        peers = {name: peer for name, peer in self.peers.items() if peer.prepares or not prepared}
        results = await pgbench.compare(peers, ("-n", "-j", "1", *arguments), self.rounds, seconds)
        if "proxy" not in results:
            raise RuntimeError(f"{measure}: pgbench failed through the proxy")
        ours = results.pop("proxy")
        for name, result in results.items():
            ratio = ours.rate / result.rate
            self.report.add(measure, ours.rate, "transactions/s", f"{name} {result.rate:,.0f}", ratio)
        self._costs(measure, ours, results.get("pgbouncer"))

    def _costs(self, measure: str, ours: Result, theirs: Result | None) -> None:
        cost, beside, ratio = ours.cost_us, "", None
        assert cost is not None
        if theirs is not None and theirs.cost_us:
            beside, ratio = f"pgbouncer {theirs.cost_us:,.1f}", cost / theirs.cost_us
            self.ratios[measure], self.costs[measure] = ours.rate / theirs.rate, ratio
        self.report.add(measure, cost, "us of processor time each", beside, ratio)

    def summarize(self) -> None:
        """Say how we stand beside PgBouncer in all cells so far."""
        if not self.ratios:
            return
        worst = min(self.ratios, key=lambda measure: self.ratios[measure])
        cells = f"{len(self.ratios)} cells"
        self.report.add("geometric mean", _geometric_mean(self.ratios), "x pgbouncer's transactions/s", cells)
        self.report.add("smallest cell", self.ratios[worst], "x pgbouncer's transactions/s", worst)
        self.report.add("geometric mean", _geometric_mean(self.costs), "x pgbouncer's processor time", cells)


async def _throughput(matrix: _Matrix, pgbench: Pgbench) -> None:
    quick = matrix.report.quick
    for protocol in PROTOCOLS:
        for clients in (1, 32) if quick else CLIENTS:
            select = ("-S", "-M", protocol, "-c", str(clients))
            measure, seconds = f"{protocol}, {_clients(clients)}", SECONDS + clients // LOGINS_PER_S
            await matrix.cell(pgbench, measure, select, seconds=seconds, prepared=protocol == "prepared")
    for clients in WRITERS[: 1 if quick else None]:
        await matrix.cell(pgbench, f"read-write, {_clients(clients)}", ("-c", str(clients)))
    churn = ("-S", "-C", "-c", str(CHURN_CLIENTS))
    await matrix.cell(pgbench, "a connection for each transaction", churn)


async def _over_tls(matrix: _Matrix, pgbench: Pgbench) -> None:
    """The clients' side; towards the server, which is beside the poolers, there is none."""
    tls = pgbench.over_tls()
    poolers = {name: peer for name, peer in matrix.peers.items() if name != "direct"}
    if tls is None or await tls.run(poolers["proxy"].port, "-n", "-S", "-c", "1", "-t", "1") is None:
        print("TLS: left out, no pgbench that can do TLS is installed")
        return
    over = _Matrix(matrix.report, poolers, matrix.rounds)
    for clients in TLS_CLIENTS:
        select = ("-S", "-c", str(clients))
        await over.cell(tls, f"simple over TLS, {_clients(clients)}", select)
    churn = ("-S", "-C", "-c", str(CHURN_CLIENTS))
    await over.cell(tls, "a TLS connection for each transaction", churn)


async def _latencies(matrix: _Matrix, pgbench: Pgbench) -> None:
    """How much later an answer comes than from the server itself, when nobody is busy."""
    at_rate = ("-n", "-S", "-j", "1", "-c", str(LATENCY_CLIENTS), "-R", str(RATE_PER_S))
    results = await pgbench.compare(matrix.peers, at_rate, matrix.rounds, LATENCY_SECONDS, latencies=True)
    direct = results.pop("direct")
    for percentile in ("p50", "p99"):
        base = _median(direct, percentile)
        for name, result in results.items():
            found = _median(result, percentile)
            measure = f"{percentile} at {RATE_PER_S:,}/s, {name}"
            matrix.report.add(measure, found, "ms", f"direct {base:.2f}: {found - base:+.2f}", found / base)


def _median(result: Result, percentile: str) -> float:
    values = sorted(result.p50_ms if percentile == "p50" else result.p99_ms)
    return values[len(values) // 2]


def _clients(number: int) -> str:
    return f"{number} client{'s' if number > 1 else ''}"


def _geometric_mean(ratios: dict[str, float]) -> float:
    return math.exp(sum(map(math.log, ratios.values())) / len(ratios))


if __name__ == "__main__":
    main("proxy", run, has_quick=True)

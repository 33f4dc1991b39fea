"""Storms: thousands of execution environments come at once, each opens a connection, works a little, and is frozen.

A frozen environment says nothing more and closes nothing. In the first storm it is frozen after its transaction; in
the second, now and then, inside of it. A newcomer then tries its luck.
"""

import asyncio
import random
import statistics
import time
from collections import Counter
from contextlib import AsyncExitStack
from dataclasses import dataclass, field

from benchmarks.proxy_clients import Client, Refused
from benchmarks.proxy_servers import CONNECTIONS, Patience, Peer, Server, pgbouncer, proxy
from benchmarks.report import Report

ARRIVALS_PER_S = 500
WORK_S = 0.09
ROWS = 100_000
QUICKLY = Patience(wait_s=10.0, idle_s=2.0)
"""As long as a caller of a function waits; and an environment that says nothing for so long is frozen."""
FOREVER = Patience(wait_s=10.0, idle_s=0.0)
"""PgBouncer's own default for a silent transaction."""


@dataclass(frozen=True, slots=True)
class Storm:
    """How many come, and how many of them vanish inside their transaction."""

    name: str
    clients: int
    vanish_percent: int = 0


AT_THREE = Storm("3 a.m. storm", 3_000)
VANISHING = Storm("vanish-in-transaction storm", 1_500, 3)


@dataclass(slots=True)
class _Outcome:
    served: int = 0
    vanished: int = 0
    errors: Counter[str] = field(default_factory=Counter)
    took_s: list[float] = field(default_factory=list)
    newcomer: str = "served"

    def __str__(self) -> str:
        refused = "".join(f", {count:,} get {error}" for error, count in self.errors.most_common(3))
        median = f"; p50 {statistics.median(self.took_s) * 1_000:,.0f} ms" if self.took_s else ""
        return f"{self.served:,} served{refused}{median}; a newcomer: {self.newcomer}"


async def measure_storms(report: Report, server: Server, *, quick: bool) -> None:
    """Add a row for each storm and each server."""
    scale = 5 if quick else 1
    calm = Storm(AT_THREE.name, AT_THREE.clients // scale)
    vanishing = Storm(VANISHING.name, VANISHING.clients // scale, VANISHING.vanish_percent)
    async with AsyncExitStack() as stack:
        ours = await stack.enter_async_context(proxy(server, QUICKLY))
        theirs = await stack.enter_async_context(pgbouncer(server, FOREVER))
        patient = await stack.enter_async_context(pgbouncer(server, QUICKLY))
        for storm in (calm, vanishing):
            peers: dict[str, Peer | None] = {"direct": Peer(server.port)} if storm is calm else {}
            peers |= {"proxy": ours, "pgbouncer": theirs}
            if storm is vanishing:
                peers[f"pgbouncer, idle_transaction_timeout = {QUICKLY.idle_s:.0f}"] = patient
            for name, peer in peers.items():
                if peer is not None:
                    outcome = await _storm(storm, peer, server)
                    expected = storm.clients - outcome.vanished
                    report.add(f"{storm.name}: {name}", outcome.served / expected * 100, "% served", str(outcome))
                    await asyncio.sleep(1.0)  # whoever was cut off is gone from the server, too


async def _storm(storm: Storm, peer: Peer, server: Server) -> _Outcome:
    outcome, there = _Outcome(), set[Client]()
    chance = random.Random(storm.clients)  # the same for each server
    vanishing = set(chance.sample(range(storm.clients), storm.clients * storm.vanish_percent // 100))

    async def come(number: int) -> None:
        begun = time.monotonic()
        try:
            client = await Client.log_in(peer.port, server)
            there.add(client)
            await client.ask("BEGIN")
            await client.ask(f"SELECT abalance FROM pgbench_accounts WHERE aid = {1 + number % ROWS}")
            if number in vanishing:
                outcome.vanished += 1
                return
            await asyncio.sleep(WORK_S)
            await client.ask("COMMIT")
        except (Refused, OSError, TimeoutError) as error:
            outcome.errors[_named(error)] += 1
        else:
            outcome.served += 1
            outcome.took_s.append(time.monotonic() - begun)

    begun = time.monotonic()
    try:
        async with asyncio.TaskGroup() as group:
            for number in range(storm.clients):
                await asyncio.sleep(begun + number / ARRIVALS_PER_S - time.monotonic())
                group.create_task(come(number))
        outcome.newcomer = await _newcomer(peer, server)
    finally:
        for client in there:
            client.close()
    return outcome


async def _newcomer(peer: Peer, server: Server) -> str:
    try:
        client = await Client.log_in(peer.port, server)
    except (Refused, OSError, TimeoutError) as error:
        return f"refused ({_named(error)})"
    try:
        await client.ask("SELECT 1")
    except (Refused, OSError, TimeoutError) as error:
        return f"refused ({_named(error)})"
    finally:
        client.close()
    return "served"


def _named(error: Exception) -> str:
    return f"SQLSTATE {error}" if isinstance(error, Refused) else type(error).__name__


assert ARRIVALS_PER_S * WORK_S > CONNECTIONS, "more clients at once than there are connections: a storm"

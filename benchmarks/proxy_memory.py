"""What an idle client costs a proxy in memory: the growth of its process with 2,000 and with 10,000 of them.

Each has logged in and run a statement. The kernel's part of a socket is not the process's and is not counted.
"""

import asyncio
from contextlib import AsyncExitStack
from pathlib import Path

from benchmarks.proxy_clients import Client
from benchmarks.proxy_servers import Peer, Server, clients_max, pgbouncer, proxy
from benchmarks.report import Report

SIZES = (2_000, 10_000)
AT_ONCE = 50
SETTLE_S = 1.0  # what was needed for the log-ins is given back


async def measure_memory(report: Report, server: Server, *, quick: bool) -> None:
    """Add a row for each number of clients."""
    sizes = [size for size in SIZES[: 1 if quick else None] if size <= clients_max()]
    for size in SIZES[: 1 if quick else None]:
        if size not in sizes:
            print(f"{size:,} idle clients: left out, a process may have {clients_max():,} here (RLIMIT_NOFILE)")
    grown: dict[str, list[float]] = {}
    for name, start in (("proxy", proxy), ("pgbouncer", pgbouncer)):
        async with AsyncExitStack() as stack:
            peer = await stack.enter_async_context(start(server))
            if peer is not None:
                grown[name] = await _grow(peer, server, sizes)
    for number, size in enumerate(sizes):
        ours, theirs = grown["proxy"][number], grown.get("pgbouncer")
        shown = "" if theirs is None else f"pgbouncer {theirs[number]:.2f}"
        ratio = None if theirs is None else ours / theirs[number]
        report.add(f"{size:,} idle clients", ours, "KiB each", shown, ratio)


async def _grow(peer: Peer, server: Server, sizes: list[int]) -> list[float]:
    """Give the KiB that each client adds, by number of clients."""
    assert peer.pid is not None
    clients: list[Client] = []
    gate = asyncio.Semaphore(AT_ONCE)

    async def come() -> None:
        async with gate:
            client = await Client.log_in(peer.port, server)
            clients.append(client)
            await client.ask("SELECT 1")

    try:
        await asyncio.gather(*(come() for _ in range(AT_ONCE)))
        await asyncio.sleep(SETTLE_S)
        before, found = _resident_kib(peer.pid), []  # what is made once, and for all who come at a time, is there
        for size in sizes:
            await asyncio.gather(*(come() for _ in range(size + AT_ONCE - len(clients))))
            await asyncio.sleep(SETTLE_S)
            found.append((_resident_kib(peer.pid) - before) / size)
    finally:
        for client in clients:
            client.close()
    return found


def _resident_kib(pid: int) -> int:
    """Read the memory that is the process's own, or its share of what is shared.

    Source: https://docs.kernel.org/filesystems/proc.html (smaps_rollup, Pss)
    """
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1])
    raise AssertionError("no Pss in smaps_rollup")

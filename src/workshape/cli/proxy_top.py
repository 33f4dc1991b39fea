"""`workshape proxy top`: who uses the database, who waits, who holds a connection and for how long; again and again."""

import time
from pathlib import Path
from typing import Annotated

import httpx
import msgspec
import typer
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from workshape.cli.admin import FolderOption, running_from
from workshape.cli.errors import reported
from workshape.cli.table import plain_table
from workshape.errors import BackendUnavailable
from workshape.status import ProxyStatus

DEFAULT_URL = "http://127.0.0.1:6433"
ANSWER_S_MAX = 5.0
ROWS_MAX = 15  # holders and pins: what fits on a screen
EVERY_S_MIN = 0.2


@reported
def top(
    url: Annotated[
        str | None, typer.Option("--url", help=f"Where the proxy shows its figures; else {DEFAULT_URL}.")
    ] = None,
    folder: FolderOption = Path(),
    every_s: Annotated[float, typer.Option("--every", min=EVERY_S_MIN, help="Seconds between two looks.")] = 1.0,
    once: Annotated[bool, typer.Option("--once", help="Look once, and end.")] = False,
) -> None:
    """Show the proxy at work: of the app that runs in the folder, else of `workshape proxy`."""
    address = _address(url, folder)
    console = Console()
    status = _ask(address)
    if once:
        console.print(screen(status, None, 0.0))
        return
    try:
        with Live(screen(status, None, 0.0), console=console, auto_refresh=False) as live:
            asked_at = time.monotonic()
            while True:
                time.sleep(every_s)
                before, status = status, _ask(address)
                now = time.monotonic()
                live.update(screen(status, before, now - asked_at), refresh=True)
                asked_at = now
    except KeyboardInterrupt:  # how it is ended
        return


def screen(status: ProxyStatus, before: ProxyStatus | None, seconds: float) -> RenderableType:
    """Lay a moment out; with the one before it, rates too."""
    of = "?" if status.max is None else str(status.max)
    head = [
        f"clients {status.client_connections}",
        f"database connections {status.database_connections} of {of}",
        f"borrowed {status.borrowed}",
        f"in transaction {status.in_transaction}",
    ]
    counts = [
        f"pinned {status.pinned}",
        f"waiting {status.waiting}",
        f"queries {status.query_requests}",
        f"borrow timeouts {status.borrow_timeouts}",
    ]
    if before is not None and seconds > 0:
        counts.insert(3, f"{(status.query_requests - before.query_requests) / seconds:.0f}/s")
    parts: list[RenderableType] = [Text("   ".join(head), style="bold"), Text("   ".join(counts))]
    if status.borrow_latency_ms:
        spread = "   ".join(f"{name} {value:.3g}" for name, value in status.borrow_latency_ms.items())
        parts.append(Text(f"borrow latency ms   {spread}"))
    parts += [table for table in (_pools(status), _holders(status), _pins(status)) if table.rows]
    return Group(*parts)


def _pools(status: ProxyStatus) -> Table:
    table = plain_table(
        "Pools", "database", "user", "clients", "waiting", "longest s", "lent", "idle", "opening", "pinned"
    )
    for pool in status.pools:
        numbers = (pool.clients, pool.waiting, f"{pool.longest_wait_s:.1f}", pool.lent, pool.idle)
        table.add_row(pool.database, pool.user, *map(str, (*numbers, pool.connecting, pool.pinned)))
    return table


def _holders(status: ProxyStatus) -> Table:
    table = plain_table("Held longest", "client", "user", "database", "address", "application", "held s", "transaction")
    for holder in status.holders[:ROWS_MAX]:
        table.add_row(
            str(holder.client),
            holder.user,
            holder.database,
            holder.address,
            holder.application,
            f"{holder.held_s:.1f}",
            "open" if holder.in_transaction else "-",
        )
    return table


def _pins(status: ProxyStatus) -> Table:
    table = plain_table("Pins", "client", "user", "reason", "statement", "age s")
    for pin in status.pins[:ROWS_MAX]:
        table.add_row(str(pin.client), pin.user, pin.reason, Text(pin.statement), f"{pin.age_s:.1f}")
    return table


def _address(url: str | None, folder: Path) -> str:
    if url is not None:
        return url.rstrip("/").removesuffix("/status")
    run = running_from(folder)
    if run is not None and run.proxy is not None:
        return f"http://{run.host}:{run.proxy.status_port}"
    return DEFAULT_URL


def _ask(address: str) -> ProxyStatus:
    try:
        answer = httpx.get(f"{address}/status", timeout=ANSWER_S_MAX, trust_env=False)
        answer.raise_for_status()
        return msgspec.json.decode(answer.content, type=ProxyStatus)
    except (httpx.HTTPError, httpx.InvalidURL, msgspec.DecodeError) as error:
        reason = f"{error}: start it with `workshape proxy --database URL`, or name its address with --url"
        raise BackendUnavailable(backend="the proxy", address=address, reason=reason) from error

"""What the demo prints."""

from collections.abc import Sequence

from rich import box
from rich.table import Table

from examples.demo.cold_starts import MEMORY_MB, Starts
from examples.demo.partial_batches import Outcome
from examples.demo.three_am import CALLERS, REQUESTS, Burst

BARS = "▁▂▃▄▅▆▇█"
COLUMNS = 20  # of the connections' chart


def bursts_table(bursts: Sequence[Burst], max_connections: int) -> Table:
    """Scene 1, a row a burst."""
    title = (
        f"3 a.m.: the same {REQUESTS} requests by {CALLERS} callers; max_connections = {max_connections}, 3 reserved"
    )
    table = Table(title=title, box=box.SIMPLE_HEAD, title_justify="left")
    table.add_column("search with")
    table.add_column("in")
    for name in ("errors", "FATAL", "p50 ms", "p99 ms", "connections"):
        table.add_column(name, justify="right")
    table.add_column("over time", no_wrap=True, min_width=COLUMNS)
    table.add_column("a newcomer")
    for burst in bursts:
        table.add_row(
            burst.title,
            burst.language,
            _count(burst.errors),
            _count(burst.refused),
            f"{burst.p50_ms:.0f}",
            f"{burst.p99_ms:.0f}",
            str(burst.connections_max),
            _chart(burst, max_connections),
            "[green]admitted[/]" if burst.newcomer_admitted else "[red]refused[/]",
        )
    return table


def outcomes_table(outcomes: Sequence[Outcome]) -> Table:
    """Scene 2, a row a queue."""
    table = Table(title="Partial batches", box=box.SIMPLE_HEAD, title_justify="left")
    table.add_column("the function", no_wrap=True)
    table.add_column("in")
    for name in ("sent", "events", "duplicates", "poison", "stored", "redelivered", "dead"):
        table.add_column(name, justify="right")
    table.add_column("only poison", no_wrap=True)
    for outcome in outcomes:
        verdict = "[green]yes[/]" if outcome.exactly_the_poison else "[red]no[/]"
        if not outcome.exactly_the_poison:
            verdict += f": {outcome.dead_lettered - outcome.dead_lettered_poison} done"
        table.add_row(
            outcome.title,
            outcome.language,
            str(outcome.sent),
            str(outcome.unique),
            str(outcome.duplicates),
            str(outcome.poison),
            str(outcome.stored),
            str(outcome.redeliveries),
            str(outcome.dead_lettered),
            verdict if outcome.drained else "[red]the queue did not drain[/]",
        )
    return table


def starts_table(starts: Sequence[Starts], why_no_sandbox: str) -> Table:
    """Scene 3, a row a way to begin. Without a sandbox all of them are one: below the table it says so."""
    title = f"Cold starts: one Python function whose init phase builds an SDK client, {MEMORY_MB:,} MB"
    table = Table(title=title, box=box.SIMPLE_HEAD, title_justify="left")
    table.add_column("the environment is")
    for name in ("starts", "waited p50 ms", "at most", "REPORT p50 ms"):
        table.add_column(name, justify="right")
    table.add_column("published of AWS")
    if why_no_sandbox:
        table.caption = (
            "There is no sandbox here, so no process waits and none is restored: who is not provisioned or warm begins "
            f"from nothing. {why_no_sandbox[:1].upper()}{why_no_sandbox[1:]}."
        )
        table.caption_justify = "left"
    for way in starts:
        reported = way.reported_p50_ms
        table.add_row(
            way.title,
            str(len(way.waited_ms)),
            f"{way.waited_p50_ms:.1f}",
            f"{max(way.waited_ms):.1f}",
            "-" if reported is None else f"{reported:.1f}",
            way.published,
        )
    return table


def _count(number: int) -> str:
    return f"[red]{number}[/]" if number else "[green]0[/]"


def _chart(burst: Burst, max_connections: int) -> str:
    """Connections over the burst: a bar for each slice of time, its height a share of max_connections."""
    end = max(burst.seconds, burst.connections[-1][0]) if burst.connections else burst.seconds
    bars, samples, now = "", list(burst.connections), 0
    for column in range(COLUMNS):
        until = end * (column + 1) / COLUMNS
        while samples and samples[0][0] <= until:
            now = samples.pop(0)[1]
        bars += BARS[min(len(BARS) - 1, now * len(BARS) // (max_connections + 1))]
    return bars

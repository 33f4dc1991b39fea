"""What a benchmark found: rows of measure, value, unit, peer, ratio; printed as a table and written as JSON.

A figure alone says little about a machine; so a row names the peer that was measured in the same run, and the
ratio of the value to the peer's.
"""

import argparse
import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import uvloop
from rich.console import Console
from rich.table import Table


@dataclass(frozen=True, slots=True)
class Row:
    """One figure. `ratio` is value / the peer's value; None where there is no peer."""

    measure: str
    value: float
    unit: str
    peer: str = ""
    ratio: float | None = None


class Report:
    """The rows of one benchmark, in the order they were measured."""

    def __init__(self, name: str, *, with_peers: bool = False, quick: bool = False) -> None:
        self.name = name
        self.with_peers = with_peers
        """Whether peers were asked for that have to be fetched first."""
        self.quick = quick
        """Whether a part of the figures will do."""
        self.rows: list[Row] = []

    def add(self, measure: str, value: float, unit: str, peer: str = "", ratio: float | None = None) -> None:
        """Note a figure; `peer` says what it stands beside, e.g. `bare asyncio echo 41,000/s`."""
        self.rows.append(Row(measure, value, unit, peer, ratio))

    def print(self) -> None:
        """Show the rows as a table."""
        table = Table(title=self.name, title_justify="left", title_style="bold")
        for heading in ("measure", "value", "unit", "peer", "ratio"):
            table.add_column(heading, justify="right" if heading in ("value", "ratio") else "left")
        for row in self.rows:
            ratio = "" if row.ratio is None else f"{row.ratio:.2f}"
            table.add_row(row.measure, _figure(row.value), row.unit, row.peer, ratio)
        Console().print(table)

    def write(self, path: Path) -> None:
        """Write the rows, unrounded."""
        document = {"benchmark": self.name, "rows": [asdict(row) for row in self.rows]}
        path.write_text(json.dumps(document, indent=2) + "\n")


def main(
    name: str, run: Callable[[Report], Awaitable[None] | None], *, has_peers: bool = False, has_quick: bool = False
) -> None:
    """Run a benchmark from the command line. `run` adds its rows; a coroutine function runs on uvloop."""
    parser = argparse.ArgumentParser(prog=f"python -m benchmarks.{name}")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the rows to FILE")
    if has_peers:
        parser.add_argument("--peers", action="store_true", help="also fetch and measure other programs")
    if has_quick:
        parser.add_argument("--quick", action="store_true", help="measure less, and less often")
    arguments = parser.parse_args()
    report = Report(name, with_peers=has_peers and arguments.peers, quick=has_quick and arguments.quick)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_run(report, run))
    report.print()
    if arguments.json is not None:
        report.write(arguments.json)


async def _run(report: Report, run: Callable[[Report], Awaitable[None] | None]) -> None:
    """Await the benchmark if there is something to await."""
    running = run(report)
    if running is not None:
        await running


def _figure(value: float) -> str:
    """Three significant figures for the small, whole numbers for the large."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"

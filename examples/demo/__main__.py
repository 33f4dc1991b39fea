"""`make demo`: four scenes, a progress display, tables at the end, and the same figures as JSON.

python -m examples.demo [--json FILE]
"""

import argparse
import asyncio
import json
import platform as machine
import shutil
import sys
import time
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.text import Text

from examples.demo import cold_starts, partial_batches, shape, three_am
from examples.demo.platform import DemoError, Platform, running
from examples.demo.tables import bursts_table, outcomes_table, starts_table

WIDTH_MIN = 120  # the tables' own; a terminal that is narrower folds lines, and nothing is cut off


def main() -> int:
    """Play it; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m examples.demo", description=__doc__)
    parser.add_argument("--json", metavar="FILE", type=Path, help="write every figure, unrounded")
    options = parser.parse_args()
    width = max(WIDTH_MIN, shutil.get_terminal_size().columns)
    console = Console(width=width)
    started = time.monotonic()
    try:
        figures = _play(console, width)
    except DemoError as error:
        print(f"demo: {error}", file=sys.stderr)
        return 1
    figures["seconds"] = time.monotonic() - started
    console.print(f"played in {figures['seconds']:.0f} s")
    if options.json:
        options.json.write_text(json.dumps(figures, indent=2) + "\n")
    return 0


def _play(console: Console, width: int) -> dict[str, Any]:
    progress = Progress(
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(30),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=console,
        transient=True,
    )
    with progress:
        task = progress.add_task("workshape up", total=None)
        with running(lambda line: progress.update(task, description=line[: width // 2])) as platform:
            progress.update(task, visible=False)
            bursts = _three_am(platform, progress)
            progress.console.print(bursts_table(bursts, platform.max_connections))
            outcomes = _partial_batches(platform, progress)
            progress.console.print(outcomes_table(outcomes))
            starts = _cold_starts(platform, progress)
            why_no_sandbox = platform.status()["why_no_sandbox"]
            progress.console.print(starts_table(starts, why_no_sandbox))
            in_memory = platform.run.in_memory
    text, verdict = shape.play(width)
    console.print(Text.from_ansi(text))
    return {
        "machine": {"system": machine.system(), "cpu": machine.machine(), "python": machine.python_version()},
        "in_memory": list(in_memory),
        "why_no_sandbox": why_no_sandbox,
        "three_am": [burst.as_json() for burst in bursts],
        "partial_batches": [outcome.as_json() for outcome in outcomes],
        "cold_starts": [each.as_json() for each in starts],
        "verdict": verdict,
    }


def _three_am(platform: Platform, progress: Progress) -> list[three_am.Burst]:
    task = progress.add_task("3 a.m.", total=len(three_am.VARIANTS))
    bursts = []
    for variant in three_am.VARIANTS:
        progress.update(task, description=f"3 a.m.: {variant.title}, {variant.language}")
        bursts.append(asyncio.run(three_am.play(platform, variant)))
        progress.advance(task)
    progress.remove_task(task)
    return bursts


def _partial_batches(platform: Platform, progress: Progress) -> list[partial_batches.Outcome]:
    tasks = {
        flow.queue: progress.add_task(f"partial batches: {flow.queue}", total=None) for flow in partial_batches.FLOWS
    }

    def settled(queue: str, done: int, sent: int) -> None:
        progress.update(tasks[queue], completed=done, total=sent)

    outcomes = partial_batches.play(platform, settled)
    for task in tasks.values():
        progress.remove_task(task)
    return outcomes


def _cold_starts(platform: Platform, progress: Progress) -> list[cold_starts.Starts]:
    task = progress.add_task("cold starts", total=len(cold_starts.WAYS) + 1)

    def begun(what: str) -> None:
        progress.update(task, description=f"cold starts: {what}")
        progress.advance(task)

    starts = cold_starts.play(platform, begun)
    progress.remove_task(task)
    return starts


if __name__ == "__main__":
    sys.exit(main())

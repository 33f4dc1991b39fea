"""`workshape logs`: what functions wrote."""

import contextlib
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.text import Text

from workshape.cli.admin import EndpointOption, FolderOption, find_running, log_lines
from workshape.cli.errors import reported


@reported
def logs(
    function: Annotated[str | None, typer.Argument(help="Only this function's.")] = None,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on as lines are written.")] = False,
    tail: Annotated[int, typer.Option("--tail", "-n", min=0, help="This many lines of what is there.")] = 100,
    folder: FolderOption = Path(),
    endpoint: EndpointOption = None,
) -> None:
    """Show the log of one function, or of all."""
    running = find_running(folder, endpoint)
    console = Console(soft_wrap=True)
    with (
        contextlib.suppress(KeyboardInterrupt),
        log_lines(running, function, tail=tail, follow=follow) as lines,
    ):
        for line in lines:
            console.print(log_text(line, named=function is None))


def log_text(line: str, *, named: bool) -> Text:
    """Colour a line of the log API; `named`: it begins with a function's name and a tab."""
    if not named:
        return Text(line)
    name, _, rest = line.partition("\t")
    return Text.assemble((f"{name:<16} ", "cyan"), rest)

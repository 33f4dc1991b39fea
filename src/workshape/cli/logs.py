"""`workshape logs`: what functions wrote."""

import contextlib
import re
import time
from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.text import Text

from workshape.cli.admin import EndpointOption, FolderOption, find_running, log_lines
from workshape.cli.errors import reported
from workshape.errors import Invalid

NAME_COLUMNS = 16  # of most functions
LINES = 100
ALL_LINES = 10_000  # as many as one answer has
_SPAN = re.compile(r"(\d{1,9})([smhd])")
_UNITS_S = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}


@reported
def logs(
    function: Annotated[str | None, typer.Argument(help="Only this function's.")] = None,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on as lines are written.")] = False,
    tail: Annotated[
        int | None,
        typer.Option("--tail", "-n", min=0, help="So many lines of what is there: 100, with --since all."),
    ] = None,
    since: Annotated[str, typer.Option(help="Only what was written since: 90s, 10m, 2h, 1d, or an ISO time.")] = "",
    pattern: Annotated[
        str, typer.Option("--filter", help="Only matching lines: a filter pattern of CloudWatch Logs.")
    ] = "",
    request_id: Annotated[str, typer.Option(help="Only the lines of this request.")] = "",
    folder: FolderOption = Path(),
    endpoint: EndpointOption = None,
) -> None:
    """Show the log of one function, or of all."""
    running = find_running(folder, endpoint)
    console = Console(soft_wrap=True)
    began = since_time(since, time.time()) if since else 0.0
    shown = tail if tail is not None else ALL_LINES if since else LINES
    with (
        contextlib.suppress(KeyboardInterrupt),
        log_lines(
            running, function, tail=shown, follow=follow, since=began, pattern=pattern, request_id=request_id
        ) as lines,
    ):
        for line in lines:
            console.print(log_text(line, named=function is None))


def since_time(text: str, now: float) -> float:
    """Read a span before `now` (`90s`, `10m`, `2h`, `1d`) or an ISO time; return Unix time.

    Raises:
        Invalid: it is neither.
    """
    if (span := _SPAN.fullmatch(text)) is not None:
        return now - int(span[1]) * _UNITS_S[span[2]]
    try:
        return datetime.fromisoformat(text).astimezone().timestamp()
    except (ValueError, OverflowError) as error:
        raise Invalid(reason=f"--since is {text!r}: say 90s, 10m, 2h, 1d, or 2026-10-08T06:53:49Z") from error


def log_text(line: str, *, named: bool) -> Text:
    """Colour a line of the log API, a traceback in it on lines of its own.

    `named`: it begins with a function's name and a tab.
    """
    if not named:
        return Text(line.rstrip("\r").replace("\r", "\n"))
    name, _, rest = line.partition("\t")
    below = f"\n{'':<{NAME_COLUMNS}} "
    return Text.assemble((f"{name:<{NAME_COLUMNS}} ", "cyan"), rest.rstrip("\r").replace("\r", below))

"""`workshape`: the commands, one file each."""

import sys
from importlib.metadata import version
from typing import Annotated

import typer

from workshape.cli.doctor import doctor
from workshape.cli.down import down
from workshape.cli.invoke import invoke
from workshape.cli.kill_connections import kill_connections
from workshape.cli.logs import logs
from workshape.cli.proxy import proxy
from workshape.cli.status import status
from workshape.cli.throttle import throttle
from workshape.cli.up import up
from workshape.cli.verdict import verdict

app = typer.Typer(
    name="workshape",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)


def _show_version(is_asked: bool) -> None:
    if is_asked:
        sys.stdout.write(f"workshape {version('workshape')}\n")
        raise typer.Exit


@app.callback()
def workshape(
    _version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version, and end.")
    ] = False,
) -> None:
    """Tell me the shape of the work first."""


for command in (up, down, status, invoke, logs, throttle, kill_connections, verdict, doctor):
    app.command()(command)
app.add_typer(proxy)

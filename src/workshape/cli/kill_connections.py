"""`workshape kill-connections`: free the database of the connections that functions hold."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from workshape.cli.admin import EndpointOption, FolderOption, end_connections, find_running
from workshape.cli.errors import reported
from workshape.errors import Invalid


@reported
def kill_connections(
    function: Annotated[str | None, typer.Option("--function", help="Only this function's.")] = None,
    idle: Annotated[bool, typer.Option("--idle", help="Only those outside a transaction.")] = False,
    everybody: Annotated[bool, typer.Option("--all", help="The proxy's and everybody else's too.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only tell what would be ended.")] = False,
    folder: FolderOption = Path(),
    endpoint: EndpointOption = None,
) -> None:
    """End the connections that functions hold to the database directly, and show who is left."""
    if function is not None and everybody:
        raise Invalid(reason="--all ends everybody's connections, --function one function's: give one of them")
    running = find_running(folder, endpoint)
    done = end_connections(running, function, idle=idle, everybody=everybody, in_advance=dry_run)
    sys.stdout.write(f"{done.told(in_advance=dry_run)}\n")

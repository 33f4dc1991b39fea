"""`workshape kill-connections`: free the database of the connections that functions hold."""

import sys
from collections.abc import Mapping
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
    folder: FolderOption = Path(),
    endpoint: EndpointOption = None,
) -> None:
    """End the connections that functions hold to the database directly, and show who is left."""
    if function is not None and everybody:
        raise Invalid(reason="--all ends everybody's connections, --function one function's: give one of them")
    done = end_connections(find_running(folder, endpoint), function, idle=idle, everybody=everybody)
    sys.stdout.write(f"ended {_shown(done.ended)}\n")
    sys.stdout.write(f"left {_shown(done.left)}, of {done.max_connections} there can be\n")


def _shown(connections: Mapping[str, int]) -> str:
    """`5 connections (3 of search, 2 of events)`."""
    total = sum(connections.values())
    owners = ", ".join(f"{count} of {owner}" for owner, count in connections.items())
    return f"{total} connection{'' if total == 1 else 's'}" + (f" ({owners})" if owners else "")

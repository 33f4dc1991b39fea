"""How a command fails: one clear line on stderr and exit status 1, never a traceback for what can be foreseen."""

import functools
import sys
from collections.abc import Callable
from typing import ParamSpec, TypeVar

import typer

from workshape.errors import WorkshapeError

P = ParamSpec("P")
R = TypeVar("R")


def reported(command: Callable[P, R]) -> Callable[P, R]:
    """Make a command report our errors instead of raising them."""

    @functools.wraps(command)
    def run(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return command(*args, **kwargs)
        except WorkshapeError as error:
            sys.stderr.write(f"workshape: {error}\n")
            raise typer.Exit(1) from error

    return run

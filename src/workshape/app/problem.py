"""Something wrong with an app, and where. A core."""

import difflib
from collections.abc import Iterable
from dataclasses import dataclass

from workshape.app.model import App

Place = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Problem:
    """Something wrong with the app, and where: `("functions", "search", "memory_mb")`."""

    place: Place
    what: str


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Suggest the nearest known name, or list them all: the end of a sentence about an unknown one."""
    names = sorted(known)
    near = difflib.get_close_matches(name, names, n=1)
    if near:
        return f'did you mean "{near[0]}"?'
    return f"there are: {', '.join(names)}" if names else "there are none"


def no_function(app: App, place: Place, name: str) -> Problem:
    """Say that a function is named that is not there."""
    known = did_you_mean(name, [function.name for function in app.functions])
    return Problem(place, f"there is no [functions.{name}]; {known}")

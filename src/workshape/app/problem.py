"""Something wrong with an app, and where. A core."""

import re
from dataclasses import dataclass

from workshape.app.model import App
from workshape.toml_document import Place, did_you_mean


@dataclass(frozen=True, slots=True)
class Problem:
    """Something wrong with the app, and where: `("functions", "search", "memory_mb")`."""

    place: Place
    what: str


@dataclass(frozen=True, slots=True)
class Naming:
    """What names a kind of thing may have."""

    kind: str
    """`a function`"""
    pattern: re.Pattern[str]
    words: str
    """The same, for people: `1 to 64 letters, digits, - and _`."""

    def allows(self, name: str) -> bool:
        """Tell whether it is such a name."""
        return self.pattern.fullmatch(name) is not None

    def refusal(self, name: str) -> str:
        """Say that it is none, and what would be one."""
        return f"{name!r} is no name for {self.kind}: {self.words}"


def no_function(app: App, place: Place, name: str) -> Problem:
    """Say that a function is named that is not there."""
    known = did_you_mean(name, [function.name for function in app.functions])
    return Problem(place, f"there is no [functions.{name}]; {known}")

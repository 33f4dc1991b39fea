"""The JSON paths that rules' targets take: dots, brackets, indices, wildcards. A core.

Source: https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-transform-target-input.html
Source: https://docs.aws.amazon.com/eventbridge/latest/APIReference/API_Target.html (InputPath)
"""

import re
from dataclasses import dataclass
from typing import Any

from workshape.errors import Invalid

_STEP = re.compile(
    r"""\.(?P<name>[^.\[\]'"*\s]+) | \.(?P<all>\*) | \[(?P<index>\d+)\] | \[(?P<each>\*)\]
      | \['(?P<single>[^']+)'\] | \["(?P<double>[^"]+)"\]""",
    re.VERBOSE,
)


class InvalidPath(Invalid):
    """{path!r} is no JSON path: {reason}."""

    path: str


class NotThere(Exception):
    """The path leads nowhere in this event."""


@dataclass(frozen=True, slots=True)
class JsonPath:
    """Steps from the root: a name, an index, or None for a wildcard."""

    steps: tuple[str | int | None, ...]

    def find(self, document: Any) -> Any:
        """Return what it leads to; with a wildcard, a list of all it leads to.

        Raises:
            NotThere: to nothing.
        """
        found = [document]
        for step in self.steps:
            found = [after for value in found for after in _after(value, step)]
        if None in self.steps:
            return found
        if not found:
            raise NotThere
        return found[0]


def parse_path(text: str) -> JsonPath:
    """Read a path.

    Raises:
        InvalidPath: it is none.
    """
    if not text.startswith("$"):
        raise InvalidPath(path=text, reason="it begins with $, the event itself")
    steps: list[str | int | None] = []
    place = 1
    if text == "$.":  # AWS's CDK writes the whole event so
        return JsonPath(())
    while place < len(text):
        found = _STEP.match(text, place)
        if found is None:
            reason = f"{text[place:]!r} is neither .NAME, [INDEX], ['NAME'] nor a wildcard"
            raise InvalidPath(path=text, reason=reason)
        steps.append(_step(found))
        place = found.end()
    return JsonPath(tuple(steps))


def _step(found: re.Match[str]) -> str | int | None:
    if found["index"] is not None:
        return int(found["index"])
    if found["all"] or found["each"]:
        return None
    return found["name"] or found["single"] or found["double"]


def _after(value: Any, step: str | int | None) -> list[Any]:
    if isinstance(value, dict):
        if step is None:
            return list(value.values())
        return [value[step]] if step in value else []
    if isinstance(value, list):
        if step is None:
            return value
        return [value[step]] if isinstance(step, int) and step < len(value) else []
    return []

"""What a rule's target adds to an HTTP request: values for its path, its query string and its headers. A core.

A value that is a JSON path stands for what is there in the event, as it was before any input transformer.

Source: https://docs.aws.amazon.com/eventbridge/latest/APIReference/API_HttpParameters.html
Source: https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-targets.html#dynamic-path-parameters
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from workshape.events.json_path import JsonPath, NotThere, parse_path

_PATH_BEGINS = "$."


class HttpParameters(msgspec.Struct, frozen=True):
    """As they were given; or, of an invocation, with the event's values in them."""

    path: tuple[str, ...] = ()
    """In the place of the endpoint's wildcards, one after the other."""
    query: dict[str, str] = {}
    headers: dict[str, str] = {}


@dataclass(frozen=True, slots=True)
class CompiledHttpParameters:
    """Ready to be filled in."""

    path: tuple[str | JsonPath, ...]
    query: Mapping[str, str | JsonPath]
    headers: Mapping[str, str | JsonPath]

    def fill(self, event: dict[str, Any]) -> HttpParameters:
        """Take the values of an event.

        AWS: undocumented what becomes of a path that leads nowhere; we leave its header or its query parameter out, and
        put nothing in the place of its wildcard.
        """
        path = tuple(_value(part, event) or "" for part in self.path)
        return HttpParameters(path, _values(self.query, event), _values(self.headers, event))


def compile_http_parameters(given: HttpParameters) -> CompiledHttpParameters:
    """Read the JSON paths among the values once. Raises: InvalidPath: one is none."""
    return CompiledHttpParameters(
        tuple(map(_compiled, given.path)),
        {key: _compiled(value) for key, value in given.query.items()},
        {key: _compiled(value) for key, value in given.headers.items()},
    )


def _compiled(value: str) -> str | JsonPath:
    return parse_path(value) if value.startswith(_PATH_BEGINS) else value


def _values(given: Mapping[str, str | JsonPath], event: dict[str, Any]) -> dict[str, str]:
    found = {key: _value(value, event) for key, value in given.items()}
    return {key: value for key, value in found.items() if value is not None}


def _value(given: str | JsonPath, event: dict[str, Any]) -> str | None:
    if isinstance(given, str):
        return given
    try:
        found = given.find(event)
    except NotThere:
        return None
    return found if isinstance(found, str) else msgspec.json.encode(found).decode()

"""Which operation a method and a path name, looked up segment by segment.

Source: https://smithy.io/2.0/spec/http-bindings.html#http-trait
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import unquote

FOUND_MAX = 1_024  # answers kept, of paths up to 64 KiB: clients ask for a few over and over


@dataclass(slots=True)
class _Node:
    fixed: dict[str, "_Node"] = field(default_factory=dict)
    label: "_Node | None" = None
    rest: dict[str, tuple[str, tuple[str, ...]]] = field(default_factory=dict)
    """By method, what a greedy label here leads to."""
    operations: dict[str, tuple[str, tuple[str, ...]]] = field(default_factory=dict)
    """By method: the operation and the names of its labels, in their order."""


class PathTable:
    """Operations by method and path pattern (`/a/{Label}/b`, `/a/{Rest+}`). A fixed segment goes before a label."""

    def __init__(self) -> None:
        self._root = _Node()
        self._found: dict[tuple[str, str], tuple[str, Mapping[str, str]]] = {}

    def add(self, method: str, pattern: str, operation: str) -> None:
        """Add an operation; a trailing slash makes no difference."""
        node, names = self._root, []
        for segment in _segments(pattern.partition("?")[0]):
            if not segment.startswith("{"):
                node = node.fixed.setdefault(segment, _Node())
                continue
            names.append(segment.strip("{+}"))
            if segment.endswith("+}"):
                node.rest[method] = (operation, tuple(names))
                return
            node.label = node.label or _Node()
            node = node.label
        node.operations[method] = (operation, tuple(names))

    def find(self, method: str, raw_path: str) -> tuple[str, Mapping[str, str]] | None:
        """Return the operation and its labels, percent-decoded; None when there is none."""
        known = self._found.get((method, raw_path))
        if known is not None:
            return known
        found = _find(self._root, method, _segments(raw_path), [])
        if found is None:
            return None
        (operation, names), values = found
        answer = operation, {name: unquote(value) for name, value in zip(names, values, strict=True)}
        if len(self._found) >= FOUND_MAX:
            self._found.clear()
        self._found[method, raw_path] = answer
        return answer


def _find(
    node: _Node, method: str, segments: list[str], values: list[str]
) -> tuple[tuple[str, tuple[str, ...]], list[str]] | None:
    if not segments:
        return (node.operations[method], values) if method in node.operations else None
    segment, further = segments[0], segments[1:]
    if segment in node.fixed and (found := _find(node.fixed[segment], method, further, values)) is not None:
        return found
    if node.label is not None and segment:
        found = _find(node.label, method, further, [*values, segment])
        if found is not None:
            return found
    if method in node.rest:
        return node.rest[method], [*values, "/".join(segments)]
    return None


def _segments(path: str) -> list[str]:
    return path.strip("/").split("/")

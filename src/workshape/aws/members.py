"""Members that many services' shapes have: tags, times, and what is left out when there is nothing in it."""

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any


def given(**members: Any) -> dict[str, Any]:
    """Keep the members that have something in them."""
    return {name: value for name, value in members.items() if value}


def when(at: float) -> datetime:
    """Write a Unix time."""
    return datetime.fromtimestamp(at, UTC)


def read_tags(tags: Iterable[dict[str, str]]) -> dict[str, str]:
    """Read a list of tags."""
    return {tag["Key"]: tag["Value"] for tag in tags}


def write_tags(tags: dict[str, str]) -> list[dict[str, str]]:
    """Write tags as a list."""
    return [{"Key": key, "Value": value} for key, value in tags.items()]

"""Members that many services' shapes have: tags, times, and what is left out when there is nothing in it."""

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from workshape.errors import Invalid


def given(**members: Any) -> dict[str, Any]:
    """Keep the members that have something in them."""
    return {name: value for name, value in members.items() if value}


def when(at: float) -> datetime:
    """Write a Unix time."""
    return datetime.fromtimestamp(at, UTC)


def read_tags(tags: Iterable[dict[str, str]]) -> dict[str, str]:
    """Read a list of tags: some services' models let a key or a value be left out.

    Raises:
        Invalid: there is a tag without a key.
    """
    read = {tag.get("Key", ""): tag.get("Value", "") for tag in tags}
    if "" in read:
        raise Invalid(reason="A tag needs a Key.")  # AWS: undocumented; we chose the words
    return read


def write_tags(tags: dict[str, str]) -> list[dict[str, str]]:
    """Write tags as a list."""
    return [{"Key": key, "Value": value} for key, value in tags.items()]

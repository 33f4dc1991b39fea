"""Which secrets a list's filters choose, and in which order. A core.

Source: https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_Filter.html
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from workshape.secrets.model import Secret


@dataclass(frozen=True, slots=True)
class Filter:
    """One condition: a key, and the values of which one must be found. `!` before a value turns it around."""

    key: str
    values: Sequence[str]


def select(secrets: Iterable[Secret], filters: Sequence[Filter], region: str) -> list[Secret]:
    """Choose those for which each filter holds."""
    return [secret for secret in secrets if all(_holds(secret, one, region) for one in filters)]


def order_by(key: str) -> Callable[[Secret], tuple[float | str, str]]:
    """By what to sort: a `SortBy`; by name, where that is the same."""
    match key:
        case "name":
            return lambda secret: (secret.name, secret.name)
        case "last-accessed-date":
            return lambda secret: (secret.accessed_on or 0.0, secret.name)
        case "last-changed-date":
            return lambda secret: (secret.changed_at, secret.name)
        case _:
            return lambda secret: (secret.created_at, secret.name)


def _holds(secret: Secret, wanted: Filter, region: str) -> bool:
    return any(
        not _found(secret, wanted.key, value[1:], region)
        if value.startswith("!")
        else _found(secret, wanted.key, value, region)
        for value in wanted.values
    )


def _found(secret: Secret, key: str, value: str, region: str) -> bool:
    match key:
        case "description":
            return secret.description.lower().startswith(value.lower())
        case "name":
            return secret.name.startswith(value)
        case "tag-key":
            return any(name.startswith(value) for name in secret.tags)
        case "tag-value":
            return any(text.startswith(value) for text in secret.tags.values())
        case "primary-region":
            return region.startswith(value)
        case "owning-service":
            return False  # no service owns secrets here
        case _:
            return _has_words(secret, value)


def _has_words(secret: Secret, value: str) -> bool:
    """AWS: how words are found is undocumented; we chose: each of them somewhere, whatever its case."""
    everything = " ".join((secret.name, secret.description, *secret.tags, *secret.tags.values())).lower()
    return all(word in everything for word in value.lower().split())

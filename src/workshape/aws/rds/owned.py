"""DB instances and clusters of ours among the upstream's: how they are found, by name or by filters."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from workshape.aws.operation import Call, NotOurs

ENGINE = "postgres"


@dataclass(frozen=True, slots=True)
class Owned:
    """One of ours."""

    names: frozenset[str]
    """Its identifier and its ARN; requests may write them in capitals or not."""
    filters: Mapping[str, frozenset[str]]
    """What each filter of the operation finds it by."""
    written: dict[str, Any]


async def beside_upstream(call: Call, parameters: dict[str, Any], kind: str, owned: Sequence[Owned]) -> dict[str, Any]:
    """Answer with those of ours that are asked for; a request that names none is the upstream's, too.

    Raises:
        NotOurs: it asks for one that is none of ours, or for a further page.
    """
    member, wanted = f"{kind}s", parameters.get(f"{kind}Identifier")
    named = [one for one in owned if wanted is None or wanted.lower() in {name.lower() for name in one.names}]
    if not named or parameters.get("Marker"):
        raise NotOurs(kind=f"the {kind}", name=wanted or "")
    ours = [one.written for one in named if _is_meant(one, parameters)]
    if wanted is not None:
        return {member: ours}
    found = await call.ask_upstream() or {member: []}
    return {**found, member: [*ours, *found[member]]}


def _is_meant(one: Owned, parameters: dict[str, Any]) -> bool:
    filters = parameters.get("Filters", ())
    return all(one.filters.get(each["Name"], frozenset()).intersection(each.get("Values", ())) for each in filters)

"""Members of requests as values that are kept as they came: API Gateway's, of both of its services."""

from collections.abc import Mapping
from typing import Any, TypeVar

import msgspec

from workshape.errors import Invalid

S = TypeVar("S", bound=msgspec.Struct)


class NotBuilt(Invalid):
    """workshape does not do {feature} yet."""

    feature: str


class InvalidMember(Invalid):
    """Invalid value: {reason}"""


def make(kind: type[S], parameters: Mapping[str, Any], *addressed: str, **own: Any) -> S:
    """Make one of what a request gives, and of what is ours; `addressed` are the members that are not part of it.

    Raises:
        NotBuilt: a member is given that is not kept here, and says something.
        InvalidMember: one has not the shape that it must have.
    """
    fields = {field.encode_name for field in msgspec.structs.fields(kind)}
    given = {name: value for name, value in parameters.items() if name not in addressed}
    for name, value in given.items():
        if name not in fields and value not in ("", False, {}, []):
            raise NotBuilt(feature=name)
    try:
        return msgspec.convert({**{name: value for name, value in given.items() if name in fields}, **own}, kind)
    except msgspec.ValidationError as error:
        raise InvalidMember(reason=str(error)) from error

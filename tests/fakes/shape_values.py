"""Values for the shapes of botocore's service models, as hypothesis strategies."""

from datetime import UTC, datetime
from typing import Any

from botocore.model import ListShape, MapShape, Shape, StringShape, StructureShape
from hypothesis import strategies as st

DEPTH_MAX = 4
# Without what XML cannot hold: https://www.w3.org/TR/xml/#charsets
_TEXT = st.text(
    st.characters(exclude_categories=("Cs", "Cc"), exclude_characters="\ufffe\uffff"), min_size=1, max_size=8
)


def values_of(shape: Shape, depth: int = 0) -> st.SearchStrategy[Any]:
    """Make values of a shape, as boto3 takes and gives them; constraints other than enums are not kept."""
    if isinstance(shape, StructureShape):
        members = {} if depth >= DEPTH_MAX else shape.members
        required = {name: values_of(shape.members[name], depth + 1) for name in shape.required_members}
        optional = {name: values_of(member, depth + 1) for name, member in members.items() if name not in required}
        return st.fixed_dictionaries(required, optional=optional)
    if isinstance(shape, ListShape):
        return st.lists(values_of(shape.member, depth + 1), min_size=1, max_size=3)
    if isinstance(shape, MapShape):
        keys, values = values_of(shape.key, depth + 1), values_of(shape.value, depth + 1)
        return st.dictionaries(keys, values, min_size=1, max_size=3)
    if isinstance(shape, StringShape) and shape.enum:
        return st.sampled_from(list(shape.enum))
    return _SCALARS[shape.type_name]


_SCALARS: dict[str, st.SearchStrategy[Any]] = {
    "string": _TEXT,
    "character": _TEXT,
    "integer": st.integers(-(2**31), 2**31 - 1),
    "long": st.integers(-(2**53), 2**53),
    "float": st.floats(-1e6, 1e6, width=32),
    "double": st.floats(-1e9, 1e9),
    "boolean": st.booleans(),
    "blob": st.binary(min_size=1, max_size=12),
    "timestamp": st.integers(0, 2**31).map(lambda seconds: datetime.fromtimestamp(seconds, UTC)),
}

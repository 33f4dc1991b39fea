"""Where the query protocol puts the members of a structure: names, and which lists and maps are flattened.

Source: https://smithy.io/2.0/aws/protocols/aws-query-protocol.html#query-key-resolution
"""

from dataclasses import dataclass

from botocore.model import ListShape, MapShape, ServiceModel, Shape

from workshape.aws.protocol.query_names import map_names, repeated_name


@dataclass(frozen=True, slots=True)
class QueryLayout:
    """The naming of one service."""

    names_lost: bool
    """The model is JSON's: names come from `query_names.py`."""

    @classmethod
    def of(cls, model: ServiceModel) -> "QueryLayout":
        """Tell by the model: one that has left the query protocol for good says no XML namespace any more."""
        return cls("awsQueryCompatible" in model.metadata and "xmlNamespace" not in model.metadata)

    def member_name(self, name: str, shape: Shape) -> str:
        """Name a member."""
        if self.names_lost:
            return repeated_name(name, shape) if isinstance(shape, ListShape | MapShape) else name
        if isinstance(shape, ListShape) and self.is_flat(shape):
            return str(shape.member.serialization.get("name", shape.serialization.get("name", name)))
        return str(shape.serialization.get("name", name))

    def is_flat(self, shape: Shape) -> bool:
        """Whether a list's or map's elements stand right under its member's name."""
        return self.names_lost or bool(shape.serialization.get("flattened"))

    def element_name(self, shape: ListShape) -> str:
        """Name an element of a list that is not flattened."""
        return str(shape.member.serialization.get("name", "member"))

    def entry_names(self, shape: MapShape) -> tuple[str, str]:
        """Name the key and the value of a map's entry."""
        if self.names_lost:
            return map_names(shape)
        return (
            str(shape.key.serialization.get("name", "key")),
            str(shape.value.serialization.get("name", "value")),
        )

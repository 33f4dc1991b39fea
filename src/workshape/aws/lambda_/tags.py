"""The operations on the tags of functions and of event source mappings.

Each method's page is https://docs.aws.amazon.com/lambda/latest/api/API_NAME.html
"""

from collections.abc import Mapping
from typing import Any

from workshape.aws.operation import Call, Operation
from workshape.errors import Invalid
from workshape.functions.catalog import Catalog
from workshape.functions.function import Function
from workshape.triggers.supervisor import MappingSupervisor

OWN_PREFIX = "aws:"
TAGS_MAX = 50
"""Source: https://docs.aws.amazon.com/lambda/latest/dg/configuration-tags.html"""


class TooManyTags(Invalid):
    """A function has at most {count_max} tags."""

    count_max: int


class ReservedTag(Invalid):
    """The tag {key} cannot be set: keys that begin with aws: are AWS's own."""

    # AWS: undocumented; we chose the words.
    key: str


class TagsOfVersions(Invalid):
    """Tags on function aliases and versions are not supported. Please specify either a function ARN or an unqualified
    function ARN.
    """

    # AWS: undocumented; we chose the words.


def tag_operations(catalog: Catalog, mappings: MappingSupervisor | None) -> Mapping[str, Operation]:
    """Offer the operations by their names in the service model."""
    operations = _TagOperations(catalog, mappings)
    return {"ListTags": operations.list, "TagResource": operations.tag, "UntagResource": operations.untag}


class _TagOperations:
    def __init__(self, catalog: Catalog, mappings: MappingSupervisor | None) -> None:
        self._catalog = catalog
        self._mappings = mappings

    async def list(self, call: Call, parameters: dict[str, Any]) -> dict[str, Any]:
        return {"Tags": self._present(parameters)}

    async def tag(self, call: Call, parameters: dict[str, Any]) -> dict[str, Any]:
        self._set(parameters, {**self._present(parameters), **parameters["Tags"]})
        return {}

    async def untag(self, call: Call, parameters: dict[str, Any]) -> dict[str, Any]:
        gone = parameters["TagKeys"]
        self._set(parameters, {key: value for key, value in self._present(parameters).items() if key not in gone})
        return {}

    def _present(self, parameters: dict[str, Any]) -> dict[str, str]:
        mapping_id = _mapping_id(parameters)
        if mapping_id is not None and self._mappings is not None:
            return self._mappings.get(mapping_id).mapping.tags
        return self._function(parameters).tags

    def _set(self, parameters: dict[str, Any], tags: dict[str, str]) -> None:
        mapping_id = _mapping_id(parameters)
        if mapping_id is not None and self._mappings is not None:
            self._mappings.tag(mapping_id, tags)
            return
        function = self._function(parameters)
        check_tags(tags)
        self._catalog.set_tags(function.name, tags)

    def _function(self, parameters: dict[str, Any]) -> Function:
        reference = self._catalog.reference(parameters["Resource"])
        if reference.qualifier is not None:
            raise TagsOfVersions()
        return self._catalog.get(reference.name)


def _mapping_id(parameters: dict[str, Any]) -> str | None:
    """The id in an event source mapping's ARN; None when the resource is none."""
    _, found, mapping_id = str(parameters["Resource"]).partition(":event-source-mapping:")
    return mapping_id if found else None


def check_tags(tags: Mapping[str, str]) -> None:
    """Check what a function is to be tagged with.

    Raises:
        TooManyTags: it is too much. ReservedTag: such a tag is AWS's to set.

    Source: https://docs.aws.amazon.com/lambda/latest/dg/configuration-tags.html
    """
    for key in tags:
        if key.lower().startswith(OWN_PREFIX):
            raise ReservedTag(key=key)
    if len(tags) > TAGS_MAX:
        raise TooManyTags(count_max=TAGS_MAX)

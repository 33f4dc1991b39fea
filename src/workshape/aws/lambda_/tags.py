"""The operations on functions' tags.

Each method's page is https://docs.aws.amazon.com/lambda/latest/api/API_NAME.html
"""

from collections.abc import Mapping
from typing import Any

from workshape.aws.operation import Call, Operation
from workshape.errors import Invalid
from workshape.functions.catalog import Catalog
from workshape.functions.function import Function

TAGS_MAX = 50
"""Source: https://docs.aws.amazon.com/lambda/latest/dg/configuration-tags.html"""


class TooManyTags(Invalid):
    """A function has at most {count_max} tags."""

    count_max: int


class TagsOfVersions(Invalid):
    """Tags on function aliases and versions are not supported. Please specify either a function ARN or an unqualified
    function ARN.
    """

    # AWS: undocumented; we chose the words.


def tag_operations(catalog: Catalog) -> Mapping[str, Operation]:
    """Offer the operations by their names in the service model."""
    operations = _TagOperations(catalog)
    return {"ListTags": operations.list, "TagResource": operations.tag, "UntagResource": operations.untag}


class _TagOperations:
    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog

    async def list(self, call: Call, parameters: dict[str, Any]) -> dict[str, Any]:
        return {"Tags": self._function(parameters).tags}

    async def tag(self, call: Call, parameters: dict[str, Any]) -> dict[str, Any]:
        function = self._function(parameters)
        tags = {**function.tags, **parameters["Tags"]}
        check_tags(tags)
        self._catalog.set_tags(function.name, tags)
        return {}

    async def untag(self, call: Call, parameters: dict[str, Any]) -> dict[str, Any]:
        function = self._function(parameters)
        gone = parameters["TagKeys"]
        self._catalog.set_tags(function.name, {key: value for key, value in function.tags.items() if key not in gone})
        return {}

    def _function(self, parameters: dict[str, Any]) -> Function:
        reference = self._catalog.reference(parameters["Resource"])
        if reference.qualifier is not None:
            raise TagsOfVersions()
        return self._catalog.get(reference.name)


def check_tags(tags: Mapping[str, str]) -> None:
    """Check what a function is to be tagged with.

    Raises:
        TooManyTags: it is too much.
    """
    if len(tags) > TAGS_MAX:
        raise TooManyTags(count_max=TAGS_MAX)

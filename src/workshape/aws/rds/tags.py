"""The operations on tags, of proxies, target groups and endpoints; other resources' tags are the upstream's.

Each method's page is https://docs.aws.amazon.com/AmazonRDS/latest/APIReference/API_NAME.html
"""

from collections.abc import Callable, Mapping
from typing import Any

from workshape.arn import parse_arn
from workshape.aws.members import read_tags, write_tags
from workshape.aws.operation import Call, NotOurs, Operation
from workshape.proxies.model import InvalidValue, ResourceNotFound
from workshape.proxies.registry import Proxies

TAGS_MAX = 50
"""Source: https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/USER_Tagging.html"""
_KINDS = ("db-proxy", "db-proxy-endpoint", "target-group")

Tags = dict[str, str]


def tag_operations(proxies: Proxies) -> Mapping[str, Operation]:
    """Offer the operations by their names in the service model."""
    operations = _TagOperations(proxies)
    return {
        "AddTagsToResource": operations.add,
        "ListTagsForResource": operations.list,
        "RemoveTagsFromResource": operations.remove,
    }


class _TagOperations:
    def __init__(self, proxies: Proxies) -> None:
        self._proxies = proxies

    async def add(self, call: Call, parameters: dict[str, Any]) -> dict[str, Any]:
        added = read_tags(parameters["Tags"])

        def change(tags: Tags) -> Tags:
            merged = {**tags, **added}
            if len(merged) > TAGS_MAX:
                # AWS: undocumented; we chose the words.
                raise InvalidValue(reason=f"A resource can have {TAGS_MAX} tags, not {len(merged)}.")
            return merged

        self._retag(parameters["ResourceName"], change)
        return {}

    async def list(self, call: Call, parameters: dict[str, Any]) -> dict[str, Any]:
        database = self._proxies.database
        if parameters["ResourceName"] in {database.arn, *(instance.arn for instance in database.instances)}:
            return {"TagList": []}
        return {"TagList": write_tags(self._retag(parameters["ResourceName"], lambda tags: tags))}

    async def remove(self, call: Call, parameters: dict[str, Any]) -> dict[str, Any]:
        gone = set(parameters["TagKeys"])
        self._retag(
            parameters["ResourceName"], lambda tags: {key: value for key, value in tags.items() if key not in gone}
        )
        return {}

    def _retag(self, name: str, change: Callable[[Tags], Tags]) -> Tags:
        if parse_arn(name).resource.partition(":")[0] not in _KINDS:
            raise NotOurs(kind="the RDS resource", name=name)
        tags = self._proxies.retag(name, change)
        if tags is None:
            raise ResourceNotFound(kind="resource", name=name)
        return tags

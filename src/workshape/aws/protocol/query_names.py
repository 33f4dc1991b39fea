"""Names that lists and maps have in the query protocol, for services whose model is JSON's (awsQueryCompatible).

Their models lost these names when they moved to JSON; older clients still send them. The rule below gives the names
of SQS's API reference: a list of strings and a map are named in the singular (`AttributeName.1`, `Attribute.1.Name`),
a list of structures by its structure (`SendMessageBatchRequestEntry.1.Id`), the few others are listed.

Source: https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_Operations.html (sample requests)
"""

from botocore.model import ListShape, MapShape, Shape, StructureShape

_LISTED = {"Actions": "ActionName", "queueUrls": "QueueUrl", "tags": "Tag", "Tags": "Tag"}
_MAP_KEYS = {"TagMap": ("Key", "Value")}


def repeated_name(member: str, shape: Shape) -> str:
    """Name the elements of a list or map member."""
    if member in _LISTED:
        return _LISTED[member]
    if isinstance(shape, ListShape) and isinstance(shape.member, StructureShape):
        return str(shape.member.name)
    return member.removesuffix("s")


def map_names(shape: MapShape) -> tuple[str, str]:
    """Name the key and the value of a map's entries."""
    return _MAP_KEYS.get(shape.name, ("Name", "Value"))

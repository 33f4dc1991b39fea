"""The operations on topics. Each method's page is https://docs.aws.amazon.com/sns/latest/api/API_NAME.html"""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from msgspec.structs import replace

from workshape.aws.operation import Call, Operation
from workshape.aws.sns.attributes import read_topic_attributes, write_topic_attributes
from workshape.aws.sns.errors import ResourceNotFound
from workshape.topics.model import InvalidParameter, Topic, TopicNotFound
from workshape.topics.registry import Topics

PAGE_SIZE = 100
"""Source: https://docs.aws.amazon.com/sns/latest/api/API_ListTopics.html"""


def topic_operations(topics: Topics) -> Mapping[str, Operation]:
    """Offer the operations by their names in the service model."""
    operations = _TopicOperations(topics)
    return {
        "CreateTopic": operations.create,
        "DeleteTopic": operations.delete,
        "ListTopics": operations.list,
        "GetTopicAttributes": operations.get_attributes,
        "SetTopicAttributes": operations.set_attributes,
        "TagResource": operations.tag,
        "UntagResource": operations.untag,
        "ListTagsForResource": operations.list_tags,
    }


def cut_page(parameters: dict[str, Any], arns: Sequence[str]) -> tuple[Sequence[str], dict[str, str]]:
    """Cut one page out of ARNs in order; returns it, and the member that asks for the next one."""
    after = parameters.get("NextToken") or ""
    left = [arn for arn in arns if arn > after]
    shown = left[:PAGE_SIZE]
    return shown, ({"NextToken": shown[-1]} if len(left) > PAGE_SIZE else {})


class _TopicOperations:
    def __init__(self, topics: Topics) -> None:
        self._topics = topics

    async def create(self, call: Call, parameters: dict[str, Any]) -> dict[str, Any]:
        name = parameters["Name"]
        attributes = parameters.get("Attributes") or {}
        arn = self._topics.arn(name)
        if name.endswith(".fifo") and "FifoTopic" not in attributes and not self._topics.exists(arn):
            reason = "a topic whose name ends with .fifo needs the attribute FifoTopic=true"
            raise InvalidParameter(parameter="Topic Name", reason=reason)
        tags = {tag["Key"]: tag["Value"] for tag in parameters.get("Tags") or ()}
        given = partial(read_topic_attributes, attributes=attributes)
        return {"TopicArn": self._topics.create(given(Topic(name=name, arn=arn, tags=tags)), given).arn}

    async def delete(self, call: Call, parameters: dict[str, Any]) -> dict[str, Any]:
        self._topics.delete(parameters["TopicArn"])
        return {}

    async def list(self, call: Call, parameters: dict[str, Any]) -> dict[str, Any]:
        arns, more = cut_page(parameters, [topic.arn for topic in self._topics.all()])
        return {"Topics": [{"TopicArn": arn} for arn in arns], **more}

    async def get_attributes(self, call: Call, parameters: dict[str, Any]) -> dict[str, Any]:
        topic = self._topics.get(parameters["TopicArn"])
        confirmed = len(self._topics.subscriptions(topic.arn))
        return {"Attributes": write_topic_attributes(topic, call.account, confirmed)}

    async def set_attributes(self, call: Call, parameters: dict[str, Any]) -> dict[str, Any]:
        topic = self._topics.get(parameters["TopicArn"])
        changed = read_topic_attributes(topic, {parameters["AttributeName"]: parameters.get("AttributeValue", "")})
        self._topics.put(changed)
        return {}

    async def tag(self, call: Call, parameters: dict[str, Any]) -> dict[str, Any]:
        topic = self._find_resource(parameters)
        given = {tag["Key"]: tag["Value"] for tag in parameters["Tags"]}
        self._topics.put(replace(topic, tags={**topic.tags, **given}))
        return {}

    async def untag(self, call: Call, parameters: dict[str, Any]) -> dict[str, Any]:
        topic = self._find_resource(parameters)
        left = {key: value for key, value in topic.tags.items() if key not in parameters["TagKeys"]}
        self._topics.put(replace(topic, tags=left))
        return {}

    async def list_tags(self, call: Call, parameters: dict[str, Any]) -> dict[str, Any]:
        tags = self._find_resource(parameters).tags
        return {"Tags": [{"Key": key, "Value": value} for key, value in sorted(tags.items())]}

    def _find_resource(self, parameters: dict[str, Any]) -> Topic:
        arn = parameters["ResourceArn"]
        try:
            return self._topics.get(arn)
        except TopicNotFound as error:
            raise ResourceNotFound(kind="topic", name=arn) from error

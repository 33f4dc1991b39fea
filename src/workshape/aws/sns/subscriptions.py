"""The operations on subscriptions. Each method's page is https://docs.aws.amazon.com/sns/latest/api/API_NAME.html"""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from workshape.aws.operation import Call, Operation
from workshape.aws.sns.attributes import read_subscription_attributes, write_subscription_attributes
from workshape.aws.sns.errors import NotBuilt
from workshape.aws.sns.topics import cut_page
from workshape.topics.model import InvalidParameter, Protocol, Subscription
from workshape.topics.registry import Topics

_OTHERS = ("http", "https", "email", "email-json", "sms", "application", "firehose")


def subscription_operations(topics: Topics) -> Mapping[str, Operation]:
    """Offer the operations by their names in the service model."""
    operations = _SubscriptionOperations(topics)
    return {
        "Subscribe": operations.subscribe,
        "ConfirmSubscription": operations.confirm,
        "Unsubscribe": operations.unsubscribe,
        "ListSubscriptions": operations.list,
        "ListSubscriptionsByTopic": operations.list_by_topic,
        "GetSubscriptionAttributes": operations.get_attributes,
        "SetSubscriptionAttributes": operations.set_attributes,
    }


class _SubscriptionOperations:
    def __init__(self, topics: Topics) -> None:
        self._topics = topics

    async def subscribe(self, call: Call, parameters: dict[str, Any]) -> dict[str, Any]:
        plain = Subscription(
            arn="",
            topic_arn=parameters["TopicArn"],
            protocol=_protocol(parameters["Protocol"]),
            endpoint=parameters.get("Endpoint") or "",
        )
        given = partial(read_subscription_attributes, attributes=_in_order(parameters.get("Attributes") or {}))
        return {"SubscriptionArn": self._topics.subscribe(given(plain), given).arn}

    async def confirm(self, call: Call, parameters: dict[str, Any]) -> dict[str, Any]:
        """Queues and functions of one's own account are confirmed from the start: there are no tokens."""
        self._topics.get(parameters["TopicArn"])
        raise InvalidParameter(parameter="Token", reason="no subscription waits for this token")

    async def unsubscribe(self, call: Call, parameters: dict[str, Any]) -> dict[str, Any]:
        self._topics.unsubscribe(parameters["SubscriptionArn"])
        return {}

    async def list(self, call: Call, parameters: dict[str, Any]) -> dict[str, Any]:
        return _listed(call, parameters, self._topics.subscriptions())

    async def list_by_topic(self, call: Call, parameters: dict[str, Any]) -> dict[str, Any]:
        topic = self._topics.get(parameters["TopicArn"])
        return _listed(call, parameters, self._topics.subscriptions(topic.arn))

    async def get_attributes(self, call: Call, parameters: dict[str, Any]) -> dict[str, Any]:
        subscription = self._topics.subscription(parameters["SubscriptionArn"])
        return {"Attributes": write_subscription_attributes(subscription, call.account)}

    async def set_attributes(self, call: Call, parameters: dict[str, Any]) -> dict[str, Any]:
        present = self._topics.subscription(parameters["SubscriptionArn"])
        given = {parameters["AttributeName"]: parameters.get("AttributeValue") or ""}
        self._topics.change(read_subscription_attributes(present, given))
        return {}


def _protocol(name: str) -> Protocol:
    if name in _OTHERS:
        raise NotBuilt(feature=f"subscriptions of the protocol {name} (it has sqs and lambda)")
    try:
        return Protocol(name)
    except ValueError:
        raise InvalidParameter(parameter="Protocol", reason=f"Does not support this protocol string: {name}") from None


def _in_order(attributes: Mapping[str, str]) -> dict[str, str]:
    """The scope before the policy, which is read by it."""
    return dict(sorted(attributes.items(), reverse=True))


def _listed(call: Call, parameters: dict[str, Any], found: Sequence[Subscription]) -> dict[str, Any]:
    by_arn = {subscription.arn: subscription for subscription in found}
    arns, more = cut_page(parameters, list(by_arn))
    written = [
        {
            "SubscriptionArn": arn,
            "Owner": call.account,
            "Protocol": by_arn[arn].protocol.value,
            "Endpoint": by_arn[arn].endpoint,
            "TopicArn": by_arn[arn].topic_arn,
        }
        for arn in arns
    ]
    return {"Subscriptions": written, **more}

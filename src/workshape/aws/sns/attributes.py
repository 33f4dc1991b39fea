"""Attributes of topics and subscriptions between SNS's text by name and ours.

Source: https://docs.aws.amazon.com/sns/latest/api/API_SetTopicAttributes.html
Source: https://docs.aws.amazon.com/sns/latest/api/API_SetSubscriptionAttributes.html
"""

import re
from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec.structs import replace

from workshape.aws.sns.errors import NotBuilt
from workshape.topics.model import (
    DeduplicationScope,
    FilterScope,
    InvalidParameter,
    Subscription,
    Topic,
)

_SHOWN = re.compile(
    r"Policy|DeliveryPolicy|KmsMasterKeyId|TracingConfig"
    r"|(HTTP|Firehose|Lambda|Application|SQS)(Success|Failure)Feedback(RoleArn|SampleRate)"
)
"""Kept and shown: nothing here evaluates policies, encrypts, or delivers to those whose feedback it is."""
_NOT_BUILT = ("ArchivePolicy", "BeginningArchiveTime", "ReplayPolicy", "DataProtectionPolicy")
_OWNER_ACTIONS = (
    "GetTopicAttributes",
    "SetTopicAttributes",
    "AddPermission",
    "RemovePermission",
    "DeleteTopic",
    "Subscribe",
    "ListSubscriptionsByTopic",
    "Publish",
)


def read_topic_attributes(topic: Topic, attributes: Mapping[str, str]) -> Topic:
    """Set attributes upon a topic.

    Raises:
        InvalidParameter, NotBuilt: a name or a value that cannot be.
    """
    for name, value in attributes.items():
        topic = _set_topic_attribute(topic, name, value)
    return topic


def write_topic_attributes(topic: Topic, account: str, confirmed: int) -> dict[str, str]:
    """Write a topic's attributes; `confirmed` is how many subscriptions it has."""
    written = {
        "TopicArn": topic.arn,
        "Owner": account,
        "Policy": _default_policy(topic, account),
        "DisplayName": topic.display_name,
        "SubscriptionsConfirmed": str(confirmed),
        "SubscriptionsPending": "0",
        "SubscriptionsDeleted": "0",
        "EffectiveDeliveryPolicy": topic.shown.get("DeliveryPolicy", _DELIVERY_POLICY),
        **topic.shown,
    }
    if topic.is_fifo:
        written["FifoTopic"] = "true"
        written["ContentBasedDeduplication"] = _flag(value=topic.content_based_deduplication)
        written["FifoThroughputScope"] = topic.deduplication_scope.value
    if topic.message_bytes_max is not None:
        written["MaximumMessageSize"] = str(topic.message_bytes_max)
    if topic.signature_version != "1":
        written["SignatureVersion"] = topic.signature_version
    return written


def read_subscription_attributes(subscription: Subscription, attributes: Mapping[str, str]) -> Subscription:
    """Set attributes upon a subscription.

    Raises:
        InvalidParameter, NotBuilt: a name or a value that cannot be.
    """
    for name, value in attributes.items():
        subscription = _set_subscription_attribute(subscription, name, value)
    return subscription


def write_subscription_attributes(subscription: Subscription, account: str) -> dict[str, str]:
    """Write a subscription's attributes."""
    written = {
        "SubscriptionArn": subscription.arn,
        "TopicArn": subscription.topic_arn,
        "Protocol": subscription.protocol.value,
        "Endpoint": subscription.endpoint,
        "Owner": account,
        "RawMessageDelivery": _flag(value=subscription.raw),
        "PendingConfirmation": "false",
        "ConfirmationWasAuthenticated": "true",
        "SubscriptionPrincipal": f"arn:aws:iam::{account}:root",
    }
    if subscription.filter_policy:
        written["FilterPolicy"] = subscription.filter_policy
        written["FilterPolicyScope"] = subscription.filter_scope.value
    if subscription.dead_letter_arn:
        policy = {"deadLetterTargetArn": subscription.dead_letter_arn}
        written["RedrivePolicy"] = msgspec.json.encode(policy).decode()
    return written


def _set_topic_attribute(topic: Topic, name: str, value: str) -> Topic:
    if name in _NOT_BUILT:
        raise NotBuilt(feature=f"{name} of topics")
    if _SHOWN.fullmatch(name):
        shown = {**topic.shown, name: value}
        return replace(topic, shown={key: text for key, text in shown.items() if text})
    match name:
        case "DisplayName":
            return replace(topic, display_name=value)
        case "FifoTopic":
            return _checked_order(topic, is_fifo=_read_flag(name, value))
        case "ContentBasedDeduplication":
            return replace(topic, content_based_deduplication=_read_flag(name, value))
        case "FifoThroughputScope":
            return replace(topic, deduplication_scope=_one_of(DeduplicationScope, name, value))
        case "MaximumMessageSize":
            return replace(topic, message_bytes_max=_read_number(name, value))
        case "SignatureVersion":
            return replace(topic, signature_version=value)
        case _:
            raise InvalidParameter(parameter="AttributeName", reason=f"there is no attribute {name} of topics")


def _checked_order(topic: Topic, *, is_fifo: bool) -> Topic:
    if is_fifo is not topic.is_fifo:
        reason = "a FIFO topic's name ends with .fifo, and no other's does"
        raise InvalidParameter(parameter="FifoTopic", reason=reason)
    return topic


def _read_number(name: str, value: str) -> int:
    if not value.isdigit():
        raise InvalidParameter(parameter=name, reason=f"it is a number, not {value!r}")
    return int(value)


def _set_subscription_attribute(subscription: Subscription, name: str, value: str) -> Subscription:
    match name:
        case "RawMessageDelivery":
            return replace(subscription, raw=_read_flag(name, value))
        case "FilterPolicy":
            return replace(subscription, filter_policy=value if value.strip() != "{}" else "")
        case "FilterPolicyScope":
            return replace(subscription, filter_scope=_one_of(FilterScope, name, value))
        case "RedrivePolicy":
            return replace(subscription, dead_letter_arn=_read_redrive_policy(value))
        case _ if name in _NOT_BUILT:
            raise NotBuilt(feature=f"{name} of subscriptions")
        case "DeliveryPolicy" | "SubscriptionRoleArn":
            reason = f"{name} is for protocols that workshape does not deliver to: sqs and lambda have none"
            raise InvalidParameter(parameter="AttributeName", reason=reason)
        case _:
            raise InvalidParameter(parameter="AttributeName", reason=f"there is no attribute {name} of subscriptions")


def _read_redrive_policy(text: str) -> str:
    if not text.strip() or text.strip() == "{}":
        return ""
    try:
        policy: dict[str, Any] = msgspec.json.decode(text, type=dict[str, Any])
    except (msgspec.DecodeError, RecursionError) as error:
        raise InvalidParameter(parameter="RedrivePolicy", reason="failed to parse JSON") from error
    arn = policy.get("deadLetterTargetArn")
    if not isinstance(arn, str):
        raise InvalidParameter(parameter="RedrivePolicy", reason="deadLetterTargetArn is missing")
    return arn


def _read_flag(name: str, value: str) -> bool:
    if value.lower() not in ("true", "false"):
        raise InvalidParameter(parameter=name, reason=f"it is true or false, not {value!r}")
    return value.lower() == "true"


def _one_of(kind: Any, name: str, value: str) -> Any:
    try:
        return kind(value)
    except ValueError:
        known = ", ".join(member.value for member in kind)
        raise InvalidParameter(parameter=name, reason=f"{value!r} is none of {known}") from None


def _flag(*, value: bool) -> str:
    return "true" if value else "false"


def _default_policy(topic: Topic, account: str) -> str:
    """The policy SNS gives a new topic: its owner may do everything.

    Source: https://docs.aws.amazon.com/sns/latest/dg/sns-access-policy-use-cases.html
    """
    statement = {
        "Sid": "__default_statement_ID",
        "Effect": "Allow",
        "Principal": {"AWS": "*"},
        "Action": [f"SNS:{action}" for action in _OWNER_ACTIONS],
        "Resource": topic.arn,
        "Condition": {"StringEquals": {"AWS:SourceOwner": account}},
    }
    policy = {"Version": "2008-10-17", "Id": "__default_policy_ID", "Statement": [statement]}
    return msgspec.json.encode(policy).decode()


_DELIVERY_POLICY = msgspec.json.encode(
    {
        "http": {
            "defaultHealthyRetryPolicy": {
                "minDelayTarget": 20,
                "maxDelayTarget": 20,
                "numRetries": 3,
                "numMaxDelayRetries": 0,
                "numNoDelayRetries": 0,
                "numMinDelayRetries": 0,
                "backoffFunction": "linear",
            },
            "disableSubscriptionOverrides": False,
        }
    }
).decode()
"""Source: https://docs.aws.amazon.com/sns/latest/dg/sns-message-delivery-retries.html (defaults, of HTTP only)"""

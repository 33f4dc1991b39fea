"""SNS as the front door finds it.

Source: https://docs.aws.amazon.com/sns/latest/api/API_Operations.html
"""

from typing import Any

from workshape.aws.operation import Call, Operation, Service
from workshape.aws.sns.errors import ERRORS, NotBuilt
from workshape.aws.sns.publishing import publish_operations
from workshape.aws.sns.subscriptions import subscription_operations
from workshape.aws.sns.topics import topic_operations
from workshape.topics.registry import Topics

_NOT_BUILT = {
    "AddPermission": "AddPermission: access policies are kept (attribute Policy) but not enforced",
    "RemovePermission": "RemovePermission: access policies are kept (attribute Policy) but not enforced",
    "GetDataProtectionPolicy": "data protection policies",
    "PutDataProtectionPolicy": "data protection policies",
}


def sns_service(topics: Topics) -> Service:
    """Offer the topics as SNS; text messages and mobile endpoints are the upstream's."""
    not_built = {name: _not_built(feature) for name, feature in _NOT_BUILT.items()}
    operations = {
        **not_built,
        **topic_operations(topics),
        **subscription_operations(topics),
        **publish_operations(topics),
    }
    return Service("sns", operations, ERRORS, is_shared=True)


def _not_built(feature: str) -> Operation:
    async def answer(_call: Call, _parameters: dict[str, Any]) -> dict[str, Any]:
        raise NotBuilt(feature=feature)

    return answer

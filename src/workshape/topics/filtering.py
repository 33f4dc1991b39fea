"""Who wants a message: filter policies on its attributes or its body. A core.

Source: https://docs.aws.amazon.com/sns/latest/dg/sns-message-filtering.html
"""

from typing import Any

import msgspec

from workshape.delivery import DeliveryAttribute
from workshape.events.dialects import SNS_ATTRIBUTES, SNS_BODY
from workshape.events.operators import InvalidPattern
from workshape.events.pattern import Pattern, compile_pattern
from workshape.topics.message import ARRAY
from workshape.topics.model import FilterScope, InvalidParameter, Message, Subscription

_DIALECTS = {FilterScope.ATTRIBUTES: SNS_ATTRIBUTES, FilterScope.BODY: SNS_BODY}


class Filter:
    """A subscription's filter policy, compiled once."""

    def __init__(self, policy: str, scope: FilterScope) -> None:
        """Raises InvalidParameter when the policy is none."""
        self._scope = scope
        try:
            self._pattern: Pattern | None = compile_pattern(policy, _DIALECTS[scope]) if _asks(policy) else None
        except InvalidPattern as error:
            raise InvalidParameter(parameter="FilterPolicy", reason=str(error)) from error

    def __repr__(self) -> str:
        return f"<Filter {self._scope} {self._pattern!r}>"

    def accepts(self, message: Message, body: str) -> bool:
        """Tell whether a message is wanted; `body` is the one the subscription would get."""
        if self._pattern is None:
            return True
        if self._scope is FilterScope.BODY:
            return self._pattern.matches_json(body)
        return self._pattern.matches(_values(message))


def filter_of(subscription: Subscription) -> Filter:
    """Compile a subscription's filter policy.

    Raises:
        InvalidParameter: it is none.
    """
    return Filter(subscription.filter_policy, subscription.filter_scope)


def _asks(policy: str) -> bool:
    """An empty policy, and one of no keys, is how a filter is taken away."""
    return policy.strip() not in ("", "{}")


def _values(message: Message) -> dict[str, Any]:
    """The attributes as a pattern reads them. Binary ones take no part."""
    found = {}
    for name, attribute in message.attributes.items():
        value = _value(attribute)
        if value is not None:
            found[name] = value
    return found


def _value(attribute: DeliveryAttribute) -> Any:
    text = attribute.text
    if text is None:
        return None
    if attribute.data_type == ARRAY:
        try:
            decoded = msgspec.json.decode(text)
        except (msgspec.DecodeError, RecursionError):
            return None
        return decoded if isinstance(decoded, list) else None
    return float(text) if attribute.data_type.partition(".")[0] == "Number" else text

"""Notification configurations between S3's XML and ours. A core.

Source: https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutBucketNotificationConfiguration.html
"""

from collections.abc import Callable
from xml.etree.ElementTree import Element

from workshape.arn import parse_arn
from workshape.aws.protocol.xml_text import escaped
from workshape.aws.s3.xml import NAMESPACE, children, name_of, parse, text
from workshape.buckets.notification import NotificationConfiguration, NotificationInvalid, NotificationTarget
from workshape.errors import Invalid

_KINDS = {
    "TopicConfiguration": ("Topic", "sns"),
    "QueueConfiguration": ("Queue", "sqs"),
    "CloudFunctionConfiguration": ("CloudFunction", "lambda"),
    "LambdaFunctionConfiguration": ("LambdaFunctionArn", "lambda"),
}
_ROOT = "NotificationConfiguration"
_EVENT_BRIDGE = "EventBridgeConfiguration"
_PREFIX = "s3:"


class MalformedXml(Invalid):
    """The XML you provided was not well-formed or did not validate against our published schema"""


def read_configuration(body: bytes, new_id: Callable[[], str]) -> NotificationConfiguration:
    """Read a configuration; what has no id gets one.

    Raises:
        MalformedXml: it is none. NotificationInvalid: S3 would refuse a part of it.
    """
    root = parse(body)
    if root is None or name_of(root) != _ROOT:
        raise MalformedXml()
    targets, to_event_bridge = [], False
    for element in root:
        name = name_of(element)
        if name == _EVENT_BRIDGE:
            to_event_bridge = True
        elif name in _KINDS:
            targets.append(_read_target(element, *_KINDS[name], new_id))
        else:
            raise MalformedXml()
    return NotificationConfiguration(tuple(targets), to_event_bridge)


def write_configuration(configuration: NotificationConfiguration) -> bytes:
    """Write a configuration as S3 answers it."""
    targets = "".join(map(_write_target, configuration.targets))
    bridge = f"<{_EVENT_BRIDGE}/>" if configuration.to_event_bridge else ""
    head = '<?xml version="1.0" encoding="UTF-8"?>\n'
    return f'{head}<{_ROOT} xmlns="{NAMESPACE}">{targets}{bridge}</{_ROOT}>'.encode()


def _read_target(element: Element, member: str, service: str, new_id: Callable[[], str]) -> NotificationTarget:
    arn = text(element, member)
    try:
        named = parse_arn(arn).service
    except Invalid:
        raise NotificationInvalid(reason=f"The ARN is not well formed: {arn!r}") from None
    if named != service:
        # AWS: undocumented; we chose the words.
        raise NotificationInvalid(reason=f"The ARN in {member} is one of {named}, not of {service}: {arn}")
    events = []
    for event in children(element, "Event"):
        name = event.text or ""
        if not name.startswith(_PREFIX):
            raise NotificationInvalid(reason=f"The event {name!r} is not supported for notifications")
        events.append(name.removeprefix(_PREFIX))
    filters = _read_filters(element)
    return NotificationTarget(
        id=text(element, "Id") or new_id(),
        arn=arn,
        events=tuple(events),
        prefix=filters.get("prefix", ""),
        suffix=filters.get("suffix", ""),
    )


def _read_filters(element: Element) -> dict[str, str]:
    found: dict[str, str] = {}
    rules = [
        rule
        for filters in children(element, "Filter")
        for key in children(filters, "S3Key")
        for rule in children(key, "FilterRule")
    ]
    for rule in rules:
        name = text(rule, "Name").lower()
        if name not in ("prefix", "suffix"):
            raise NotificationInvalid(reason="filter rule name must be either prefix or suffix")
        if name in found:
            # AWS: undocumented; we chose the words.
            raise NotificationInvalid(reason=f"Cannot specify more than one {name} rule in a filter.")
        found[name] = text(rule, "Value")
    return found


def _write_target(target: NotificationTarget) -> str:
    service = parse_arn(target.arn).service
    name, member = next((name, member) for name, (member, of) in _KINDS.items() if of == service)
    events = "".join(f"<Event>{_PREFIX}{event}</Event>" for event in target.events)
    rules = "".join(
        f"<FilterRule><Name>{rule}</Name><Value>{escaped(value)}</Value></FilterRule>"
        for rule, value in (("Prefix", target.prefix), ("Suffix", target.suffix))
        if value
    )
    filters = f"<Filter><S3Key>{rules}</S3Key></Filter>" if rules else ""
    head = f"<Id>{escaped(target.id)}</Id><{member}>{escaped(target.arn)}</{member}>"
    return f"<{name}>{head}{events}{filters}</{name}>"

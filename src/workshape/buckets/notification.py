"""A bucket's notification configuration: what one may say, and which change of an object goes where. A core.

Source: https://docs.aws.amazon.com/AmazonS3/latest/userguide/EventNotifications.html
Source: https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutBucketNotificationConfiguration.html
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import combinations

import msgspec

from workshape.errors import Invalid

FILTER_VALUE_BYTES_MAX = 1_024
"""Source: https://docs.aws.amazon.com/AmazonS3/latest/API/API_FilterRule.html"""
TARGETS_MAX = 100
"""Source: https://docs.aws.amazon.com/general/latest/gr/s3.html (event notifications for each bucket)"""
_ANY = "*"


class ObjectEvent(StrEnum):
    """What happens to objects here, by the names of S3's event types without their `s3:`.

    Source: https://docs.aws.amazon.com/AmazonS3/latest/userguide/notification-how-to-event-types-and-destinations.html
    """

    PUT = "ObjectCreated:Put"
    POST = "ObjectCreated:Post"
    COPY = "ObjectCreated:Copy"
    MULTIPART = "ObjectCreated:CompleteMultipartUpload"
    DELETE = "ObjectRemoved:Delete"
    DELETE_MARKER = "ObjectRemoved:DeleteMarkerCreated"
    TAGGED = "ObjectTagging:Put"
    UNTAGGED = "ObjectTagging:Delete"
    ACL = "ObjectAcl:Put"

    @property
    def is_sequenced(self) -> bool:
        """Tell whether its place in the order of an object's events is told: of creations and removals it is."""
        return self.value.startswith(("ObjectCreated:", "ObjectRemoved:"))


_WILDCARDS = frozenset(f"{event.partition(':')[0]}:{_ANY}" for event in ObjectEvent if event is not ObjectEvent.ACL)
_NEVER_HERE = (
    "ReducedRedundancyLostObject",
    "Replication:",
    "LifecycleTransition",
    "LifecycleExpiration:",
    "IntelligentTiering",
)
"""What S3 does by itself, and nothing here does: one may ask for it, and it never comes."""


class NotificationInvalid(Invalid):
    """{reason}"""


class NotificationTarget(msgspec.Struct, frozen=True, kw_only=True):
    """One destination, and the events of one bucket that go there."""

    id: str
    arn: str
    events: tuple[str, ...]
    """Without their `s3:`; perhaps `ObjectCreated:*`."""
    prefix: str = ""
    suffix: str = ""

    def wants(self, event: ObjectEvent, key: str) -> bool:
        """Tell whether a change of that object goes there."""
        named = event.value in self.events or f"{event.value.partition(':')[0]}:{_ANY}" in self.events
        return named and key.startswith(self.prefix) and key.endswith(self.suffix)


class NotificationConfiguration(msgspec.Struct, frozen=True):
    """A bucket's. Durable as it is."""

    targets: tuple[NotificationTarget, ...] = ()
    to_event_bridge: bool = False

    @property
    def is_empty(self) -> bool:
        """Tell whether it asks for nothing."""
        return not self.targets and not self.to_event_bridge


@dataclass(frozen=True, slots=True)
class ObjectChange:
    """What a request did to one object."""

    event: ObjectEvent
    key: str
    size_bytes: int | None = None
    """Of objects created; None where it is not known."""
    etag: str = ""
    version_id: str = ""


@dataclass(frozen=True, slots=True)
class Cause:
    """The request behind a change."""

    source_ip: str
    request_id: str
    host_id: str
    at: float
    """Unix time."""
    trace_header: str = ""
    """X-Ray's, as the request had it."""


def check_configuration(configuration: NotificationConfiguration) -> None:
    """Refuse what S3 would refuse, and what would silently not happen here.

    Raises:
        NotificationInvalid: says what and why.
    """
    if len(configuration.targets) > TARGETS_MAX:
        raise NotificationInvalid(reason=f"A bucket has at most {TARGETS_MAX} notification configurations.")
    ids = [target.id for target in configuration.targets]
    if len(set(ids)) < len(ids):
        # AWS: undocumented; we chose the words.
        raise NotificationInvalid(reason="Two configurations of a bucket cannot have the same Id.")
    for target in configuration.targets:
        _check_target(target)
    for one, other in combinations(configuration.targets, 2):
        if _overlap(one, other):
            reason = "Configurations overlap. Configurations on the same bucket cannot share a common event type."
            raise NotificationInvalid(reason=f"{reason} These do: {one.id}, {other.id}.")


def targets_of(
    configuration: NotificationConfiguration, changes: Sequence[ObjectChange]
) -> Iterator[tuple[NotificationTarget, ObjectChange]]:
    """Pair each change with every target that wants it."""
    for change in changes:
        for target in configuration.targets:
            if target.wants(change.event, change.key):
                yield target, change


def _check_target(target: NotificationTarget) -> None:
    if not target.events:
        # AWS: undocumented; we chose the words.
        raise NotificationInvalid(reason=f"The configuration {target.id} names no event.")
    for event in target.events:
        if event in _WILDCARDS or event in ObjectEvent._value2member_map_ or event.startswith(_NEVER_HERE):
            continue
        known = ", ".join(sorted({f"s3:{name}" for name in (*_WILDCARDS, *ObjectEvent)}))
        raise NotificationInvalid(reason=f"workshape sends no event s3:{event}. It sends: {known}.")
    for value in (target.prefix, target.suffix):
        if len(value.encode()) > FILTER_VALUE_BYTES_MAX:
            # AWS: undocumented; we chose the words.
            raise NotificationInvalid(reason=f"A filter's value has at most {FILTER_VALUE_BYTES_MAX} bytes.")


def _overlap(one: NotificationTarget, other: NotificationTarget) -> bool:
    """Tell whether some event of some object would go to both.

    Source: https://docs.aws.amazon.com/AmazonS3/latest/userguide/notification-how-to-filtering.html
    """
    prefixes = one.prefix.startswith(other.prefix) or other.prefix.startswith(one.prefix)
    suffixes = one.suffix.endswith(other.suffix) or other.suffix.endswith(one.suffix)
    return prefixes and suffixes and any(_same(a, b) for a in one.events for b in other.events)


def _same(one: str, other: str) -> bool:
    if one == other:
        return True
    groups = one.partition(":")[0] == other.partition(":")[0]
    return groups and (one.endswith(_ANY) or other.endswith(_ANY))

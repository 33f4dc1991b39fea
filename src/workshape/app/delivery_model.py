"""What an app sends by itself: asynchronous invocations' destinations, buckets' notifications, topics. Values only.

Defaults and bounds are AWS's own.
"""

from typing import Annotated, Any

import msgspec

from workshape.topics.model import MESSAGE_BYTES_MAX, MESSAGE_BYTES_MIN, FilterScope

Meta = msgspec.Meta


class Endpoint(msgspec.Struct, frozen=True):
    """Where something goes: exactly one of these, by its name in the app."""

    queue: str | None = None
    function: str | None = None
    topic: str | None = None
    bus: str | None = None
    bucket: str | None = None


class Asynchronous(msgspec.Struct, frozen=True):
    """How a function's asynchronous invocations are tried, and who is told of their end.

    Source: https://docs.aws.amazon.com/lambda/latest/api/API_PutFunctionEventInvokeConfig.html
    """

    retries_max: Annotated[int, Meta(ge=0, le=2)] | None = None
    event_age_s_max: Annotated[int, Meta(ge=60, le=21_600)] | None = None
    on_success: Endpoint | None = None
    on_failure: Endpoint | None = None
    dead_letter: Endpoint | None = None
    """A queue or a topic."""


class Notification(msgspec.Struct, frozen=True):
    """What a bucket tells of its objects, and whom: exactly one of a queue, a function and a topic.

    Source: https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutBucketNotificationConfiguration.html
    """

    bucket: str
    queue: str | None = None
    function: str | None = None
    topic: str | None = None
    events: Annotated[tuple[str, ...], Meta(min_length=1)] = ("ObjectCreated:*",)
    prefix: str = ""
    suffix: str = ""


class Topic(msgspec.Struct, frozen=True):
    """An SNS topic; one whose name ends with .fifo keeps an order.

    Source: https://docs.aws.amazon.com/sns/latest/api/API_CreateTopic.html
    """

    name: str
    content_based_deduplication: bool = False
    message_bytes_max: Annotated[int, Meta(ge=MESSAGE_BYTES_MIN, le=MESSAGE_BYTES_MAX)] | None = None


class Subscription(msgspec.Struct, frozen=True):
    """What is published to a topic goes to one of a queue and a function.

    Source: https://docs.aws.amazon.com/sns/latest/api/API_Subscribe.html
    """

    topic: str
    queue: str | None = None
    function: str | None = None
    raw: bool = False
    filter: dict[str, Any] | None = None
    filter_scope: FilterScope = FilterScope.ATTRIBUTES
    dead_letter_queue: str | None = None

"""What S3 tells of an object: to queues, topics and functions as a record, to event buses as a detail. A core.

Source: https://docs.aws.amazon.com/AmazonS3/latest/userguide/notification-content-structure.html
Source: https://docs.aws.amazon.com/AmazonS3/latest/userguide/ev-events.html
"""

from typing import Any
from urllib.parse import quote_plus

import msgspec

from workshape.buckets.notification import Cause, ObjectChange, ObjectEvent
from workshape.delivery import BusEnvelope, Delivery
from workshape.iso_time import iso_milliseconds

_VERSION = "2.1"
_VERSION_OF_METADATA = "2.3"
"""Of changes of tags and access control lists."""
_SOURCE = "aws.s3"
_SUBJECT = "Amazon S3 Notification"  # AWS: undocumented; it is what topics' messages from S3 have
_DELETED = {ObjectEvent.DELETE: "Permanently Deleted", ObjectEvent.DELETE_MARKER: "Delete Marker Created"}
_REASONS = {
    ObjectEvent.PUT: "PutObject",
    ObjectEvent.POST: "POST Object",
    ObjectEvent.COPY: "CopyObject",
    ObjectEvent.MULTIPART: "CompleteMultipartUpload",
    ObjectEvent.DELETE: "DeleteObject",
    ObjectEvent.DELETE_MARKER: "DeleteObject",
}
_DETAIL_TYPES = {
    ObjectEvent.PUT: "Object Created",
    ObjectEvent.POST: "Object Created",
    ObjectEvent.COPY: "Object Created",
    ObjectEvent.MULTIPART: "Object Created",
    ObjectEvent.DELETE: "Object Deleted",
    ObjectEvent.DELETE_MARKER: "Object Deleted",
    ObjectEvent.TAGGED: "Object Tags Added",
    ObjectEvent.UNTAGGED: "Object Tags Deleted",
    ObjectEvent.ACL: "Object ACL Updated",
}
"""Source: https://docs.aws.amazon.com/AmazonS3/latest/userguide/ev-mapping-troubleshooting.html"""


class Sequencer:
    """Gives each change of an object a number greater than all before, over restarts too: the time, and never less."""

    def __init__(self) -> None:
        self._last = 0

    def __repr__(self) -> str:
        return f"<Sequencer {self._last:X}>"

    def next(self, now: float) -> str:
        """Return it as hexadecimal digits, always as many."""
        self._last = max(int(now * 1_000_000_000), self._last + 1)
        return f"{self._last:018X}"


def arrival_test(bucket: str, cause: Cause) -> Delivery:
    """Make what a queue or topic gets when a configuration names it."""
    told = {
        "Service": "Amazon S3",
        "Event": "s3:TestEvent",
        "Time": iso_milliseconds(cause.at),
        "Bucket": bucket,
        "RequestId": cause.request_id,
        "HostId": cause.host_id,
    }
    return Delivery(_encode(told), subject=_SUBJECT)


def record_of(
    change: ObjectChange, cause: Cause, sequencer: str, *, bucket: str, target_id: str, region: str, account: str
) -> Delivery:
    """Make what a queue, a topic or a function gets. Everybody is the account: there are no users here."""
    described: dict[str, Any] = {"key": quote_plus(change.key, safe="/*")}
    if change.size_bytes is not None:
        described["size"] = change.size_bytes
    if change.etag:
        described["eTag"] = change.etag
    if change.version_id:
        described["versionId"] = change.version_id
    if change.event.is_sequenced:
        described["sequencer"] = sequencer
    record = {
        "eventVersion": _VERSION if change.event.is_sequenced else _VERSION_OF_METADATA,
        "eventSource": "aws:s3",
        "awsRegion": region,
        "eventTime": iso_milliseconds(cause.at),
        "eventName": change.event.value,
        "userIdentity": {"principalId": f"AWS:{account}"},
        "requestParameters": {"sourceIPAddress": cause.source_ip},
        "responseElements": {"x-amz-request-id": cause.request_id, "x-amz-id-2": cause.host_id},
        "s3": {
            "s3SchemaVersion": "1.0",
            "configurationId": target_id,
            "bucket": {
                "name": bucket,
                "ownerIdentity": {"principalId": account},
                "arn": bucket_arn(bucket),
            },
            "object": described,
        },
    }
    return Delivery(_encode({"Records": [record]}), subject=_SUBJECT, trace_header=cause.trace_header)


def bus_event(change: ObjectChange, cause: Cause, sequencer: str, *, bucket: str, account: str) -> Delivery:
    """Make what the default event bus gets. Its key is as it is, not encoded."""
    described: dict[str, Any] = {"key": change.key}
    if change.size_bytes is not None:
        described["size"] = change.size_bytes
    if change.etag:
        described["etag"] = change.etag
    if change.version_id:
        described["version-id"] = change.version_id
    if change.event.is_sequenced:
        described["sequencer"] = sequencer
    detail: dict[str, Any] = {
        "version": "0",
        "bucket": {"name": bucket},
        "object": described,
        "request-id": cause.request_id,
        "requester": account,
        "source-ip-address": cause.source_ip,
    }
    if change.event in _REASONS:
        detail["reason"] = _REASONS[change.event]
    if change.event in _DELETED:
        detail["deletion-type"] = _DELETED[change.event]
    envelope = BusEnvelope(_SOURCE, _DETAIL_TYPES[change.event], (bucket_arn(bucket),))
    return Delivery(_encode(detail), envelope=envelope, trace_header=cause.trace_header)


def bucket_arn(bucket: str) -> str:
    """Name a bucket."""
    return f"arn:aws:s3:::{bucket}"


def _encode(value: Any) -> str:
    return msgspec.json.encode(value).decode()

"""What a request to S3 is for: its bucket, its key, and the action that matters to notifications. A core.

Source: https://docs.aws.amazon.com/AmazonS3/latest/userguide/VirtualHosting.html
Source: https://docs.aws.amazon.com/AmazonS3/latest/API/API_Operations_Amazon_Simple_Storage_Service.html
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum, auto
from urllib.parse import parse_qsl, unquote

from workshape.http1.message import Request

_VIRTUAL_HOST = re.compile(r"(?P<bucket>.+?)\.(?:s3(?:[.-][a-z0-9.-]+)?\.amazonaws\.com(?:\.cn)?|(?:s3\.)?localhost)")
_SUBRESOURCES = frozenset(
    {
        "acl",
        "annotation",
        "attributes",
        "encryption",
        "legal-hold",
        "partNumber",
        "renameObject",
        "restore",
        "retention",
        "select",
        "tagging",
        "torrent",
        "uploadId",
        "uploads",
    }
)
"""Query parameters that make a request one about something else than an object's content."""


class Action(Enum):
    """What a request asks for, as far as it matters here."""

    OTHER = auto()
    PUT = auto()
    COPY = auto()
    COMPLETE_MULTIPART = auto()
    POST_FORM = auto()
    DELETE = auto()
    DELETE_MANY = auto()
    PUT_TAGS = auto()
    DELETE_TAGS = auto()
    PUT_ACL = auto()
    DELETE_BUCKET = auto()
    PUT_NOTIFICATION = auto()
    GET_NOTIFICATION = auto()


@dataclass(frozen=True, slots=True)
class StorageRequest:
    """A request's meaning."""

    action: Action
    bucket: str = ""
    key: str = ""
    query: Mapping[str, str] | None = None

    @property
    def version_id(self) -> str:
        """The version it names, if any."""
        return (self.query or {}).get("versionId", "")


def read_request(request: Request) -> StorageRequest:
    """Tell what a request is for: path-style or virtual-hosted, signed in its headers or its query."""
    host = request.header("host").rpartition(":")[0] or request.header("host")
    path = unquote(request.raw_path)[1:]
    virtual = _VIRTUAL_HOST.fullmatch(host)
    bucket, key = (virtual["bucket"], path) if virtual is not None else path.partition("/")[::2]
    query = dict(parse_qsl(request.query, keep_blank_values=True))
    if not bucket:
        return StorageRequest(Action.OTHER)
    action = _object_action(request, query) if key else _bucket_action(request, query)
    return StorageRequest(action, bucket, key, query)


def _bucket_action(request: Request, query: Mapping[str, str]) -> Action:
    method = request.method
    if "notification" in query:
        return {"PUT": Action.PUT_NOTIFICATION, "GET": Action.GET_NOTIFICATION}.get(method, Action.OTHER)
    if method == "POST" and "delete" in query:
        return Action.DELETE_MANY
    if method == "POST" and request.header("content-type").startswith("multipart/form-data"):
        return Action.POST_FORM
    signature_only = all(name.lower().startswith(("x-amz-", "x-id")) for name in query)
    return Action.DELETE_BUCKET if method == "DELETE" and signature_only else Action.OTHER


def _object_action(request: Request, query: Mapping[str, str]) -> Action:
    method, about = request.method, _SUBRESOURCES & query.keys()
    if not about:
        if method == "PUT":
            return Action.COPY if request.header("x-amz-copy-source") else Action.PUT
        return Action.DELETE if method == "DELETE" else Action.OTHER
    if about == {"tagging"}:
        return {"PUT": Action.PUT_TAGS, "DELETE": Action.DELETE_TAGS}.get(method, Action.OTHER)
    if about == {"acl"} and method == "PUT":
        return Action.PUT_ACL
    return Action.COMPLETE_MULTIPART if about == {"uploadId"} and method == "POST" else Action.OTHER

"""What a request has done to a bucket's objects, from the request and its answer. A core.

Source: https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutObject.html (and each action's own page)
"""

from dataclasses import replace
from email.message import Message

from workshape.aws.s3.request import Action, StorageRequest
from workshape.aws.s3.xml import children, name_of, parse, text
from workshape.buckets.notification import ObjectChange, ObjectEvent
from workshape.http1.message import Request, Response

EMPTY_ETAG = "d41d8cd98f00b204e9800998ecf8427e"
"""What S3 says of a delete marker: the MD5 of nothing."""
NO_VERSION = "null"
"""What an object without a version is named by.

Source: https://docs.aws.amazon.com/AmazonS3/latest/userguide/versioning-workflows.html
"""
_SIMPLE = {
    Action.PUT_TAGS: ObjectEvent.TAGGED,
    Action.DELETE_TAGS: ObjectEvent.UNTAGGED,
    Action.PUT_ACL: ObjectEvent.ACL,
}
_RESULTS = {
    Action.COPY: (ObjectEvent.COPY, "CopyObjectResult"),
    Action.COMPLETE_MULTIPART: (ObjectEvent.MULTIPART, "CompleteMultipartUploadResult"),
}


def read_changes(asked: StorageRequest, request: Request, answer: Response, body: bytes) -> list[ObjectChange]:
    """Tell what was done; nothing when the answer says that it failed. `body` is the answer's.

    The size of a copy and of a multipart upload is not in there.
    """
    if answer.status >= (400 if asked.action is Action.POST_FORM else 300):  # a form's answer may lead elsewhere
        return []
    version_id = _header(answer, "x-amz-version-id")
    if version_id == NO_VERSION:
        version_id = ""
    etag = _header(answer, "etag").strip('"')
    match asked.action:
        case Action.PUT:
            return [ObjectChange(ObjectEvent.PUT, asked.key, _sent_bytes(request), etag, version_id)]
        case Action.COPY | Action.COMPLETE_MULTIPART:
            event, root = _RESULTS[asked.action]
            result = parse(body)
            if result is None or name_of(result) != root:  # S3 may say 200 and then write an error
                return []
            return [ObjectChange(event, asked.key, None, text(result, "ETag").strip('"'), version_id)]
        case Action.POST_FORM:
            return _posted(request, etag, version_id)
        case Action.DELETE:
            return [_deleted(asked, answer, version_id)]
        case Action.DELETE_MANY:
            return _deleted_many(request, body)
        case _:
            return [ObjectChange(_SIMPLE[asked.action], asked.key, version_id=version_id or asked.version_id)]


def is_quiet(request: Request) -> bool:
    """Tell whether a deletion of many objects wants only errors answered, and so does not say what became of each."""
    asked = parse(request.body)
    return asked is not None and text(asked, "Quiet").lower() == "true"


def as_markers(changes: list[ObjectChange]) -> list[ObjectChange]:
    """Read quiet deletions in a bucket with versions: without a version of their own they have made delete markers."""
    return [
        change if change.version_id else replace(change, event=ObjectEvent.DELETE_MARKER, etag=EMPTY_ETAG)
        for change in changes
    ]


def _deleted(asked: StorageRequest, answer: Response, version_id: str) -> ObjectChange:
    if asked.version_id:
        return ObjectChange(ObjectEvent.DELETE, asked.key, version_id=asked.version_id)
    if _header(answer, "x-amz-delete-marker") == "true":
        return ObjectChange(ObjectEvent.DELETE_MARKER, asked.key, etag=EMPTY_ETAG, version_id=version_id)
    return ObjectChange(ObjectEvent.DELETE, asked.key)


def _deleted_many(request: Request, body: bytes) -> list[ObjectChange]:
    asked, result = parse(request.body), parse(body)
    if asked is None or (result is None and body.strip()):
        return []
    if is_quiet(request):
        failed = set()
        if result is not None:
            failed = {(text(error, "Key"), text(error, "VersionId")) for error in children(result, "Error")}
        named = [(text(entry, "Key"), text(entry, "VersionId")) for entry in children(asked, "Object")]
        return [
            ObjectChange(ObjectEvent.DELETE, key, version_id=version_id)
            for key, version_id in named
            if (key, version_id) not in failed
        ]
    changes = []
    for deleted in children(result, "Deleted") if result is not None else ():
        key, version_id = text(deleted, "Key"), text(deleted, "VersionId")
        if text(deleted, "DeleteMarker") == "true" and not version_id:
            marker = text(deleted, "DeleteMarkerVersionId")
            changes.append(ObjectChange(ObjectEvent.DELETE_MARKER, key, etag=EMPTY_ETAG, version_id=marker))
        else:
            changes.append(ObjectChange(ObjectEvent.DELETE, key, version_id=version_id))
    return changes


def _sent_bytes(request: Request) -> int:
    """The object's size: of a chunked upload the size before it was cut into chunks.

    Source: https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-streaming.html
    """
    decoded = request.header("x-amz-decoded-content-length")
    return int(decoded) if decoded.isdigit() else len(request.body)


def _posted(request: Request, etag: str, version_id: str) -> list[ObjectChange]:
    """Read a form: its field `key`, in which `${filename}` stands for the file's own name.

    Source: https://docs.aws.amazon.com/AmazonS3/latest/API/RESTObjectPOST.html
    """
    content_type = Message()
    content_type["content-type"] = request.header("content-type")
    boundary = content_type.get_boundary()
    if not boundary:
        return []
    key, filename, size = "", "", 0
    for part in request.body.split(b"--" + boundary.encode("latin-1"))[1:]:
        head, _, content = part.partition(b"\r\n\r\n")
        described = _disposition(head)
        name = described.get_param("name", header="content-disposition")
        if name == "key":
            key = content.removesuffix(b"\r\n").decode()
        elif name == "file":
            filename = described.get_filename() or ""
            size = len(content.removesuffix(b"\r\n"))
    key = key.replace("${filename}", filename)
    return [ObjectChange(ObjectEvent.POST, key, size, etag, version_id)] if key else []


def _disposition(head: bytes) -> Message:
    described = Message()
    for line in head.decode("utf-8", "replace").split("\r\n"):
        name, _, value = line.partition(":")
        if name.lower() == "content-disposition":
            described["content-disposition"] = value.strip()
    return described


def _header(answer: Response, name: str) -> str:
    return next((value for key, value in answer.headers if key.lower() == name), "")

"""Stands between the front door and whoever keeps the objects.

Notification configurations are ours, and after a request has changed an object, whoever wants to know of it is told
before the client is.

A notification is durable when the client has its answer. What the answer does not say of an object (the size of a copy,
say) is asked for, and only in buckets that tell anybody anything.
"""

import secrets
import uuid
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from urllib.parse import quote

import msgspec

from workshape.aws.operation import WireError
from workshape.aws.protocol.codec import WireFault
from workshape.aws.protocol.foreign import foreign_fault
from workshape.aws.s3.changes import as_markers, is_quiet, read_changes
from workshape.aws.s3.configuration import MalformedXml, read_configuration, write_configuration
from workshape.aws.s3.cors import lets_in
from workshape.aws.s3.objects import S3Objects
from workshape.aws.s3.request import Action, StorageRequest, read_request
from workshape.aws.s3.xml import parse, text
from workshape.aws.upstream import NoUpstream
from workshape.buckets.notification import Cause, ObjectChange, ObjectEvent
from workshape.clock import Clock
from workshape.errors import BackendUnavailable, Invalid, NotFound, Throttled, WorkshapeError
from workshape.http1.message import Request, Response
from workshape.triggers.s3 import BucketNotifier

Forward = Callable[[Request], Awaitable[Response]]
_ABOUT = (ObjectEvent.TAGGED, ObjectEvent.UNTAGGED, ObjectEvent.ACL)
_WITH_VERSIONS = ("Enabled", "Suspended")


class NoSuchBucket(NotFound):
    """The specified bucket does not exist"""


_ERRORS: Mapping[type[WorkshapeError], WireError] = {
    MalformedXml: WireError("MalformedXML", 400),
    NoSuchBucket: WireError("NoSuchBucket", 404),
    Throttled: WireError("SlowDown", 503),
    Invalid: WireError("InvalidArgument", 400),
}
"""Source: https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html"""


class S3Hooks:
    """Answers what is ours of S3, and passes on the rest."""

    def __init__(self, notifier: BucketNotifier, objects: S3Objects, clock: Clock) -> None:
        self._notifier = notifier
        self._objects = objects
        self._clock = clock

    def __repr__(self) -> str:
        return f"<S3Hooks {self._notifier!r}>"

    async def answer(self, request: Request, forward: Forward) -> Response:
        """Answer one request; `forward` asks the upstream.

        Raises:
            NoUpstream, BackendUnavailable: nobody answers for S3.
        """
        asked = read_request(request)
        try:
            match asked.action:
                case Action.OTHER:
                    return await forward(request)
                case Action.PUT_NOTIFICATION:
                    return await self._configure(asked, request)
                case Action.GET_NOTIFICATION:
                    return await self._show(asked)
                case Action.DELETE_BUCKET:
                    return await self._delete_bucket(asked, request, forward)
                case _:
                    return await self._change(asked, request, forward)
        except tuple(_ERRORS) as error:
            wire = next(_ERRORS[kind] for kind in type(error).__mro__ if kind in _ERRORS)
            return foreign_fault(request, "s3", WireFault(wire.code, wire.status, str(error)), _new_request_id())

    async def lets_in(self, request: Request) -> bool:
        """Tell whether the bucket's CORS configuration lets the page in whose browser sent a request."""
        bucket = read_request(request).bucket
        if not bucket:
            return False
        try:
            answer = await self._objects.request("GET", f"/{quote(bucket)}?cors")
        except (NoUpstream, BackendUnavailable):
            return False
        body = answer.body if answer.status == 200 and isinstance(answer.body, bytes) else b""
        return lets_in(body, request.header("origin"), request.header("access-control-request-method", request.method))

    async def _configure(self, asked: StorageRequest, request: Request) -> Response:
        await self._check_bucket(asked.bucket)
        configuration = read_configuration(request.body, lambda: str(uuid.uuid4()))
        cause = self._cause(request, Response(200))
        validate = request.header("x-amz-skip-destination-validation").lower() != "true"
        await self._notifier.configure(asked.bucket, configuration, cause, validate=validate)
        return Response(200, _identified(cause))

    async def _show(self, asked: StorageRequest) -> Response:
        await self._check_bucket(asked.bucket)
        body = write_configuration(self._notifier.configuration(asked.bucket))
        return Response(200, (("content-type", "application/xml"), ("x-amz-request-id", _new_request_id())), body)

    async def _check_bucket(self, bucket: str) -> None:
        if (await self._objects.request("HEAD", f"/{quote(bucket)}")).status == 404:
            raise NoSuchBucket(kind="bucket", name=bucket)

    async def _delete_bucket(self, asked: StorageRequest, request: Request, forward: Forward) -> Response:
        answer = await forward(request)
        if answer.status < 300:
            self._notifier.drop(asked.bucket)
        return answer

    async def _change(self, asked: StorageRequest, request: Request, forward: Forward) -> Response:
        answer = await forward(request)
        if not self._notifier.wants(asked.bucket):
            return answer
        body = answer.body if isinstance(answer.body, bytes) else b"".join([piece async for piece in answer.body])
        changes = read_changes(asked, request, answer, body)
        if asked.action is Action.DELETE_MANY and is_quiet(request) and await self._has_versions(asked.bucket):
            changes = as_markers(changes)
        cause = self._cause(request, answer)
        known = [await self._completed(asked.bucket, change) for change in changes]
        await self._notifier.notify(asked.bucket, known, cause)
        missing = [pair for pair in _identified(cause) if not any(name == pair[0] for name, _ in answer.headers)]
        return msgspec.structs.replace(answer, headers=(*answer.headers, *missing), body=body)

    async def _completed(self, bucket: str, change: ObjectChange) -> ObjectChange:
        """Ask for what an answer does not say of an object. If it is gone meanwhile, that stays unsaid."""
        is_created = change.event.value.startswith("ObjectCreated:")
        lacks = change.event in _ABOUT or (is_created and (change.size_bytes is None or not change.etag))
        if not lacks:
            return change
        version = f"?versionId={quote(change.version_id, safe='')}" if change.version_id else ""
        found = await self._objects.request("HEAD", f"/{quote(bucket)}/{quote(change.key)}{version}")
        if found.status != 200:
            return change
        headers = dict(found.headers)
        etag = change.etag or headers.get("etag", "").strip('"')
        if is_created and change.size_bytes is None:
            change = replace(change, size_bytes=int(headers.get("content-length", 0)))
        return replace(change, etag=etag)

    async def _has_versions(self, bucket: str) -> bool:
        answer = await self._objects.request("GET", f"/{quote(bucket)}?versioning")
        status = parse(answer.body) if isinstance(answer.body, bytes) else None
        return status is not None and text(status, "Status") in _WITH_VERSIONS

    def _cause(self, request: Request, answer: Response) -> Cause:
        """Say who asked; the ids are those of the answer, or made up for it."""
        headers = {name.lower(): value for name, value in answer.headers}
        # Clients show the first of the two that there is.
        request_id = headers.get("x-amzn-requestid") or headers.get("x-amz-request-id") or _new_request_id()
        host_id = headers.get("x-amz-id-2") or secrets.token_urlsafe(56)
        trace_header = request.header("x-amzn-trace-id")
        return Cause(request.peer, request_id, host_id, self._clock.wall_s(), trace_header)


def _identified(cause: Cause) -> tuple[tuple[str, str], ...]:
    return ("x-amz-request-id", cause.request_id), ("x-amz-id-2", cause.host_id)


def _new_request_id() -> str:
    return secrets.token_hex(8).upper()

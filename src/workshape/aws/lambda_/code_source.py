"""Where a function's code comes from: in the request, or from S3.

Source: https://docs.aws.amazon.com/lambda/latest/api/API_FunctionCode.html
"""

import re
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import quote

from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from workshape.aws.lambda_.errors import CodeNotFetched, MissingCode
from workshape.aws.upstream import Upstream
from workshape.errors import BackendUnavailable
from workshape.functions.code import Code, CodeStore
from workshape.functions.limits import ZIP_BYTES_MAX
from workshape.http1.message import Request
from workshape.settings import Settings

FetchObject = Callable[[str, str, str | None], Awaitable[bytes]]
"""Bucket, key and version of an object of S3."""

_ERROR_CODE = re.compile(r"<Code>([^<]*)</Code>")
_ERROR_MESSAGE = re.compile(r"<Message>([^<]*)</Message>")
_PLACE = "s3.amazonaws.com"


async def read_code(source: dict[str, Any], store: CodeStore, fetch: FetchObject) -> Code:
    """Unpack the code a request brings or names.

    Raises:
        MissingCode, CodeNotFetched: there is none.
        ArchiveTooLarge, InvalidArchive: see `CodeStore.unpack`.
    """
    if "ZipFile" in source:
        return await store.unpack(source["ZipFile"])
    if "S3Bucket" not in source or "S3Key" not in source:
        raise MissingCode()
    return await store.unpack(await fetch(source["S3Bucket"], source["S3Key"], source.get("S3ObjectVersion")))


def fetch_from(upstream: Upstream, settings: Settings) -> FetchObject:
    """Make the fetcher of objects, through the upstream of S3, signed with the door's own keys."""
    credentials = Credentials(settings.endpoint.access_key, settings.endpoint.secret_key)

    async def fetch(bucket: str, key: str, version: str | None) -> bytes:
        target = f"/{bucket}/{quote(key)}" + (f"?versionId={quote(version, safe='')}" if version else "")
        signed = AWSRequest("GET", f"https://{_PLACE}{target}", headers={"host": _PLACE})
        S3SigV4Auth(credentials, "s3", settings.region).add_auth(signed)
        headers = tuple((name.lower(), str(value)) for name, value in signed.headers.items())
        try:
            answer = await upstream.forward(Request("GET", target, headers), "s3")
        except BackendUnavailable as error:
            raise CodeNotFetched(code="ServiceUnavailable", message=str(error)) from error
        body = answer.body if isinstance(answer.body, bytes) else await _at_most(answer.body)
        if answer.status != 200:
            text = body.decode(errors="replace")
            code, message = _ERROR_CODE.search(text), _ERROR_MESSAGE.search(text)
            raise CodeNotFetched(code=code[1] if code else str(answer.status), message=message[1] if message else text)
        return body

    return fetch


async def _at_most(pieces: Any) -> bytes:
    """Read a stream as far as a package may be long; one byte more tells that it is too long."""
    body = bytearray()
    async for piece in pieces:
        body += piece
        if len(body) > ZIP_BYTES_MAX:
            break
    return bytes(body)

"""Objects in S3, for what is written and looked at on the platform's own behalf, through whoever answers for S3.

Source: https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutObject.html
"""

import re
from urllib.parse import quote

from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from workshape.arn import parse_arn
from workshape.aws.upstream import NoUpstream, Upstream
from workshape.delivery import Delivered, Delivery, DeliveryOutcome, Undelivered
from workshape.errors import BackendUnavailable
from workshape.http1.message import Request, Response
from workshape.settings import Settings

PLACE = "s3.amazonaws.com"
_ERROR_CODE = re.compile(rb"<Code>([^<]*)</Code>")
_ERROR_MESSAGE = re.compile(rb"<Message>([^<]*)</Message>")


class S3Objects:
    """Writes objects and reads about them, signed with the front door's own keys."""

    def __init__(self, upstream: Upstream, settings: Settings) -> None:
        self._upstream = upstream
        self._region = settings.region
        self._credentials = Credentials(settings.endpoint.access_key, settings.endpoint.secret_key)

    def __repr__(self) -> str:
        return f"<S3Objects {self._upstream!r}>"

    async def deliver(self, arn: str, delivery: Delivery) -> DeliveryOutcome:
        """Write a delivery's body under its key: a `Deliver` for buckets."""
        bucket = parse_arn(arn).resource
        try:
            answer = await self.request("PUT", f"/{bucket}/{quote(delivery.object_key)}", delivery.body.encode())
        except (NoUpstream, BackendUnavailable) as error:
            return Undelivered("ServiceUnavailable", str(error), retryable=True, status=503)
        if answer.status < 300:
            return Delivered()
        body = answer.body if isinstance(answer.body, bytes) else b""
        code, message = _ERROR_CODE.search(body), _ERROR_MESSAGE.search(body)
        return Undelivered(
            code[1].decode() if code else str(answer.status),
            message[1].decode() if message else f"S3 answered {answer.status}",
            retryable=answer.status >= 500,
            status=answer.status,
        )

    async def request(self, method: str, target: str, body: bytes = b"") -> Response:
        """Ask S3; `target` is a path-style one.

        Raises:
            NoUpstream, BackendUnavailable: nobody answers.
        """
        signed = AWSRequest(method, f"https://{PLACE}{target}", data=body, headers={"host": PLACE})
        S3SigV4Auth(self._credentials, "s3", self._region).add_auth(signed)
        headers = {name.lower(): str(value) for name, value in signed.headers.items()}
        headers["content-length"] = str(len(body))
        return await self._upstream.forward(Request(method, target, tuple(headers.items()), body), "s3")

"""Function URLs, served: the host names the function, any path and method is its.

Source: https://docs.aws.amazon.com/lambda/latest/dg/urls-invocation.html
"""

import logging
from collections.abc import Callable

import msgspec

from workshape.clock import Clock
from workshape.errors import Denied, Throttled, WorkshapeError
from workshape.functions.catalog import Catalog
from workshape.functions.function_invoker import Invoke, InvokeStreaming, PayloadTooLarge
from workshape.functions.function_url import AuthType, FunctionUrl, InvokeMode, url_id_of
from workshape.functions.model import LATEST, FunctionName, InvocationRequest
from workshape.gateway.api_means import trace_of
from workshape.gateway.arrival import DEFAULT_STAGE, Arrival, IamCaller
from workshape.gateway.bodies import MalformedResponse
from workshape.gateway.cors import preflight, with_cors
from workshape.gateway.payload import url_event_of, url_response_of
from workshape.gateway.streamed_response import streamed_response
from workshape.http1.message import Request, Response
from workshape.http1.origins import is_preflight
from workshape.identifiers import new_request_id

TRIGGER = "http"
ANONYMOUS = "anonymous"

_log = logging.getLogger(__name__)


class FunctionUrls:
    """Answers requests to function URLs. Their timeout is the function's own."""

    def __init__(
        self,
        catalog: Catalog,
        invoke: Invoke,
        clock: Clock,
        *,
        stream: InvokeStreaming,
        authenticate: Callable[[Request], str],
    ) -> None:
        """`stream` invokes and returns when the response begins, for URLs whose clients get it as it comes.

        `authenticate` returns the access key a request is rightly signed with for Lambda, or raises Denied."""
        self._catalog = catalog
        self._invoke = invoke
        self._stream = stream
        self._clock = clock
        self._authenticate = authenticate

    def __repr__(self) -> str:
        return f"<FunctionUrls of {self._catalog!r}>"

    async def answer(self, request: Request) -> Response:
        """Answer one request."""
        found = self._catalog.find_url(url_id_of(request.header("host")))
        if found is None:
            return _refusal(404, "There is no such function URL")
        name, qualifier, url = found
        if url.cors is None:
            return await self._run(request, name, qualifier, url)
        if is_preflight(request):
            return preflight(url.cors, request)
        return with_cors(url.cors, request, await self._run(request, name, qualifier, url))

    async def _run(self, request: Request, name: FunctionName, qualifier: str, url: FunctionUrl) -> Response:
        # AWS: the answers to what goes wrong are undocumented; we chose the statuses.
        caller: IamCaller | None = None
        if url.auth_type is AuthType.AWS_IAM:
            try:
                caller = IamCaller(self._authenticate(request), self._catalog.account)
            except Denied as error:
                return _refusal(403, str(error))
        now = self._clock.wall_s()
        account = self._catalog.account if caller is not None else ANONYMOUS
        trace_id = trace_of(request, now)
        arrival = Arrival(request, url.id, DEFAULT_STAGE, new_request_id(), account, now, trace_id)
        event = msgspec.json.encode(url_event_of(arrival, caller))
        named = None if qualifier == LATEST else qualifier
        asked = InvocationRequest(name, named, event, TRIGGER, trace_id=trace_id)
        try:
            if url.invoke_mode is InvokeMode.RESPONSE_STREAM:
                stream = await self._stream(asked)
                if stream.is_streamed:
                    return await streamed_response(stream)
                result = await stream.result()
            else:
                result = await self._invoke(asked)
            # AWS: undocumented what a function that does not stream is taken for then; we chose the same as else.
            if result.function_error is None:
                return url_response_of(result.payload)
        except PayloadTooLarge as error:
            return _refusal(413, str(error))
        except Throttled as error:
            return _refusal(429, str(error))
        except MalformedResponse as error:
            _log.warning("url_response_malformed", extra={"function": name, "reason": error.reason})
        except WorkshapeError as error:
            _log.warning("url_invoke_failed", extra={"function": name, "reason": str(error)})
            return _refusal(503, "Service Unavailable")
        return _refusal(502, "Internal Server Error")


def _refusal(status: int, message: str) -> Response:
    return Response(status, (("content-type", "application/json"),), msgspec.json.encode({"Message": message}))

"""What every API is served with."""

import base64
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from workshape.apis.api_metrics import ApiMetrics, Measured
from workshape.clock import Clock
from workshape.gateway.access_log import Outcome, access_line
from workshape.gateway.arrival import Arrival
from workshape.gateway.function_calls import FunctionCalls
from workshape.gateway.http_proxy import HttpProxy
from workshape.gateway.lambda_authorizers import LambdaAuthorizers
from workshape.gateway.throttle import ACCOUNT_BURST, ACCOUNT_RATE, TokenBucket
from workshape.gateway.token_keys import TokenKeys
from workshape.http1.message import Request, Response
from workshape.traces.context import read_traceparent

LogAccess = Callable[[str, str, str, float], None]
"""Keeps a line of an access log: of which API, of which stage, the line, Unix time."""

HEADER_BYTES_MAX = 10_240
"""Of the request line and the headers' values together.

Source: https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-quotas.html
"""


@dataclass(frozen=True, slots=True)
class ApiMeans:
    """Shared by all of them: who is invoked, who decides, what is counted."""

    calls: FunctionCalls
    authorizers: LambdaAuthorizers
    token_keys: TokenKeys
    proxy: HttpProxy
    authenticate: Callable[[Request], str]
    """Returns the access key a request is rightly signed with for `execute-api`, or raises Denied."""
    metrics: ApiMetrics
    log_access: LogAccess
    clock: Clock
    region: str
    account: str
    account_bucket: TokenBucket = field(default_factory=lambda: TokenBucket(ACCOUNT_RATE, ACCOUNT_BURST, 0.0))

    def arrival(
        self,
        request: Request,
        sent: Request | None,
        api_id: str,
        stage: str,
        request_id: str,
        variables: Mapping[str, str],
    ) -> Arrival:
        """Say that a request to a stage has arrived now; `sent` is what the client wrote, where that is another."""
        now = self.clock.wall_s()
        trace_id = trace_of(request, now)
        return Arrival(request, api_id, stage, request_id, self.account, now, trace_id, variables or None, sent)

    def note(
        self,
        arrival: Arrival,
        key: str,
        response: Response,
        outcome: Outcome,
        began: float,
        measured: Measured,
        form: str,
    ) -> None:
        """Count an answer to a request that began then, and write it to its stage's access log, if that has a form.

        `key` is of the route, or of the method; empty where there is none.
        """
        latency_s = self.clock.monotonic_s() - began
        self.metrics.answered(measured, arrival.now, response.status, latency_s, outcome.integration_s)
        if form:
            line = access_line(form, arrival, key, response, outcome, latency_s)
            self.log_access(arrival.api_id, arrival.stage, line, arrival.now)

    async def close(self) -> None:
        """Close all connections."""
        await self.token_keys.close()
        await self.proxy.close()


def trace_of(request: Request, now: float) -> str:
    """The trace a request belongs to, as X-Ray's header; if to none, a new one, whether sampled yet to be decided."""
    header = request.header("x-amzn-trace-id")
    if not header and (context := read_traceparent(request.header("traceparent"))) is not None:
        return context.header()
    return header or f"Root=1-{int(now):08x}-{secrets.token_hex(12)}"


def new_extended_id() -> str:
    """Make an id as HTTP APIs have them: 16 characters, the last an equals sign."""
    return base64.urlsafe_b64encode(secrets.token_bytes(11)).decode()


def is_head_too_large(request: Request) -> bool:
    """Tell whether a request's line and headers are more than API Gateway takes."""
    size = len(request.method) + len(request.target) + sum(len(value) for _, value in request.headers)
    return size > HEADER_BYTES_MAX

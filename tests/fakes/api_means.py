"""What APIs are served with, around an invoker that a test gives."""

from collections.abc import Callable
from pathlib import Path

from workshape.apis.api_metrics import ApiMetrics
from workshape.clock import Clock
from workshape.errors import Denied
from workshape.functions.catalog import Catalog
from workshape.functions.code import CodeStore
from workshape.functions.function_invoker import Invoke
from workshape.gateway.api_means import ApiMeans
from workshape.gateway.function_calls import FunctionCalls
from workshape.gateway.http_proxy import HttpProxy
from workshape.gateway.lambda_authorizers import LambdaAuthorizers
from workshape.gateway.token_keys import TokenKeys
from workshape.http1.message import Request
from workshape.store.documents import Documents

REGION = "us-east-1"
ACCOUNT = "123456789012"
LOGGED: list[tuple[str, str, str, float]] = []
"""What was written to access logs: API, stage, line, time."""
ROLE = f"arn:aws:iam::{ACCOUNT}:role/r"


def api_means(folder: Path, invoke: Invoke, clock: Clock | None = None) -> ApiMeans:
    """Make them; a request is signed when its Authorization is `signed by KEY`."""
    clock = clock or Clock()
    catalog = Catalog(
        Documents(folder / "store.sqlite"),
        CodeStore(folder / "code"),
        region=REGION,
        account=ACCOUNT,
        account_concurrency=1_000,
        clock=clock,
    )
    return means_of(catalog, invoke, clock, _authenticate)


def means_of(catalog: Catalog, invoke: Invoke, clock: Clock, authenticate: Callable[[Request], str]) -> ApiMeans:
    """Make them around a catalogue."""
    calls = FunctionCalls(catalog, invoke)
    return ApiMeans(
        calls=calls,
        authorizers=LambdaAuthorizers(calls, clock, REGION),
        token_keys=TokenKeys(clock),
        proxy=HttpProxy(),
        authenticate=authenticate,
        metrics=ApiMetrics(),
        log_access=lambda *line: LOGGED.append(line),
        clock=clock,
        region=REGION,
        account=ACCOUNT,
    )


def _authenticate(request: Request) -> str:
    signer = request.header("authorization").removeprefix("signed by ")
    if signer == request.header("authorization"):
        raise Denied(reason="nobody signed")
    return signer

"""HTTP requests to a warm function: through the app's HTTP API, a REST API and a function URL.

Beside each stands a bare HTTP echo (uvloop, our own `http1`), measured right before it by the same client in another
process, and an Invoke of the same function through the front door: what HTTP adds to that is the gateway's. What each
request costs the engine in CPU time tells the same on a crowded machine.
"""

import asyncio
import statistics
import sys
import tempfile
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import boto3
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from benchmarks.front_door import Served, front_door
from benchmarks.http_load import BODY, load
from benchmarks.report import Report, main
from workshape.arn import function_arn
from workshape.http1.message import Request, Response
from workshape.http1.server import serve_tcp

CALLERS = (1, 10)
WARM_UP_S = 1.0
MEASURE_S = 3.0
ECHO_S = 1.5
FUNCTION = "python"
REGION, ACCOUNT = "us-east-1", "123456789012"
PYTHON = f"python{sys.version_info.major}.{sys.version_info.minor}"
APP = f"""
[platform]
functions = {{ allow_substitute = true }}
ports = {{ endpoint = PORT, http = HTTP_PORT, proxy = 0, database = 0 }}

[functions.{FUNCTION}]
runtime = "{PYTHON}"
handler = "app.handler"
code = "code"
timeout_s = 10
memory_mb = 1769

[[routes]]
route = "POST /things/{{id}}"
function = "{FUNCTION}"
"""


async def run(report: Report) -> None:
    """Measure each way in, with one caller and with ten."""
    with tempfile.TemporaryDirectory() as name:
        async with _engine(Path(name)) as served:
            endpoint, pid = served.port, served.pid
            ways = {
                "invoke": (endpoint, *_signed(endpoint)),
                "HTTP API": (served.http, "/things/1", []),
                **await asyncio.to_thread(_made_over_the_api, endpoint),
            }
            for callers in CALLERS:
                for way, (port, path, headers) in ways.items():
                    echo = await _echo(callers)
                    await load(port, path, callers, WARM_UP_S, headers)
                    asked = await load(port, path, callers, MEASURE_S, headers, pid)
                    _add(report, f"{way} c={callers}", asked.latencies, echo)
                    if asked.engine_s:
                        report.add(f"{way} c={callers} engine's CPU", asked.us_each(asked.engine_s), "µs")


def _add(report: Report, measure: str, latencies: list[float], echo: list[float]) -> None:
    """Add the three figures of one load."""
    for name, value, unit, peer in (
        ("rate", len(latencies) / MEASURE_S, "1/s", len(echo) / ECHO_S),
        ("p50", _ms(latencies, 50), "ms", _ms(echo, 50)),
        ("p99", _ms(latencies, 99), "ms", _ms(echo, 99)),
    ):
        shown = f"{peer:,.0f}" if peer >= 100 else f"{peer:.3g}"
        report.add(f"{measure} {name}", value, unit, f"echo {shown} {unit}", value / peer)


def _signed(endpoint: int) -> tuple[str, list[str]]:
    """An Invoke that is signed once, so that the client is not what is measured."""
    path = f"/2015-03-31/functions/{FUNCTION}/invocations"
    request = AWSRequest("POST", f"http://127.0.0.1:{endpoint}{path}", data=BODY)
    SigV4Auth(Credentials("workshape", "workshape"), "lambda", REGION).add_auth(request)
    return path, [f"{name}: {value}" for name, value in request.headers.items()]


def _made_over_the_api(endpoint: int) -> dict[str, tuple[int, str, list[str]]]:
    """Make a REST API and a function URL, as a user does."""
    functions, apis = _client("lambda", endpoint), _client("apigateway", endpoint)
    functions.add_permission(
        FunctionName=FUNCTION, StatementId="s", Action="lambda:InvokeFunction", Principal="apigateway.amazonaws.com"
    )
    url = functions.create_function_url_config(FunctionName=FUNCTION, AuthType="NONE")["FunctionUrl"]
    api = apis.create_rest_api(name="benchmark")
    resource = apis.create_resource(restApiId=api["id"], parentId=api["rootResourceId"], pathPart="{proxy+}")["id"]
    where = {"restApiId": api["id"], "resourceId": resource, "httpMethod": "ANY"}
    arn = function_arn(REGION, ACCOUNT, FUNCTION)
    uri = f"arn:aws:apigateway:{REGION}:lambda:path/2015-03-31/functions/{arn}/invocations"
    apis.put_method(**where, authorizationType="NONE")
    apis.put_integration(**where, type="AWS_PROXY", integrationHttpMethod="POST", uri=uri)
    apis.create_deployment(restApiId=api["id"], stageName="prod")
    host = url.removeprefix("http://").rstrip("/")
    return {
        "REST API": (endpoint, f"/_workshape/apis/{api['id']}/prod/things/1", []),
        "function URL": (endpoint, "/things/1", [f"Host: {host}"]),
    }


def _client(service: Any, endpoint: int) -> Any:
    return boto3.client(
        service,
        endpoint_url=f"http://127.0.0.1:{endpoint}",
        region_name=REGION,
        aws_access_key_id="workshape",
        aws_secret_access_key="workshape",
    )


async def _echo(connections: int) -> list[float]:
    """Ask a bare echo on this event loop, from another process."""

    async def echo(request: Request) -> Response:
        return Response(200, (("content-type", "application/json"),), request.body)

    server = await serve_tcp(echo, "127.0.0.1", 0)
    try:
        return (await load(server.port, "/", connections, ECHO_S)).latencies
    finally:
        await server.close()


def _engine(folder: Path) -> AbstractAsyncContextManager[Served]:
    code = folder / "code"
    code.mkdir()
    code.joinpath("app.py").write_text('def handler(event, context):\n    return {"statusCode": 200, "body": "ok"}\n')
    return front_door(folder, APP)


def _ms(seconds: list[float], percentile: int) -> float:
    return statistics.quantiles(seconds, n=100, method="inclusive")[percentile - 1] * 1_000


if __name__ == "__main__":
    main("http", run)

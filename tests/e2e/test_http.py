"""The app's HTTP API: routes to functions, and what happens when there is none, or too few."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed

import httpx
import pytest

from tests.e2e.running import RUNTIME, Running, bring_up

PARALLEL = 8
APP = f"""
[platform]
upstream = {{ dynamodb = "moto" }}

[functions.posts]
runtime = "{RUNTIME}"
handler = "posts.handle"
code = "code"
timeout_s = 5

[functions.gate]
runtime = "{RUNTIME}"
handler = "gate.handle"
code = "code"
timeout_s = 25
reserved_concurrency = 1

[functions.asked]
runtime = "{RUNTIME}"
handler = "posts.ask"
code = "code"

[http]
cors = {{ allow_origins = ["https://site.example"] }}

[authorizers.asked]
function = "asked"
ttl_s = 60

[[routes]]
route = "GET /closed/{{id}}"
function = "posts"
authorizer = "asked"
payload = "1.0"

[[routes]]
route = "GET /posts/{{id}}"
function = "posts"

[[routes]]
route = "POST /posts"
function = "posts"

[[routes]]
route = "GET /gate"
function = "gate"
"""
POSTS = """
import json


def ask(event, context):
    return {"isAuthorized": event["headers"]["authorization"] == "me", "context": {"role": "admin"}}


def handle(event, context):
    if event.get("version", "1.0") == "1.0":
        told = {"path": event["path"], "role": event["requestContext"].get("authorizer", {}).get("role")}
        return {"statusCode": 200, "multiValueHeaders": {"x-a": ["1", "2"]}, "body": json.dumps(told)}
    if event["routeKey"] == "POST /posts":
        return {"statusCode": 201, "headers": {"location": "/posts/8"}, "body": event["body"].upper()}
    if event["pathParameters"]["id"] == "0":
        raise KeyError("0")
    told = {"id": event["pathParameters"]["id"], "query": event.get("queryStringParameters")}
    return {"statusCode": 200, "headers": {"content-type": "application/json"}, "body": json.dumps(told)}
"""
GATE = """
import pathlib
import time

OPEN = pathlib.Path(__file__).with_name("open")


def handle(event, context):
    while not OPEN.exists():
        time.sleep(0.02)
    return "through"
"""


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    folder = tmp_path_factory.mktemp("app")
    (folder / "workshape.toml").write_text(APP)
    (folder / "code").mkdir()
    (folder / "code" / "posts.py").write_text(POSTS)
    (folder / "code" / "gate.py").write_text(GATE)
    with bring_up(folder, "--no-follow") as running:
        yield running


def test_routes_lead_to_functions_and_only_what_a_function_takes_is_answered_by_it(running: Running) -> None:
    with httpx.Client(base_url=running.run.http, trust_env=False, timeout=30) as http:
        got = http.get("/posts/7?by=me")
        posted = http.post("/posts", content="a lamp", headers={"content-type": "text/plain"})
        failed = http.get("/posts/0")
        unknown = http.get("/creators")
        wrong_method = http.delete("/posts/7")

        gate_open = running.folder / "code" / "open"
        with ThreadPoolExecutor(PARALLEL) as pool:
            try:
                asked = [pool.submit(http.get, "/gate") for _ in range(PARALLEL)]
                answered = as_completed(asked, timeout=20)
                refused = [next(answered).result() for _ in range(PARALLEL - 1)]
            finally:
                gate_open.touch()
            (passed,) = [one.result() for one in answered]
        after = http.get("/gate")

    assert (got.status_code, got.json()) == (200, {"id": "7", "query": {"by": "me"}})
    assert (posted.status_code, posted.headers["location"], posted.text) == (201, "/posts/8", "A LAMP")
    assert failed.status_code == 500
    assert (unknown.status_code, unknown.json()) == (404, {"message": "Not Found"})
    assert wrong_method.status_code == 404
    assert [answer.status_code for answer in refused] == [503] * (PARALLEL - 1)
    assert (passed.status_code, passed.text) == (200, "through")
    assert after.status_code == 200


def test_an_authorizer_decides_and_browsers_of_other_origins_are_told(running: Running) -> None:
    site = {"origin": "https://site.example"}
    with httpx.Client(base_url=running.run.http, trust_env=False, timeout=30, headers=site) as http:
        nobody = http.get("/closed/1")
        other = http.get("/closed/1", headers={"authorization": "you"})
        known = http.get("/closed/1", headers={"authorization": "me"})
        preflight = http.options("/closed/1", headers={"access-control-request-method": "GET"})

    assert [answer.status_code for answer in (nobody, other, known, preflight)] == [401, 403, 200, 204]
    assert known.json() == {"path": "/closed/1", "role": "admin"}
    assert known.headers["access-control-allow-origin"] == "https://site.example"
    assert known.headers.get_list("x-a") == ["1", "2"]


def test_an_api_made_over_api_gateways_api_reaches_a_real_function(running: Running) -> None:
    functions, apis = running.client("lambda"), running.client("apigateway")
    arn = functions.get_function_configuration(FunctionName="posts")["FunctionArn"]
    functions.add_permission(
        FunctionName="posts", StatementId="s", Action="lambda:InvokeFunction", Principal="apigateway.amazonaws.com"
    )
    api = apis.create_rest_api(name="rest")
    where = {"restApiId": api["id"], "httpMethod": "ANY"}
    where["resourceId"] = apis.create_resource(
        restApiId=api["id"], parentId=api["rootResourceId"], pathPart="{proxy+}"
    )["id"]
    apis.put_method(**where, authorizationType="NONE")
    uri = f"arn:aws:apigateway:us-east-1:lambda:path/2015-03-31/functions/{arn}/invocations"
    apis.put_integration(**where, type="AWS_PROXY", integrationHttpMethod="POST", uri=uri)
    apis.create_deployment(restApiId=api["id"], stageName="prod")

    answer = httpx.get(f"{running.run.endpoint}/_workshape/apis/{api['id']}/prod/a/b", trust_env=False, timeout=30)

    assert (answer.status_code, answer.json()) == (200, {"path": "/a/b", "role": None})

"""The app's HTTP API: routes to functions, and what happens when there is none, or too few."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path

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


def handle(event, context):
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


@pytest.fixture
def running(make_app: Callable[..., Path]) -> Iterator[Running]:
    with bring_up(make_app(APP, posts__py=POSTS, gate__py=GATE), "--no-follow") as running:
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

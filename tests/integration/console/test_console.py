"""The console of a real engine, over HTTP."""

import json
from collections.abc import Iterator

import httpx
import pytest

from tests.fakes.live_engine import LiveEngine, live_engine

LOOK = """
import urllib.error, urllib.request

def handler(event, context):
    try:
        return urllib.request.urlopen(event["url"], event.get("body", "").encode() or None, timeout=5).status
    except urllib.error.HTTPError as error:
        return error.code
    except Exception as error:
        return type(error).__name__
"""


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveEngine]:
    """One for the module, with a function that looks at URLs."""
    with live_engine(tmp_path_factory.mktemp("engine")) as engine:
        engine.create_function("look", LOOK)
        yield engine


@pytest.fixture
def page(engine: LiveEngine) -> Iterator[httpx.Client]:
    """What the console's page sends."""
    console = engine.run_file.console
    headers = {"origin": console, "sec-fetch-site": "same-origin"}
    with httpx.Client(base_url=console, headers=headers, trust_env=False, timeout=30) as page:
        yield page


def function_of(page: httpx.Client) -> dict[str, object]:
    (function,) = page.get("/api/now/status").raise_for_status().json()["engine"]["functions"]
    return dict(function)


def test_the_page_comes_with_all_it_names_and_may_run_no_script_but_its_own(page: httpx.Client) -> None:
    first = page.get("/")
    html = page.get(first.headers["location"])
    assets = [page.get(f"/static/{name}") for name in ("now.js", "console.css", "icon.svg")]

    assert (first.status_code, first.headers["location"]) == (302, "/now")
    assert [answer.status_code for answer in (html, *assets)] == [200] * 4
    assert [answer.headers["content-type"].partition(";")[0] for answer in (html, *assets)] == [
        "text/html",
        "text/javascript",
        "text/css",
        "image/svg+xml",
    ]
    for answer in (html, *assets):
        policy = answer.headers["content-security-policy"]
        assert "script-src 'self'" in policy
        assert "frame-ancestors 'none'" in policy
        assert "unsafe" not in policy
    assert "<script>" not in html.text
    assert " style=" not in html.text
    assert " onclick=" not in html.text
    assert "://" not in html.text.replace("http://www.w3.org", ""), "nothing comes from elsewhere"


def test_what_a_function_does_is_seen_and_it_is_throttled_and_let_go(engine: LiveEngine, page: httpx.Client) -> None:
    client = engine.client("lambda")
    client.invoke(FunctionName="look", Payload=json.dumps({"url": "nonsense"}))
    before = function_of(page)

    throttled = page.post("/api/now/throttle", json={"function": "look", "count": 0})
    with pytest.raises(client.exceptions.TooManyRequestsException):
        client.invoke(FunctionName="look", Payload=json.dumps({"url": "nonsense"}))
    during = page.get("/api/now/status").json()
    lifted = page.post("/api/now/throttle", json={"function": "look", "count": None})

    minute = before["last_minute"]
    assert isinstance(minute, dict)
    assert (minute["invocations"], minute["cold_starts"]) == (1, 1)
    assert throttled.json() == {"said": "look: reserved concurrency was not set, is 0 (nothing runs)"}
    assert (
        during["alarms"][0]["what"]
        == "look is switched off: its limit is 0, and 1 invocation was refused in the last minute."
    )
    assert lifted.json() == {"said": "look: reserved concurrency was 0 (nothing runs), is not set"}
    assert function_of(page)["reserved_concurrency"] is None


@pytest.mark.parametrize(
    ("path", "order", "status", "words"),
    [
        ("throttle", {"function": "nobody", "count": 1}, 404, "There is no function named nobody."),
        ("throttle", {"function": "look", "count": 901}, 409, "UnreservedConcurrentExecution"),
        ("throttle", {"function": "look", "count": -1}, 400, "count is 0 to"),
        ("throttle", {"function": "look"}, 400, "missing required field `count`"),
        ("throttle", {"function": "look", "count": 1, "more": 1}, 400, "unknown field `more`"),
        ("kill-connections", {}, 404, "No database runs here"),
        ("foresee", {}, 404, "No database runs here"),
        ("purge", {}, 404, "nothing can be done at /api/now/purge"),
    ],
)
def test_what_cannot_be_done_is_refused_with_the_reason_and_changes_nothing(
    page: httpx.Client, path: str, order: dict[str, object], status: int, words: str
) -> None:
    answer = page.post(f"/api/now/{path}", json=order)

    assert answer.status_code == status
    assert words in answer.json()["message"]
    assert function_of(page)["reserved_concurrency"] is None


def test_a_foreign_page_can_neither_read_nor_do_anything(engine: LiveEngine) -> None:
    console, order = engine.run_file.console, json.dumps({"function": "look", "count": 0})
    foreign = {"origin": "http://evil.example", "sec-fetch-site": "cross-site", "content-type": "application/json"}
    rebound = {"host": "evil.example", "origin": "http://evil.example", "content-type": "application/json"}
    plain = {"origin": console, "content-type": "text/plain"}
    with httpx.Client(base_url=console, trust_env=False) as client:
        done = [client.post("/api/now/throttle", content=order, headers=each) for each in (foreign, rebound, plain)]
        read = client.get("/api/now/status", headers={"host": "evil.example"})
        preflight = client.options("/api/now/throttle", headers=foreign)
        by_door = client.post(f"{engine.run_file.endpoint}/_workshape/kill-connections", headers=foreign)

    assert [answer.status_code for answer in done] == [403, 403, 415]
    assert (read.status_code, preflight.status_code, by_door.status_code) == (403, 405, 403)
    assert not any("access-control" in name for name in preflight.headers)
    assert (
        engine.client("lambda").get_function_concurrency(FunctionName="look").get("ReservedConcurrentExecutions")
        is None
    )


@pytest.mark.usefixtures("needs_sandbox")
def test_a_sandboxed_function_cannot_reach_the_console(engine: LiveEngine) -> None:
    invoked = engine.client("lambda").invoke(
        FunctionName="look", Payload=json.dumps({"url": f"{engine.run_file.console}/now"})
    )

    # Closed unread: whether that comes as a reset depends on how far the request was.
    assert json.loads(invoked["Payload"].read()) in ("ConnectionResetError", "RemoteDisconnected", "URLError")


@pytest.mark.usefixtures("needs_sandbox")
def test_a_sandboxed_function_learns_nothing_of_others_by_the_front_doors_own_pages(engine: LiveEngine) -> None:
    pages = engine.run_file.endpoint + "/_workshape/"

    def look(page: str, body: str = "") -> object:
        event = json.dumps({"url": pages + page, "body": body})
        return json.loads(engine.client("lambda").invoke(FunctionName="look", Payload=event)["Payload"].read())

    refused = [look(page) for page in ("status", "metrics", "logs?function=look&tail=1")]

    assert [*refused, look("kill-connections?all=1&dry=1", "x")] == [403] * 4
    assert [look(page) for page in ("health", "topics.pem")] == [200, 200]
    with httpx.Client(trust_env=False) as client:
        assert [client.get(pages + page).status_code for page in ("status", "metrics", "logs?tail=1")] == [200] * 3
        telemetry = {"host": "sandbox.localdomain:1"}  # sent by the engine to whatever port an extension names
        assert client.post(pages + "kill-connections", headers=telemetry).status_code == 403

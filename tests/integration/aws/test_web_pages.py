"""Web pages at the front door: those of other origins get nothing done, and programs notice nothing of it."""

import http.server
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from tests.fakes.browser import browser, browser_program
from tests.fakes.functions import Archive, create
from tests.fakes.live_door import LiveDoor
from workshape.settings import EndpointSettings

APP = "http://app.example"
FOREIGN = {"origin": "http://evil.example", "sec-fetch-site": "cross-site", "sec-fetch-mode": "cors"}
FORM = {"content-type": "application/x-www-form-urlencoded"}
PREFLIGHT = {"access-control-request-method": "POST", "access-control-request-headers": "content-type,x-amz-target"}


@pytest.fixture
def allowing(tmp_path: Path) -> Iterator[LiveDoor]:
    """A door that pages of one other origin may use."""
    door = LiveDoor(tmp_path, endpoint=EndpointSettings(allowed_origins=(APP,)))
    yield door
    door.close()


def deletion(url: str) -> dict[str, str]:
    """What deletes a queue, as a form may send it."""
    return {"Action": "DeleteQueue", "Version": "2012-11-05", "QueueUrl": url}


@pytest.mark.parametrize("sign", [{"origin": "http://evil.example"}, {"sec-fetch-site": "cross-site"}, FOREIGN])
def test_a_page_of_another_origin_can_neither_invoke_nor_delete(
    door: LiveDoor, archive: Archive, sign: dict[str, str]
) -> None:
    create(door.client("lambda"), archive())
    queue = door.client("sqs").create_queue(QueueName="kept")["QueueUrl"]

    refused = [
        httpx.post(f"{door.url}/2015-03-31/functions/f/invocations", headers=sign, content=b"{}"),
        httpx.post(door.url, headers={**sign, **FORM}, data=deletion(queue)),
        httpx.get(door.url, headers=sign, params=deletion(queue)),
        httpx.post(f"{door.url}/_workshape/kill-connections?all=1", headers=sign),
    ]

    assert [answer.status_code for answer in refused] == [403] * 4
    assert door.invoke.asked == []
    assert door.client("sqs").list_queues()["QueueUrls"] == [queue]


def test_the_refusal_says_what_to_do_in_the_form_that_the_service_has(door: LiveDoor) -> None:
    json = {**FOREIGN, "x-amz-target": "AmazonSQS.ListQueues", "content-type": "application/x-amz-json-1.0"}
    remedy = "add http://evil.example to allowed_origins of [platform.endpoint] in workshape.toml"

    of_json = httpx.post(door.url, headers=json, content=b"{}").json()
    of_query = httpx.post(door.url, headers={**FOREIGN, **FORM}, data={"Action": "ListQueues"}).text
    of_s3 = httpx.put(f"{door.url}/bucket/key", headers=FOREIGN).text
    of_admin = httpx.post(f"{door.url}/_workshape/kill-connections", headers=FOREIGN).json()

    assert of_json["__type"] == "AccessDenied"
    for said in (of_json["message"], of_query, of_s3, of_admin["message"]):
        assert remedy in said
    assert "or to the CORS configuration of the bucket" in of_s3


def test_a_name_that_somebody_pointed_here_gets_a_browser_nothing(door: LiveDoor) -> None:
    led_here = {"host": "evil.example:4566", "accept-language": "en-US"}

    read = httpx.get(f"{door.url}/_workshape/status", headers=led_here)
    written = httpx.post(door.url, headers={**led_here, "origin": "http://evil.example:4566", **FORM})
    program = httpx.get(f"{door.url}/_workshape/status", headers={"host": "workshape.corp.example:4566"})

    assert (read.status_code, written.status_code, program.status_code) == (403, 403, 200)
    assert "add http://evil.example:4566 to allowed_origins" in read.json()["message"]


def test_who_looks_for_himself_sees_what_there_is(door: LiveDoor) -> None:
    typed = {"sec-fetch-site": "none", "sec-fetch-mode": "navigate", "sec-fetch-dest": "document"}
    linked = {**typed, "sec-fetch-site": "cross-site"}

    assert httpx.get(f"{door.url}/_workshape/status", headers=typed).status_code == 200
    assert httpx.get(f"{door.url}/_workshape/status", headers=linked).status_code == 200
    framed = {**linked, "sec-fetch-dest": "iframe"}
    assert httpx.get(f"{door.url}/_workshape/status", headers=framed).status_code == 403


def test_a_page_of_an_allowed_origin_is_let_in_and_reads_the_answer(allowing: LiveDoor, archive: Archive) -> None:
    create(allowing.client("lambda"), archive())
    page = {**FOREIGN, "origin": APP}

    asked = httpx.options(f"{allowing.url}/2015-03-31/functions/f/invocations", headers={**page, **PREFLIGHT})
    invoked = httpx.post(f"{allowing.url}/2015-03-31/functions/f/invocations", headers=page, content=b'{"a":1}')
    refused = httpx.post(f"{allowing.url}/2015-03-31/functions/f/invocations", headers=FOREIGN, content=b"{}")

    assert (asked.status_code, asked.headers["access-control-allow-headers"]) == (204, "content-type,x-amz-target")
    assert (invoked.status_code, invoked.json()) == (200, {"a": 1})
    assert [answer.headers["access-control-allow-origin"] for answer in (asked, invoked)] == [APP, APP]
    assert refused.status_code == 403
    assert len(allowing.invoke.asked) == 1


def test_function_urls_and_apis_answer_pages_of_every_origin(door: LiveDoor, archive: Archive) -> None:
    client = door.client("lambda")
    create(client, archive())
    cors = {"AllowOrigins": ["http://evil.example"], "AllowMethods": ["POST"]}
    url = urlsplit(client.create_function_url_config(FunctionName="f", AuthType="NONE", Cors=cors)["FunctionUrl"])
    apis = door.client("apigatewayv2")
    api = apis.create_api(Name="a", ProtocolType="HTTP", CorsConfiguration=cors)["ApiId"]
    apis.create_stage(ApiId=api, StageName="$default", AutoDeploy=True)

    of_url = httpx.post(door.url, headers={**FOREIGN, "host": url.netloc}, content=b"{}")
    rebound = httpx.post(
        door.url, headers={**FOREIGN, "host": f"{url.netloc.partition('.')[0]}.lambda-url.here.example"}
    )
    of_api = httpx.options(f"{door.url}/_workshape/apis/{api}/", headers={**FOREIGN, **PREFLIGHT})

    assert of_url.headers["access-control-allow-origin"] == "http://evil.example"
    assert (of_url.status_code, rebound.status_code, len(door.invoke.asked)) == (200, 200, 2)
    assert of_api.headers["access-control-allow-origin"] == "http://evil.example"


class _Page(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("content-type", "text/html")
        self.end_headers()
        self.wfile.write(b"<title>a page</title>")

    def log_message(self, *_: Any) -> None:
        pass


@contextmanager
def page_server() -> Iterator[int]:
    """Somebody else's web server; its port."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Page)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield int(server.server_address[1])
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def test_a_real_browser_cannot_be_made_to_delete_a_queue(door: LiveDoor) -> None:
    program = browser_program()
    if program is None:
        pytest.skip("no Chromium on this machine: no browser was tried")
    queue = door.client("sqs").create_queue(QueueName="kept")["QueueUrl"]
    form = "&".join(f"{name}={value}" for name, value in deletion(queue).items())
    port = urlsplit(door.url).port
    send = "fetch({!r}, {{method: 'POST', mode: 'no-cors', body: {!r}, headers: {!r}}}).then(r => r.type, String)"
    resolved = "--host-resolver-rules=MAP evil.example 127.0.0.1"

    with page_server() as other, browser(program, resolved, "--disable-features=LocalNetworkAccessChecks") as page:
        page.open(f"http://evil.example:{other}/")
        page.wait_until("document.title == 'a page'")
        foreign = page.run(send.format(door.url, form, FORM))
        page.open(f"http://evil.example:{port}/_workshape/status")
        page.wait_until(f"location.port == {port} && document.readyState == 'complete'")
        rebound = page.run("fetch('/_workshape/status').then(r => r.status)")
        form_rebound = page.run(
            f"fetch('/', {{method: 'POST', body: {form!r}, headers: {FORM!r}}}).then(r => r.status)"
        )
        page.open(f"{door.url}/_workshape/status")
        page.wait_until("location.hostname == '127.0.0.1' && document.readyState == 'complete'")
        shown = page.run("document.body.innerText")

    assert (foreign, rebound, form_rebound) == ("opaque", 403, 403)
    assert shown == "admin /_workshape/status"
    assert door.client("sqs").list_queues()["QueueUrls"] == [queue]

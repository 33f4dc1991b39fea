"""Who may ask the console, by the headers that browsers send."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workshape.console.guard import refusal
from workshape.http1.message import Request
from workshape.http1.origins import is_from_a_web_page

HERE = "127.0.0.1:4567"
OWN = {"host": HERE, "origin": f"http://{HERE}", "sec-fetch-site": "same-origin", "content-type": "application/json"}


def post(**changed: str | None) -> Request:
    headers = {**OWN, **{name.replace("_", "-"): value for name, value in changed.items()}}
    return Request("POST", "/api/now/throttle", tuple((name, value) for name, value in headers.items() if value))


def get(**headers: str) -> Request:
    return Request("GET", "/now", tuple((name.replace("_", "-"), value) for name, value in headers.items()))


def status(request: Request) -> int | None:
    refused = refusal(request)
    return None if refused is None else refused.status


def test_the_consoles_own_page_may_do_what_it_offers() -> None:
    assert refusal(post()) is None
    assert refusal(post(content_type="application/json; charset=utf-8")) is None
    assert refusal(post(sec_fetch_site=None)) is None, "an older browser, which states its origin"


def test_through_a_tunnel_the_port_is_another_and_all_works() -> None:
    assert refusal(post(host="localhost:9000", origin="http://localhost:9000")) is None


@pytest.mark.parametrize(
    "changed",
    [
        {"origin": "http://evil.example", "sec_fetch_site": "cross-site"},
        {"origin": "http://127.0.0.1:4566", "sec_fetch_site": "same-site"},  # an object in a bucket, at the front door
        {"origin": "null", "sec_fetch_site": "cross-site"},  # a frame in a sandbox
        {"origin": None, "sec_fetch_site": "none"},
        {"origin": None},
        {"origin": f"https://{HERE}"},
        {"sec_fetch_site": "cross-site"},
    ],
)
def test_another_page_may_do_nothing(changed: dict[str, str | None]) -> None:
    assert status(post(**changed)) == 403


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", None])
def test_what_a_form_can_send_is_not_taken(kind: str | None) -> None:
    assert status(post(content_type=kind)) == 415


@pytest.mark.parametrize("host", ["evil.example", "evil.example:4567", "127.0.0.1.evil.example:4567", ""])
def test_a_name_that_was_pointed_here_gets_nothing(host: str) -> None:
    assert status(post(host=host or None, origin=f"http://{host}")) == 403
    assert status(get(host=host)) == 403


def test_two_host_headers_are_one_too_many() -> None:
    request = Request("GET", "/now", (("host", HERE), ("host", "evil.example")))

    assert status(request) == 403


def test_a_link_or_a_typed_address_opens_the_page_and_another_page_cannot_read_it() -> None:
    assert refusal(get(host=HERE)) is None
    assert refusal(get(host=HERE, sec_fetch_site="none", sec_fetch_mode="navigate")) is None
    linked = {"sec_fetch_site": "cross-site", "sec_fetch_mode": "navigate", "sec_fetch_dest": "document"}
    assert refusal(get(host=HERE, **linked)) is None
    assert status(get(host=HERE, **{**linked, "sec_fetch_dest": "iframe"})) == 403
    assert status(get(host=HERE, sec_fetch_site="cross-site", sec_fetch_mode="no-cors")) == 403


@pytest.mark.parametrize("method", ["PUT", "DELETE", "OPTIONS", "HEAD", "PATCH"])
def test_other_methods_are_refused_and_so_is_the_question_whether_they_are_allowed(method: str) -> None:
    assert status(Request(method, "/api/now/throttle", (("host", HERE),))) == 405


def test_a_command_does_not_look_like_a_web_page() -> None:
    assert not is_from_a_web_page(Request("POST", "/", (("host", HERE), ("user-agent", "python-httpx"))))
    assert is_from_a_web_page(Request("POST", "/", (("origin", "null"),)))
    assert is_from_a_web_page(Request("POST", "/", (("sec-fetch-site", "cross-site"),)))
    assert is_from_a_web_page(Request("POST", "/", (("referer", "http://evil.example/"),)))


@given(
    origin=st.one_of(st.just("null"), st.from_regex(r"https?://[a-z0-9.:-]{1,30}", fullmatch=True)),
    site=st.sampled_from(["cross-site", "same-site", "none", "same-origin", ""]),
    host=st.sampled_from([HERE, "localhost:4567", "[::1]:4567", "rebound.example:4567"]),
    kind=st.sampled_from(["application/json", "text/plain", ""]),
)
def test_nothing_is_done_for_an_origin_that_is_not_the_one_it_was_sent_to(
    origin: str, site: str, host: str, kind: str
) -> None:
    refused = refusal(post(origin=origin, sec_fetch_site=site, host=host, content_type=kind))

    if refused is None:
        assert origin == f"http://{host}"
        assert "rebound" not in host
        assert kind == "application/json"
        assert site in ("same-origin", "")

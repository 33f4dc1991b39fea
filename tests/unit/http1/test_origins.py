"""Who has sent a request, by the headers of browsers and of programs."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workshape.http1.origins import Origins, Sender

HERE = "127.0.0.1:4566"
APP = "http://localhost:3000"
BROWSER = {"host": HERE, "accept-language": "en-US,en;q=0.9"}
NAMES = ["127.0.0.1", "localhost", "[::1]", "192.168.1.20", "workshape", "host.docker.internal", "f.s3.localhost"]


def sender(**headers: str) -> Sender:
    return judged(Origins(), **headers)


def judged(origins: Origins, /, **headers: str) -> Sender:
    return origins.sender({**BROWSER, **{name.replace("_", "-"): value for name, value in headers.items()}})


@pytest.mark.parametrize("host", [HERE, "workshape.corp.example:4566", "rebound.example", ""])
@pytest.mark.parametrize(
    "headers",
    [
        {"user-agent": "aws-cli/2", "authorization": "AWS4-HMAC-SHA256 ...", "accept": "*/*"},
        {"accept-language": "*", "sec-fetch-mode": "cors", "user-agent": "node"},
    ],
)
def test_a_program_is_let_in_by_whatever_name_it_came(headers: dict[str, str], host: str) -> None:
    assert Origins().sender({"host": host, **headers}) is Sender.OURS


def test_a_page_from_here_and_an_address_that_was_typed_are_ours() -> None:
    assert sender(origin=f"http://{HERE}", sec_fetch_site="same-origin") is Sender.OURS
    assert sender(origin=f"http://{HERE}") is Sender.OURS, "an older browser"
    assert sender(origin="https://localhost", host="localhost", sec_fetch_site="same-origin") is Sender.OURS, "a tunnel"
    assert sender(sec_fetch_site="same-origin") is Sender.OURS
    assert sender(sec_fetch_site="none") is Sender.OURS
    assert sender() is Sender.OURS


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "http://evil.example", "sec_fetch_site": "cross-site"},
        {"origin": "http://evil.example"},
        {"origin": "null", "sec_fetch_site": "cross-site"},
        {"origin": APP, "sec_fetch_site": "same-site"},
        {"origin": f"http://{HERE}", "sec_fetch_site": "cross-site"},
        {"sec_fetch_site": "cross-site"},
        {"sec_fetch_site": "same-site"},
        {"origin": ""},
    ],
)
def test_a_page_of_another_origin_is_foreign_until_that_is_allowed(headers: dict[str, str]) -> None:
    allowing = Origins([APP])

    assert sender(**headers) is Sender.FOREIGN
    assert judged(allowing, **headers) is (Sender.ALLOWED if headers.get("origin") == APP else Sender.FOREIGN)


@pytest.mark.parametrize("name", [*NAMES, "queue.amazonaws.com", "b.s3.eu-central-1.amazonaws.com", "x.on.aws"])
def test_a_browser_may_use_any_name_that_nobody_can_point_here(name: str) -> None:
    for host in (name, f"{name}:4566"):
        assert sender(host=host) is Sender.OURS
        assert sender(host=host, origin=f"http://{host}", sec_fetch_site="same-origin") is Sender.OURS


@pytest.mark.parametrize(
    "name", ["evil.example", "127.0.0.1.evil.example", "localhost.evil.example", "amazonaws.com.evil.example", "1.2.3"]
)
def test_a_browser_that_was_led_here_by_a_name_of_somebody_else_gets_nothing(name: str) -> None:
    host = f"{name}:4566"

    assert sender(host=host, origin=f"http://{host}") is Sender.MISDIRECTED
    assert sender(host=host) is Sender.MISDIRECTED, "a GET of a page at an http:// name, with no other sign"
    assert judged(Origins([f"http://{name}:80"]), host=host) is Sender.OURS
    assert judged(Origins((), name), host=host) is Sender.OURS, "it is what is listened on"


@given(
    origin=st.one_of(st.none(), st.just("null"), st.from_regex(r"https?://[a-z0-9.:-]{1,30}", fullmatch=True)),
    site=st.sampled_from(["cross-site", "same-site", "none", "same-origin", None]),
    host=st.sampled_from([HERE, "localhost:4566", "rebound.example:4566"]),
)
def test_whoever_states_another_origin_than_it_came_to_is_never_ours(
    origin: str | None, site: str | None, host: str
) -> None:
    headers = {**BROWSER, "host": host, "origin": origin, "sec-fetch-site": site}

    found = Origins().sender({name: value for name, value in headers.items() if value is not None})

    if found is Sender.OURS:
        assert origin in (None, f"http://{host}", f"https://{host}")
        assert site in (None, "same-origin", "none")
        assert "rebound" not in host

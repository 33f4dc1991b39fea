"""What browsers are told of other origins."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workshape.functions.function_url import Cors
from workshape.gateway.cors import preflight, with_cors
from workshape.http1.message import Request, Response
from workshape.http1.origins import is_preflight

SITE = "https://site.example"
CORS = Cors(
    allow_headers=("x-a", "x-b"),
    allow_methods=("GET", "PUT"),
    allow_origins=(SITE,),
    expose_headers=("x-c",),
    max_age_s=60,
)
ORIGINS = st.sampled_from(["https://a.example", "https://b.example", "*"])


def asking(origin: str = SITE) -> Request:
    return Request("OPTIONS", "/x", (("origin", origin), ("access-control-request-method", "PUT")))


def answered(cors: Cors, origin: str = SITE, *headers: tuple[str, str]) -> dict[str, str]:
    request = Request("GET", "/", (("origin", origin),) if origin else ())
    return dict(with_cors(cors, request, Response(200, headers)).headers)


def test_a_preflight_is_answered_in_the_functions_stead() -> None:
    answer = preflight(CORS, asking())

    assert answer.status == 200
    assert dict(answer.headers) == {
        "access-control-allow-origin": SITE,
        "vary": "Origin",
        "access-control-allow-methods": "GET,PUT",
        "access-control-allow-headers": "x-a,x-b",
        "access-control-max-age": "60",
    }


@pytest.mark.parametrize("request_", [Request("OPTIONS", "/"), Request("GET", "/", (("origin", SITE),))])
def test_what_is_no_preflight_goes_to_the_function(request_: Request) -> None:
    assert not is_preflight(request_)
    assert is_preflight(asking())


def test_an_origin_that_is_not_listed_is_told_nothing() -> None:
    answer = preflight(CORS, asking("https://other.example"))

    assert answer == Response(200)
    assert answered(CORS, "https://other.example") == {"access-control-expose-headers": "x-c"}


def test_the_configuration_goes_before_what_the_function_says() -> None:
    own = (("access-control-allow-origin", "*"), ("x-c", "1"))

    assert answered(CORS, SITE, *own) == {
        "x-c": "1",
        "access-control-allow-origin": SITE,
        "vary": "Origin",
        "access-control-expose-headers": "x-c",
    }


def test_origins_may_be_listed_by_their_scheme() -> None:
    listed = Cors(allow_origins=("https://*",))

    assert answered(listed)["access-control-allow-origin"] == SITE
    assert "access-control-allow-origin" not in answered(listed, "http://site.example")


def test_everybody_is_an_asterisk_except_with_credentials() -> None:
    assert answered(Cors(allow_origins=("*",))) == {"access-control-allow-origin": "*"}
    assert answered(Cors(allow_credentials=True, allow_origins=("*",))) == {
        "access-control-allow-origin": SITE,
        "vary": "Origin",
        "access-control-allow-credentials": "true",
    }


@given(st.lists(ORIGINS), st.booleans(), ORIGINS.filter(lambda origin: origin != "*"))
def test_no_origin_is_let_in_that_is_not_listed(listed: list[str], credentials: bool, origin: str) -> None:
    allowed = answered(Cors(credentials, allow_origins=tuple(listed)), origin).get("access-control-allow-origin")

    assert (allowed is not None) == (origin in listed or "*" in listed)
    assert allowed in (None, "*", origin)
    assert not (credentials and allowed == "*")

"""Whether a bucket's CORS configuration lets a page in."""

import pytest

from workshape.aws.s3.cors import lets_in

APP = "http://app.example"
RULES = b"""<?xml version="1.0"?>
<CORSConfiguration xmlns="http://s3.amazonaws.com/doc/2006-03-01/">
<CORSRule><AllowedMethod>GET</AllowedMethod><AllowedOrigin>*</AllowedOrigin></CORSRule>
<CORSRule><AllowedMethod>PUT</AllowedMethod><AllowedMethod>POST</AllowedMethod>
<AllowedOrigin>http://app.example</AllowedOrigin><AllowedOrigin>https://*.app.example</AllowedOrigin></CORSRule>
</CORSConfiguration>"""


@pytest.mark.parametrize(
    ("origin", "method", "expected"),
    [
        ("http://anybody.example", "GET", True),
        ("http://anybody.example", "PUT", False),
        (APP, "PUT", True),
        (APP, "POST", True),
        (APP, "DELETE", False),
        ("https://a.app.example", "PUT", True),
        ("http://a.app.example", "PUT", False),
        ("http://app.example.evil.example", "PUT", False),
        ("http://appXexample", "PUT", False),
        ("", "GET", False),
    ],
)
def test_a_rule_must_be_for_the_origin_and_the_method(origin: str, method: str, expected: bool) -> None:
    assert lets_in(RULES, origin, method) is expected


def test_without_a_configuration_nobody_is_let_in() -> None:
    assert not lets_in(b"", APP, "GET")
    assert not lets_in(b"<Error><Code>NoSuchCORSConfiguration</Code></Error>", APP, "GET")


def test_what_is_special_in_a_pattern_of_files_is_not_in_an_origin() -> None:
    rule = b"<C><CORSRule><AllowedMethod>GET</AllowedMethod><AllowedOrigin>http://a?[b]</AllowedOrigin></CORSRule></C>"

    assert lets_in(rule, "http://a?[b]", "GET")
    assert not lets_in(rule, "http://aXb", "GET")

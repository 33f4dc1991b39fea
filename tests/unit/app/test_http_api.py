"""An app's HTTP API: what is refused of it, and what API Gateway would keep of it."""

from pathlib import Path

import pytest

from workshape.apis.http_api import RouteSettings
from workshape.app.http_api import http_definition, http_stage
from workshape.app.http_check import http_problems
from workshape.app.model import App
from workshape.app.toml import parse_app
from workshape.toml_document import TomlInvalid

FUNCTION = """
[functions.f]
runtime = "python3.12"
handler = "f.handler"
code = "."
"""
REGION, ACCOUNT = "us-east-1", "123456789012"
ROLE = f"arn:aws:iam::{ACCOUNT}:role/workshape"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "f.py").touch()
    return tmp_path


def read(folder: Path, text: str) -> App:
    return parse_app((FUNCTION + text).encode(), folder / "workshape.toml")[0]


def test_routes_and_authorizers_become_an_api(folder: Path) -> None:
    app = read(
        folder,
        """
        [http]
        payload = "1.0"
        throttle_rate = 5
        cors = { allow_origins = ["*"], max_age_s = 9 }
        variables = { color = "red" }

        [authorizers.tokens]
        issuer = "https://issuer.example"
        audience = ["a"]

        [authorizers.asks]
        function = "f"
        ttl_s = 60

        [[routes]]
        route = "GET /open"
        function = "f"
        payload = "2.0"
        throttle_burst = 7

        [[routes]]
        route = "GET /tokens"
        function = "f"
        authorizer = "tokens"
        scopes = ["read"]

        [[routes]]
        route = "GET /asks"
        function = "f"
        authorizer = "asks"

        [[routes]]
        route = "GET /signed"
        function = "f"
        authorizer = "iam"
        """,
    )

    definition, stage = http_definition(app, REGION, ACCOUNT, ROLE), http_stage(app, 1.0)

    kinds = {route.route_key: route.authorization_type for route in definition.routes.values()}
    assert kinds == {"GET /open": "NONE", "GET /tokens": "JWT", "GET /asks": "CUSTOM", "GET /signed": "AWS_IAM"}
    formats = [integration.payload_format_version for integration in definition.integrations.values()]
    assert formats == ["2.0", "1.0", "1.0", "1.0"]
    assert definition.authorizers["asks"].authorizer_result_ttl_in_seconds == 60
    assert definition.cors is not None
    assert definition.cors.max_age_s == 9
    assert stage.default_route_settings == RouteSettings(None, 5)
    assert stage.route_settings == {"GET /open": RouteSettings(7, None)}
    assert stage.stage_variables == {"color": "red"}
    assert list(http_problems(app)) == []


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("[authorizers.a]", "it has an issuer (of JSON Web Tokens) or a function, one of the two"),
        ('[authorizers.a]\nissuer = "https://i"\nfunction = "f"', "it has an issuer"),
        ('[authorizers.iam]\nissuer = "https://i"', "'iam' is no name for an authorizer"),
        ('[authorizers.a]\nissuer = "i"', '"i" is not the URL of an issuer'),
        ('[authorizers.a]\nfunction = "g"', "there is no [functions.g]; there are: f"),
        ('[authorizers.a]\nfunction = "f"\naudience = ["a"]', "only an issuer's tokens have an audience"),
        ('[authorizers.a]\nfunction = "f"\npayload = "1.0"', "simple answers need payload"),
        ('[authorizers.a]\nfunction = "f"\nidentity = []\nttl_s = 9', "needs an identity to keep them by"),
        ('[authorizers.a]\nfunction = "f"\nidentity = ["Authorization"]', '"Authorization" is none of $request.header'),
        (
            '[[routes]]\nroute = "GET /a"\nfunction = "f"\nauthorizer = "b"',
            "no [authorizers.b]; there are: iam",
        ),
        ('[[routes]]\nroute = "GET /a"\nfunction = "f"\nscopes = ["s"]', "only the tokens of an authorizer with an"),
        ('[[routes]]\nroute = "GET /{a}x"\nfunction = "f"', "is no route key"),
        ('[http]\ncors = { allow_origins = ["*"], allow_credentials = true }', "with allow_credentials browsers take"),
        ('[http]\ncors = { origins = ["*"] }', "there is no such key"),
    ],
)
def test_what_does_not_hang_together_is_refused_by_its_place(folder: Path, text: str, what: str) -> None:
    with pytest.raises(TomlInvalid) as refused:
        read(folder, text)

    assert what in str(refused.value)


def test_routes_for_the_same_requests_are_refused(folder: Path) -> None:
    route = '[[routes]]\nroute = "GET /{a}"\nfunction = "f"\n'

    with pytest.raises(TomlInvalid) as refused:
        read(folder, route + route.replace("{a}", "{b}"))

    assert "[[routes]] number 2 route: the routes 'GET /{a}' and 'GET /{b}' are for the same requests" in str(
        refused.value
    )

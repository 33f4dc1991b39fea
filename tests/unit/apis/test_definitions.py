"""What HTTP and REST APIs may be made of, and what stays true of them whatever is changed."""

import contextlib
import itertools
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workshape.apis import http_api, rest_api
from workshape.apis.definition_text import InvalidDefinition
from workshape.apis.http_api import Definition, Integration, Route, TooMany, with_integration, with_route, without
from workshape.apis.openapi import read_http_api
from workshape.apis.openapi_rest import read_rest_api
from workshape.apis.rest_api import Method, Resource, with_child, with_method, without_resource
from workshape.errors import CallerError, Conflict, Invalid

URI = "arn:aws:lambda:us-east-1:123456789012:function:f"
INTEGRATION = {"type": "aws_proxy", "httpMethod": "POST", "uri": URI, "payloadFormatVersion": "2.0"}
GET = {"get": {"x-amazon-apigateway-integration": INTEGRATION}}
ROOT = rest_api.Definition({"root": Resource("root", "/")})


def ids() -> Any:
    numbers = itertools.count()
    return lambda: f"id{next(numbers)}"


def document(**members: Any) -> str:
    return json.dumps({"openapi": "3.0.1", "info": {"title": "t"}, "paths": {"/a": GET}, **members})


def test_a_route_needs_what_it_names() -> None:
    with pytest.raises(Invalid, match="Invalid target"):
        with_route(Definition(), Route("r", "GET /a", "integrations/none"))
    with pytest.raises(Invalid, match="needs the AuthorizerId"):
        with_route(Definition(), Route("r", "GET /a", authorization_type="CUSTOM"))


def test_an_api_has_at_most_so_many_authorizers() -> None:
    definition, jwt = Definition(), http_api.JwtConfiguration("https://issuer")
    *ten, eleventh = (http_api.Authorizer(str(number), "a", "JWT", ("$request.header.A",), jwt) for number in range(11))
    for one in ten:
        definition = http_api.with_authorizer(definition, one)

    with pytest.raises(TooMany):
        http_api.with_authorizer(definition, eleventh)


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        ({"authorizer_type": "JWT"}, "needs IdentitySource"),
        ({"authorizer_type": "REQUEST"}, "needs AuthorizerUri"),
        ({"authorizer_type": "REQUEST", "authorizer_uri": "u"}, "PayloadFormatVersion"),
        (
            {
                "authorizer_type": "REQUEST",
                "authorizer_uri": "u",
                "authorizer_payload_format_version": "1.0",
                "enable_simple_responses": True,
            },
            "EnableSimpleResponses needs",
        ),
        (
            {
                "authorizer_type": "REQUEST",
                "authorizer_uri": "u",
                "authorizer_payload_format_version": "2.0",
                "authorizer_result_ttl_in_seconds": 5,
            },
            "at least one IdentitySource",
        ),
    ],
)
def test_an_authorizer_has_what_it_decides_by(more: dict[str, Any], reason: str) -> None:
    with pytest.raises(Invalid, match=reason):
        http_api.with_authorizer(Definition(), http_api.Authorizer("a", "a", **more))


JWT = {"authorizer_type": "JWT", "jwt_configuration": http_api.JwtConfiguration("https://issuer")}
REQUEST = {"authorizer_type": "REQUEST", "authorizer_uri": "u", "authorizer_payload_format_version": "2.0"}


@pytest.mark.parametrize(
    ("kind", "source", "is_one"),
    [
        (JWT, "$request.header.Authorization", True),
        (JWT, "$request.querystring.token", True),
        (JWT, "$context.routeKey", False),
        (REQUEST, "$request.header.X-Who", True),
        (REQUEST, "$context.identity.sourceIp", True),
        (REQUEST, "$stageVariables.color", True),
        (REQUEST, "method.request.header.Authorization", False),  # a REST API's
        (REQUEST, "$request.body.who", False),
        (REQUEST, "Authorization", False),
        (REQUEST, "$request.header.", False),
    ],
)
def test_an_identity_source_is_a_place_in_a_request(kind: dict[str, Any], source: str, is_one: bool) -> None:
    authorizer = http_api.Authorizer("a", "a", identity_source=(source,), **kind)

    if is_one:
        assert http_api.with_authorizer(Definition(), authorizer).authorizers["a"] == authorizer
    else:
        with pytest.raises(Invalid, match="identity source"):
            http_api.with_authorizer(Definition(), authorizer)


@pytest.mark.parametrize(
    ("kind", "source", "is_one"),
    [
        ("TOKEN", "method.request.header.Authorization", True),
        ("TOKEN", "method.request.querystring.token", False),
        ("REQUEST", "method.request.header.A, method.request.querystring.b,context.stage, stageVariables.c", True),
        ("REQUEST", "$request.header.Authorization", False),  # an HTTP API's
        ("REQUEST", "Authorization", False),
    ],
)
def test_a_rest_apis_identity_sources_are_written_its_own_way(kind: str, source: str, is_one: bool) -> None:
    authorizer = rest_api.Authorizer("a", "a", kind, authorizer_uri="u", identity_source=source)

    if is_one:
        assert rest_api.with_authorizer(rest_api.Definition(), authorizer).authorizers["a"] == authorizer
    else:
        with pytest.raises(Invalid, match="identity source"):
            rest_api.with_authorizer(rest_api.Definition(), authorizer)


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["route", "integration", "without route", "without integration"]),
            st.integers(0, 2),
            st.integers(0, 2),
        ),
        max_size=25,
    )
)
def test_every_route_leads_to_an_integration_that_is_there(steps: list[tuple[str, int, int]]) -> None:
    definition = Definition()

    for kind, one, other in steps:
        try:
            match kind:
                case "route":
                    definition = with_route(definition, Route(str(one), f"GET /{one}", f"integrations/{other}"))
                case "integration":
                    definition = with_integration(definition, Integration(str(one), "AWS_PROXY", URI))
                case _:
                    definition = without(definition, f"{kind.removeprefix('without ')}s", str(one))
        except CallerError:
            continue

    for route in definition.routes.values():
        assert (route.target or "").removeprefix("integrations/") in definition.integrations


@given(st.lists(st.tuples(st.integers(0, 5), st.sampled_from(["a", "b", "{v}", "{w+}", "x/y", ""])), max_size=15))
def test_the_tree_of_resources_stays_one(steps: list[tuple[int, str]]) -> None:
    definition = ROOT

    for number, (parent, part) in enumerate(steps):
        known = list(definition.resources)
        try:
            if part:
                definition = with_child(definition, str(number), known[parent % len(known)], part)
            else:
                definition = without_resource(definition, known[parent % len(known)])
        except CallerError:
            continue

    paths = [resource.path for resource in definition.resources.values()]
    assert len(set(paths)) == len(paths)
    for resource in definition.resources.values():
        if resource.parent_id is not None:
            parent_path = definition.resources[resource.parent_id].path.rstrip("/")
            assert resource.path == f"{parent_path}/{resource.path_part}"
            assert "+}" not in parent_path


def test_a_method_names_an_authorizer_that_is_there() -> None:
    with pytest.raises(Invalid, match="authorizer"):
        with_method(ROOT, "root", Method("GET", "CUSTOM", "none"))


def test_a_definition_becomes_an_http_api() -> None:
    signed = {"aws": {"type": "apiKey", "x-amazon-apigateway-authtype": "awsSigv4"}}
    imported = read_http_api(
        document(
            paths={"/a": {"get": {**GET["get"], "security": [{"aws": []}]}}, "/b/{c}": GET},
            components={"securitySchemes": signed},
        ),
        ids(),
    )

    routes = {route.route_key: route.authorization_type for route in imported.definition.routes.values()}
    assert routes == {"GET /a": "AWS_IAM", "GET /b/{c}": "NONE"}


def test_a_definition_becomes_a_rest_api_under_its_own_root() -> None:
    imported = read_rest_api(document(paths={"/": GET, "/a/b": GET}).encode(), ids())

    definition = imported.with_root("own")

    assert {resource.path for resource in definition.resources.values()} == {"/", "/a", "/a/b"}
    assert definition.resources["own"].path == "/"
    assert {one.parent_id for one in definition.resources.values() if one.path == "/a"} == {"own"}


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("openapi: 3.0.1", "no paths"),
        ("[]", "no paths"),
        ('{"paths": {}}', r"no info\.title"),
        (document(paths={"/a": {"get": {}}}), "has no x-amazon-apigateway-integration"),
        (document(paths={"/a": 5}), "is no object"),
        (document(security=[{"none": []}]), "which is no authorizer"),
        (document(security=[{"a": []}, {"b": []}]), "more than one security scheme"),
    ],
)
def test_what_is_no_definition_is_refused_by_what_is_wrong(text: str, reason: str) -> None:
    with pytest.raises(InvalidDefinition, match=reason):
        read_http_api(text, ids())
    with pytest.raises(InvalidDefinition, match=reason):
        read_rest_api(text.encode(), ids())


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=6),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=8,
)


path_items = st.dictionaries(st.sampled_from(["get", "x"]), json_values)


@given(st.dictionaries(st.sampled_from(["/a", "/{b}", "/c/{d+}", "x"]), path_items))
def test_any_paths_are_read_or_refused(paths: Any) -> None:
    with contextlib.suppress(Invalid, Conflict):
        read_http_api(document(paths=paths), ids())
    with contextlib.suppress(Invalid, Conflict):
        read_rest_api(document(paths=paths).encode(), ids())

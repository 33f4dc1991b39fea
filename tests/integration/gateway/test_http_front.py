"""Stages of HTTP APIs over real sockets: who may, how much, and what stands behind routes."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.fakes.api_means import ACCOUNT, LOGGED, REGION, ROLE, api_means
from tests.fakes.issuer import KEY, OTHER, Issuer
from workshape.apis.http_api import (
    AccessLogSettings,
    Authorizer,
    Cors,
    Definition,
    Integration,
    JwtConfiguration,
    Route,
    RouteSettings,
    Stage,
)
from workshape.arn import function_arn
from workshape.functions.model import LATEST, InvocationRequest, InvocationResult, RequestId
from workshape.gateway.api_means import ApiMeans
from workshape.gateway.http_front import HttpFront
from workshape.gateway.http_stage import HttpStage
from workshape.gateway.server import Gateway
from workshape.http1.message import Request, Response
from workshape.http1.server import HttpServer, serve_tcp

CORS = Cors(allow_origins=("https://site.example",), allow_methods=("GET",), max_age_s=9)
FROM_SITE = {"origin": "https://site.example"}


class Api:
    """An API that a test puts together, a client of it, and what its functions were asked."""

    def __init__(self, means: ApiMeans, backend: str, issuer: Issuer) -> None:
        self.asked: list[tuple[str, dict[str, Any]]] = []
        self.answers: dict[str, Any] = {}
        self.issuer = issuer
        self.means = means
        self._backend = backend
        self._definition = Definition(
            integrations={
                "echo": _integration("echo", "2.0"),
                "old": _integration("echo", "1.0"),
                "forbidden": Integration("f", "AWS_PROXY", function_arn(REGION, ACCOUNT, "echo"), "2.0"),
                "http": Integration("h", "HTTP_PROXY", backend + "/base/{rest}"),
            },
            authorizers={
                "tokens": Authorizer(
                    "tokens",
                    "tokens",
                    "JWT",
                    ("$request.header.Authorization",),
                    JwtConfiguration(issuer.url, ("me",)),
                ),
                **{
                    name: Authorizer(
                        name,
                        name,
                        "REQUEST",
                        ("$request.header.who",),
                        authorizer_uri=function_arn(REGION, ACCOUNT, name),
                        authorizer_payload_format_version="2.0",
                        authorizer_result_ttl_in_seconds=60,
                        enable_simple_responses=name == "simple",
                        authorizer_credentials_arn=ROLE,
                    )
                    for name in ("simple", "policy")
                },
            },
        )
        self._server: HttpServer
        self.http: httpx.AsyncClient

    async def serve(self, *routes: Route, stage: Stage | None = None, cors: Cors | None = None) -> httpx.AsyncClient:
        """Listen, for one test."""
        definition = Definition(
            {route.route_id: route for route in routes},
            self._definition.integrations,
            self._definition.authorizers,
            cors,
        )
        served = HttpStage("api-id", stage or Stage("$default", 0.0, 0.0), definition)
        self._server = await Gateway(served, HttpFront(self.means)).start("127.0.0.1", 0)
        self.http = httpx.AsyncClient(base_url=f"http://127.0.0.1:{self._server.port}", timeout=20, trust_env=False)
        return self.http

    async def close(self) -> None:
        """Listen no more."""
        await self.http.aclose()
        await self._server.close()

    async def invoke(self, request: InvocationRequest) -> InvocationResult:
        """Stand where the invoker stands."""
        name, event = request.name, json.loads(request.payload)
        self.asked.append((name, event))
        answer = self.answers.get(name, event if name == "echo" else None)
        error = "Unhandled" if isinstance(answer, Exception) else None
        text = json.dumps({"errorMessage": str(answer)} if error else answer)
        return InvocationResult(RequestId("r"), text.encode(), LATEST, error)


def _integration(function: str, version: str) -> Integration:
    return Integration(function, "AWS_PROXY", function_arn(REGION, ACCOUNT, function), version, credentials_arn=ROLE)


def route(key: str = "GET /a", target: str = "echo", authorization: str = "NONE", **more: Any) -> Route:
    return Route(key, key, f"integrations/{target}", authorization, **more)


@pytest.fixture
async def api(tmp_path: Path) -> AsyncIterator[Api]:
    async def backend(request: Request) -> Response:
        told = {"method": request.method, "target": request.target, "host": request.header("host")}
        return Response(207, (("content-type", "text/x"), ("x-a", "1")), json.dumps(told).encode())

    server = await serve_tcp(backend, "127.0.0.1", 0)
    issuer = Issuer()
    await issuer.start()

    async def invoke(request: InvocationRequest) -> InvocationResult:
        return await made.invoke(request)

    means = api_means(tmp_path, invoke)
    made = Api(means, f"http://127.0.0.1:{server.port}", issuer)
    yield made
    await made.close()
    await means.close()
    await issuer.close()
    await server.close()


async def test_a_named_stage_is_part_of_the_path_the_function_sees(api: Api) -> None:
    stage = Stage("prod", 0.0, 0.0, stage_variables={"color": "red"})
    http = await api.serve(route("GET /pets/{id}"), stage=stage)

    event = (await http.get("/prod/pets/1")).json()

    assert (event["rawPath"], event["requestContext"]["stage"]) == ("/prod/pets/1", "prod")
    assert (event["pathParameters"], event["stageVariables"]) == ({"id": "1"}, {"color": "red"})
    assert event["headers"]["x-amzn-trace-id"].startswith("Root=1-")


async def test_format_1_0_goes_both_ways(api: Api) -> None:
    api.answers["echo"] = {"statusCode": 201, "multiValueHeaders": {"x-a": ["1", "2"]}, "body": "done"}
    http = await api.serve(route(target="old"))

    answer = await http.get("/a?q=1&q=2")

    assert (answer.status_code, answer.text) == (201, "done")
    assert answer.headers.get_list("x-a") == ["1", "2"]
    assert api.asked[0][1]["multiValueQueryStringParameters"] == {"q": ["1", "2"]}


async def test_a_function_whose_policy_does_not_let_api_gateway_in_is_not_invoked(api: Api) -> None:
    http = await api.serve(route(target="forbidden"))

    answer = await http.get("/a")

    assert (answer.status_code, answer.json()) == (500, {"message": "Internal Server Error"})
    assert api.asked == []


async def test_a_token_of_the_issuer_opens_the_route_and_its_claims_arrive(api: Api) -> None:
    http = await api.serve(route(authorization="JWT", authorizer_id="tokens", authorization_scopes=("read",)))
    token = api.issuer.token(scope="read write", groups=["a", "b"])

    answers = [await http.get("/a", headers={"authorization": f"Bearer {token}"}) for _ in range(3)]

    jwt = answers[0].json()["requestContext"]["authorizer"]["jwt"]
    assert [answer.status_code for answer in answers] == [200] * 3
    assert (jwt["claims"]["sub"], jwt["claims"]["groups"], jwt["scopes"]) == ("someone", "[a b]", ["read"])
    assert api.issuer.asked == ["/.well-known/openid-configuration", "/keys"]


async def test_other_tokens_do_not(api: Api) -> None:
    http = await api.serve(route(authorization="JWT", authorizer_id="tokens", authorization_scopes=("read",)))
    good, tokens = api.issuer.token, {}
    tokens["absent"] = ("", 401)
    tokens["garbled"] = ("Bearer x.y.z", 401)
    tokens["forged"] = (good(OTHER, scope="read"), 401)
    tokens["of an unknown key"] = (good(key_id="none", scope="read"), 401)
    tokens["expired"] = (good(exp=1, scope="read"), 401)
    tokens["for another"] = (good(aud="you", scope="read"), 401)
    tokens["without the scope"] = (good(scope="write"), 403)

    answers = {name: await http.get("/a", headers={"authorization": text}) for name, (text, _) in tokens.items()}

    assert {name: answer.status_code for name, answer in answers.items()} == {
        name: status for name, (_, status) in tokens.items()
    }
    assert answers["absent"].json() == {"message": "Unauthorized"}
    assert answers["forged"].headers["www-authenticate"].startswith("Bearer")
    assert answers["without the scope"].json() == {"message": "Forbidden"}
    assert api.asked == []
    assert len(api.issuer.asked) == 2  # an unknown key is not asked for again at once


@pytest.mark.parametrize(
    "more",
    [
        {"nbf": 1_493_763_266, "ext": True, "key_ops": ["verify"], "x5c": ["MII="], "issuer": None},
        {"use": None, "alg": None},
    ],
)
async def test_a_key_may_say_more_of_itself_than_is_needed(api: Api, more: dict[str, object]) -> None:
    http = await api.serve(route(authorization="JWT", authorizer_id="tokens"))
    api.issuer.keys = [{**KEY.as_dict(private=False), **more}]

    answer = await http.get("/a", headers={"authorization": api.issuer.token()})

    assert answer.status_code == 200


async def test_a_key_that_is_none_does_not_spoil_the_others(api: Api) -> None:
    http = await api.serve(route(authorization="JWT", authorizer_id="tokens"))
    api.issuer.keys = ["no key", {"kty": "RSA", "kid": "broken", "n": "!", "e": 5}, *api.issuer.keys]

    answer = await http.get("/a", headers={"authorization": api.issuer.token()})

    assert answer.status_code == 200


@pytest.mark.parametrize(
    ("header", "status"), [({"cat": "x", "pi.atm": "2"}, 200), ({"crit": ["cat"], "cat": "x"}, 401)]
)
async def test_a_tokens_header_may_have_what_nobody_knows_unless_it_is_critical(
    api: Api, header: dict[str, object], status: int
) -> None:
    http = await api.serve(route(authorization="JWT", authorizer_id="tokens"))

    answer = await http.get("/a", headers={"authorization": api.issuer.token(header=header)})

    assert answer.status_code == status


async def test_an_issuer_that_does_not_answer_lets_nobody_in(api: Api) -> None:
    http = await api.serve(route(authorization="JWT", authorizer_id="tokens"))
    api.issuer.is_down = True

    answer = await http.get("/a", headers={"authorization": api.issuer.token()})

    assert answer.status_code == 401
    assert "OIDC discovery endpoint" in answer.headers["www-authenticate"]


async def test_a_function_decides_and_its_answer_is_kept(api: Api) -> None:
    http = await api.serve(route(authorization="CUSTOM", authorizer_id="simple"))
    api.answers["simple"] = {"isAuthorized": True, "context": {"role": "admin"}}

    first = await http.get("/a", headers={"who": "me"})
    api.answers["simple"] = {"isAuthorized": False}
    again, other = await http.get("/a", headers={"who": "me"}), await http.get("/a", headers={"who": "you"})
    nobody = await http.get("/a")

    assert first.json()["requestContext"]["authorizer"] == {"lambda": {"role": "admin"}}
    assert [answer.status_code for answer in (first, again, other, nobody)] == [200, 200, 403, 401]
    asked = [event for name, event in api.asked if name == "simple"]
    assert [event["identitySource"] for event in asked] == [["me"], ["you"]]
    assert asked[0]["routeArn"] == f"arn:aws:execute-api:{REGION}:{ACCOUNT}:api-id/$default/GET/a"


async def test_a_kept_policy_is_evaluated_for_each_request(api: Api) -> None:
    routes = [route(f"GET /{name}", authorization="CUSTOM", authorizer_id="policy") for name in ("a", "b")]
    http = await api.serve(*routes)
    only_a = {"Effect": "Allow", "Action": "execute-api:Invoke", "Resource": "arn:aws:execute-api:*/GET/a"}
    api.answers["policy"] = {"principalId": "me", "policyDocument": {"Statement": [only_a]}}

    answers = [await http.get(path, headers={"who": "me"}) for path in ("/a", "/b")]

    assert [answer.status_code for answer in answers] == [200, 403]
    assert [name for name, _ in api.asked] == ["policy", "echo"]


@pytest.mark.parametrize("answer", [RuntimeError("Unauthorized"), {"isAuthorized": "yes"}, None])
async def test_an_authorizer_that_fails_is_an_error(api: Api, answer: object) -> None:
    http = await api.serve(route(authorization="CUSTOM", authorizer_id="simple"))
    api.answers["simple"] = answer

    refused = await http.get("/a", headers={"who": "me"})

    assert (refused.status_code, refused.json()) == (500, {"message": "Internal Server Error"})


async def test_a_signature_opens_a_route_of_iams(api: Api) -> None:
    http = await api.serve(route(authorization="AWS_IAM"))

    signed, unsigned = await http.get("/a", headers={"authorization": "signed by KEY"}), await http.get("/a")

    assert signed.json()["requestContext"]["authorizer"]["iam"]["accessKey"] == "KEY"
    assert (unsigned.status_code, unsigned.json()) == (403, {"message": "Forbidden"})


async def test_preflights_are_answered_by_the_api_and_answers_carry_its_headers(api: Api) -> None:
    api.answers["echo"] = {"statusCode": 200, "headers": {"access-control-allow-origin": "*"}}
    http = await api.serve(route(), route("GET /closed", authorization="JWT", authorizer_id="tokens"), cors=CORS)
    asking = {**FROM_SITE, "access-control-request-method": "GET"}

    preflight, answer = await http.options("/a", headers=asking), await http.get("/a", headers=FROM_SITE)
    refused = await http.get("/closed", headers=FROM_SITE)

    assert (preflight.status_code, preflight.headers["access-control-max-age"]) == (204, "9")
    assert answer.headers["access-control-allow-origin"] == "https://site.example"
    assert (refused.status_code, refused.headers["access-control-allow-origin"]) == (401, "https://site.example")
    assert len(api.asked) == 1


async def test_a_route_that_catches_preflights_guards_them(api: Api) -> None:
    http = await api.serve(route("$default", authorization="JWT", authorizer_id="tokens"), cors=CORS)

    answer = await http.options("/a", headers={**FROM_SITE, "access-control-request-method": "GET"})

    assert answer.status_code == 401


async def test_more_than_a_stage_takes_is_refused_route_by_route(api: Api) -> None:
    stage = Stage(
        "$default",
        0.0,
        0.0,
        default_route_settings=RouteSettings(2, 0.0),
        route_settings={"GET /b": RouteSettings(1), "GET /c": RouteSettings(0, 0)},
    )
    http = await api.serve(*(route(f"GET /{name}") for name in "abc"), stage=stage)

    found = {path: [(await http.get(path)).status_code for _ in range(3)] for path in ("/a", "/b", "/c")}
    refused = await http.get("/a")

    assert found == {"/a": [200, 200, 429], "/b": [200, 429, 429], "/c": [429] * 3}
    assert refused.json() == {"message": "Too Many Requests"}


async def test_a_request_goes_on_to_an_http_server(api: Api) -> None:
    http = await api.serve(route("ANY /files/{rest+}", "http"))

    answer = await http.put("/files/a/b%20c?x=1", content=b"data")

    assert (answer.status_code, answer.headers["content-type"], answer.headers["x-a"]) == (207, "text/x", "1")
    assert answer.json()["method"] == "PUT"
    assert answer.json()["target"] == "/base/a/b%20c?x=1"


async def test_requests_are_measured(api: Api) -> None:
    stage = Stage("$default", 0.0, 0.0, default_route_settings=RouteSettings(detailed_metrics_enabled=True))
    http = await api.serve(route(), stage=stage)

    await asyncio.gather(*(http.get(path) for path in ("/a", "/a", "/none")))

    points = api.means.metrics.take(0.0)
    of_api = {point.metric.name: point.values for point in points if point.metric.dimensions == (("ApiId", "api-id"),)}
    dimensions = {point.metric.dimensions for point in points}
    assert (of_api["Count"].total, of_api["4xx"].total, of_api["5xx"].total) == (3, 1, 0)
    assert (of_api["Latency"].count, of_api["IntegrationLatency"].count) == (3, 2)
    assert (("ApiId", "api-id"), ("Method", "GET"), ("Resource", "/a"), ("Stage", "$default")) in dimensions


async def test_a_stage_writes_a_line_of_each_request(api: Api) -> None:
    form = "$context.requestId $context.routeKey $context.status $context.authorizer.role $context.none"
    form += " $context.responseLength $context.integrationErrorMessage"
    stage = Stage("$default", 0.0, 0.0, access_log_settings=AccessLogSettings(form))
    closed = route("GET /closed", authorization="CUSTOM", authorizer_id="simple")
    http = await api.serve(closed, route("GET /forbidden", "forbidden"), stage=stage)
    api.answers["simple"] = {"isAuthorized": True, "context": {"role": "admin"}}
    LOGGED.clear()

    answer, failed = await http.get("/closed", headers={"who": "me"}), await http.get("/forbidden")

    ids = [one.headers["apigw-requestid"] for one in (answer, failed)]
    lines = [line for *_, line, _ in LOGGED]
    assert [one[:2] for one in LOGGED] == [("api-id", "$default")] * 2
    assert lines[0] == f"{ids[0]} GET /closed 200 admin - {len(answer.content)} -"
    assert lines[1].startswith(f"{ids[1]} GET /forbidden 500 - - 35 the function did not answer: the policy of echo")

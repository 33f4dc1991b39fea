"""HTTP APIs: made over a real boto3 client, and called as they are served."""

import json
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
import yaml
from msgspec.structs import replace

from tests.fakes.api_means import LOGGED
from tests.fakes.functions import ARN, Archive, create, refusal
from tests.fakes.invocations import echo
from tests.fakes.live_door import LiveDoor
from workshape.apis.http_apis import HttpApis
from workshape.clock import Clock
from workshape.functions.model import InvocationRequest, InvocationResult
from workshape.store.documents import Documents


@pytest.fixture(scope="module")
def door(tmp_path_factory: pytest.TempPathFactory, archive: Archive) -> Iterator[LiveDoor]:
    """A door for all, and a function that API Gateway may invoke: each test makes APIs of its own."""
    door = LiveDoor(tmp_path_factory.mktemp("door"))
    functions = door.client("lambda")
    create(functions, archive())
    permit(functions)
    yield door
    door.close()


@pytest.fixture(scope="module")
def client(door: LiveDoor) -> Any:
    return door.client("apigatewayv2")


@pytest.fixture(autouse=True)
def _echo(door: LiveDoor) -> None:
    """The function returns its event."""
    door.invoke.answer = echo
    door.invoke.asked.clear()


def permit(functions: Any, **more: Any) -> None:
    functions.add_permission(
        FunctionName="f", StatementId="s", Action="lambda:InvokeFunction", Principal="apigateway.amazonaws.com", **more
    )


def call(door: LiveDoor, url: str, method: str = "GET", **more: Any) -> httpx.Response:
    """Call an API as a client does whose resolver knows nothing of localhost's subdomains."""
    parts = urlsplit(url)
    headers = {**more.pop("headers", {}), "host": parts.netloc}
    return httpx.request(method, f"{door.url}{parts.path}?{parts.query}", headers=headers, trust_env=False, **more)


def refused(call: Callable[..., Any], **arguments: Any) -> tuple[str, str]:
    """Return the error a call ends with: its code and message."""
    code, _, message = refusal(lambda: call(**arguments))
    return code, message


def with_route(client: Any, key: str = "GET /pets/{id}", **more: Any) -> tuple[str, str, str]:
    """Make an API with a route to the function; return the ids of the three."""
    api = client.create_api(Name="pets", ProtocolType="HTTP")["ApiId"]
    integration = client.create_integration(
        ApiId=api, IntegrationType="AWS_PROXY", IntegrationUri=ARN, PayloadFormatVersion="2.0"
    )["IntegrationId"]
    route = client.create_route(ApiId=api, RouteKey=key, Target=f"integrations/{integration}", **more)["RouteId"]
    return api, integration, route


def test_an_api_made_of_a_target_is_served_at_once_by_host_and_by_path(client: Any, door: LiveDoor) -> None:
    api = client.create_api(Name="quick", ProtocolType="HTTP", Target=ARN, Tags={"team": "a"})

    by_host = call(door, f"{api['ApiEndpoint']}/a/b?x=1", "POST", content="hello", headers={"content-type": "text/x"})
    by_path = httpx.get(f"{door.url}/_workshape/apis/{api['ApiId']}/a/b?x=1", trust_env=False)
    stage = client.get_stage(ApiId=api["ApiId"], StageName="$default")

    assert api["ResponseMetadata"]["HTTPStatusCode"] == 201
    assert (api["Name"], api["ProtocolType"], api["Tags"]) == ("quick", "HTTP", {"team": "a"})
    assert by_host.json()["requestContext"]["apiId"] == api["ApiId"]
    assert (by_host.json()["rawPath"], by_host.json()["body"]) == ("/a/b", "hello")
    assert (by_path.json()["rawPath"], by_path.json()["rawQueryString"]) == ("/a/b", "x=1")
    assert (stage["AutoDeploy"], stage["ApiGatewayManaged"]) == (True, True)
    assert door.invoke.asked[0].trigger == "http"


def test_an_api_is_served_as_it_was_deployed_until_it_is_deployed_again(client: Any, door: LiveDoor) -> None:
    api, integration, _ = with_route(client)
    endpoint = client.get_api(ApiId=api)["ApiEndpoint"]
    before = call(door, f"{endpoint}/prod/pets/1")
    client.create_stage(ApiId=api, StageName="prod", StageVariables={"color": "red"})
    undeployed = call(door, f"{endpoint}/prod/pets/1")
    first = client.create_deployment(ApiId=api, StageName="prod")["DeploymentId"]

    served = call(door, f"{endpoint}/prod/pets/1")
    client.create_route(ApiId=api, RouteKey="GET /new", Target=f"integrations/{integration}")
    not_yet = call(door, f"{endpoint}/prod/new")
    second = client.create_deployment(ApiId=api, StageName="prod")["DeploymentId"]
    now = call(door, f"{endpoint}/prod/new")
    client.update_stage(ApiId=api, StageName="prod", DeploymentId=first)
    again_not = call(door, f"{endpoint}/prod/new")

    assert [answer.status_code for answer in (before, undeployed, not_yet, again_not)] == [404] * 4
    assert before.json() == {"message": "Not Found"}
    assert served.json()["rawPath"] == "/prod/pets/1"
    assert served.json()["stageVariables"] == {"color": "red"}
    assert now.status_code == 200
    assert [item["DeploymentId"] for item in client.get_deployments(ApiId=api)["Items"]] == [second, first]
    assert refused(client.delete_deployment, ApiId=api, DeploymentId=first)[0] == "ConflictException"
    client.delete_deployment(ApiId=api, DeploymentId=second)


def test_a_stage_that_deploys_by_itself_serves_every_change(client: Any, door: LiveDoor) -> None:
    api, _, route = with_route(client)
    endpoint = client.get_api(ApiId=api)["ApiEndpoint"]
    client.create_stage(ApiId=api, StageName="$default", AutoDeploy=True)

    before = call(door, f"{endpoint}/pets/1")
    client.update_route(ApiId=api, RouteId=route, RouteKey="GET /cats/{id}")
    gone, moved = call(door, f"{endpoint}/pets/1"), call(door, f"{endpoint}/cats/1")

    assert [answer.status_code for answer in (before, gone, moved)] == [200, 404, 200]
    (deployment,) = client.get_deployments(ApiId=api)["Items"]
    assert deployment["AutoDeployed"]
    assert client.get_stage(ApiId=api, StageName="$default")["DeploymentId"] == deployment["DeploymentId"]


def test_without_a_permission_the_function_is_not_invoked(client: Any, door: LiveDoor) -> None:
    functions = door.client("lambda")
    functions.remove_permission(FunctionName="f", StatementId="s")
    api = client.create_api(Name="quick", ProtocolType="HTTP", Target=ARN)

    refused = call(door, api["ApiEndpoint"])
    permit(functions, SourceArn=f"arn:aws:execute-api:us-east-1:123456789012:{api['ApiId']}/*/*")
    allowed = call(door, api["ApiEndpoint"])
    functions.remove_permission(FunctionName="f", StatementId="s")
    permit(functions)

    assert (refused.status_code, refused.json()) == (500, {"message": "Internal Server Error"})
    assert allowed.status_code == 200


def test_members_are_shown_as_they_were_made_and_changed(client: Any) -> None:
    api, integration, route = with_route(client)
    authorizer = client.create_authorizer(
        ApiId=api,
        Name="tokens",
        AuthorizerType="JWT",
        IdentitySource=["$request.header.Authorization"],
        JwtConfiguration={"Issuer": "https://issuer.example", "Audience": ["me"]},
    )

    changed = client.update_route(
        ApiId=api,
        RouteId=route,
        AuthorizationType="JWT",
        AuthorizerId=authorizer["AuthorizerId"],
        AuthorizationScopes=["read"],
    )
    client.update_integration(ApiId=api, IntegrationId=integration, TimeoutInMillis=5_000, Description="d")
    client.update_authorizer(ApiId=api, AuthorizerId=authorizer["AuthorizerId"], Name="other")

    assert (changed["RouteKey"], changed["AuthorizationScopes"]) == ("GET /pets/{id}", ["read"])
    shown = client.get_integration(ApiId=api, IntegrationId=integration)
    assert (shown["TimeoutInMillis"], shown["Description"], shown["IntegrationMethod"]) == (5_000, "d", "POST")
    assert client.get_authorizers(ApiId=api)["Items"][0]["Name"] == "other"
    assert [item["RouteId"] for item in client.get_routes(ApiId=api)["Items"]] == [route]


def test_cors_and_limits_and_tags_are_set_and_taken_away(client: Any, door: LiveDoor) -> None:
    cors = {"AllowOrigins": ["https://site.example"], "MaxAge": 5}
    api = client.create_api(Name="quick", ProtocolType="HTTP", Target=ARN, CorsConfiguration=cors)
    asking = {"origin": "https://site.example", "access-control-request-method": "GET"}
    arn = f"arn:aws:apigateway:us-east-1::/apis/{api['ApiId']}"
    client.tag_resource(ResourceArn=arn, Tags={"a": "1", "b": "2"})
    client.untag_resource(ResourceArn=arn, TagKeys=["a"])
    settings = {"ThrottlingBurstLimit": 1, "ThrottlingRateLimit": 0.01}
    client.update_stage(ApiId=api["ApiId"], StageName="$default", DefaultRouteSettings=settings)

    preflight = call(door, api["ApiEndpoint"], "OPTIONS", headers=asking)
    found = [call(door, api["ApiEndpoint"]).status_code for _ in range(2)]
    client.delete_cors_configuration(ApiId=api["ApiId"])

    assert (preflight.status_code, preflight.headers["access-control-max-age"]) == (204, "5")
    assert found == [200, 429]
    assert client.get_tags(ResourceArn=arn)["Tags"] == {"b": "2"}
    assert client.get_stage(ApiId=api["ApiId"], StageName="$default")["DefaultRouteSettings"] == settings
    assert "CorsConfiguration" not in client.get_api(ApiId=api["ApiId"])


def test_an_access_log_is_written_and_taken_away(client: Any, door: LiveDoor) -> None:
    api = client.create_api(Name="quick", ProtocolType="HTTP", Target=ARN)
    log = {"Format": "$context.requestId $context.status", "DestinationArn": "arn:aws:logs:us-east-1:1:log-group:g"}
    where = {"ApiId": api["ApiId"], "StageName": "$default"}

    shown = client.update_stage(**where, AccessLogSettings=log)["AccessLogSettings"]
    answer = call(door, f"{api['ApiEndpoint']}/a")
    client.delete_access_log_settings(**where)
    call(door, f"{api['ApiEndpoint']}/a")

    written = [line for api_id, _, line, _ in LOGGED if api_id == api["ApiId"]]
    assert shown == log
    assert written == [f"{answer.headers['apigw-requestid']} 200"]


def test_an_authorizers_function_is_asked_and_forgotten(client: Any, door: LiveDoor) -> None:
    api, _, route = with_route(client, "GET /a")
    authorizer = client.create_authorizer(
        ApiId=api,
        Name="asks",
        AuthorizerType="REQUEST",
        AuthorizerUri=f"arn:aws:apigateway:us-east-1:lambda:path/2015-03-31/functions/{ARN}/invocations",
        AuthorizerPayloadFormatVersion="2.0",
        EnableSimpleResponses=True,
        IdentitySource=["$request.header.who"],
        AuthorizerResultTtlInSeconds=300,
    )["AuthorizerId"]
    client.update_route(ApiId=api, RouteId=route, AuthorizationType="CUSTOM", AuthorizerId=authorizer)
    client.create_stage(ApiId=api, StageName="$default", AutoDeploy=True)
    endpoint = client.get_api(ApiId=api)["ApiEndpoint"]

    def decide(asked: InvocationRequest) -> InvocationResult:
        event = json.loads(asked.payload)
        answer = {"isAuthorized": event["identitySource"] == ["me"]} if "routeArn" in event else event
        return replace(echo(asked), payload=json.dumps(answer).encode())

    door.invoke.answer = decide
    answers = [
        call(door, f"{endpoint}/a", headers=headers).status_code for headers in ({"who": "me"}, {"who": "x"}, {})
    ]
    again = call(door, f"{endpoint}/a", headers={"who": "me"}).status_code
    asked = len(door.invoke.asked)
    client.reset_authorizers_cache(ApiId=api, StageName="$default")
    call(door, f"{endpoint}/a", headers={"who": "me"})

    assert (answers, again) == ([200, 403, 401], 200)
    assert (asked, len(door.invoke.asked)) == (4, 6)


def test_an_api_is_read_from_a_definition(client: Any, door: LiveDoor) -> None:
    integration = {"type": "aws_proxy", "httpMethod": "POST", "uri": ARN, "payloadFormatVersion": "2.0"}
    closed = {"x-amazon-apigateway-integration": integration, "security": [{"tokens": ["read"]}]}
    body = {
        "openapi": "3.0.1",
        "info": {"title": "imported", "version": "7"},
        "paths": {
            "/open": {"get": {"x-amazon-apigateway-integration": integration, "responses": {}}},
            "/closed": {"x-amazon-apigateway-any-method": closed},
            "/$default": {"x-amazon-apigateway-any-method": {"x-amazon-apigateway-integration": integration}},
        },
        "components": {
            "securitySchemes": {
                "tokens": {
                    "type": "oauth2",
                    "x-amazon-apigateway-authorizer": {
                        "type": "jwt",
                        "identitySource": "$request.header.Authorization",
                        "jwtConfiguration": {"issuer": "https://issuer.example", "audience": ["me"]},
                    },
                }
            }
        },
        "x-amazon-apigateway-cors": {"allowOrigins": ["*"]},
    }

    api = client.import_api(Body=json.dumps(body))
    client.create_stage(ApiId=api["ApiId"], StageName="$default", AutoDeploy=True)
    answers = [call(door, f"{api['ApiEndpoint']}/{path}") for path in ("open", "closed", "else")]
    client.reimport_api(ApiId=api["ApiId"], Body=yaml.safe_dump({**body, "paths": {"/x": body["paths"]["/open"]}}))  # type: ignore[index]

    assert (api["Name"], api["Version"], api["CorsConfiguration"]) == ("imported", "7", {"AllowOrigins": ["*"]})
    assert [answer.status_code for answer in answers] == [200, 401, 200]
    assert [item["RouteKey"] for item in client.get_routes(ApiId=api["ApiId"])["Items"]] == ["GET /x"]


def test_what_cannot_be_is_refused_as_on_aws(client: Any) -> None:
    api, integration, _ = with_route(client)
    function = {"IntegrationType": "AWS_PROXY", "IntegrationUri": ARN, "PayloadFormatVersion": "2.0"}

    assert refused(client.get_api, ApiId="none") == ("NotFoundException", "Invalid API identifier specified none")
    assert refused(client.get_route, ApiId=api, RouteId="none")[0] == "NotFoundException"
    assert refused(client.create_route, ApiId=api, RouteKey="GET /pets/{id}") == (
        "ConflictException",
        "Route with key GET /pets/{id} already exists for this API",
    )
    assert refused(client.create_route, ApiId=api, RouteKey="GET pets")[0] == "BadRequestException"
    assert refused(client.create_route, ApiId=api, RouteKey="GET /x", Target="integrations/none")[0] == (
        "BadRequestException"
    )
    assert refused(client.create_route, ApiId=api, RouteKey="GET /x", AuthorizationType="JWT")[0] == (
        "BadRequestException"
    )
    assert refused(client.delete_integration, ApiId=api, IntegrationId=integration)[0] == "ConflictException"
    assert "WEBSOCKET" in refused(client.create_api, Name="ws", ProtocolType="WEBSOCKET")[1]
    assert (
        "RequestParameters"
        in refused(client.create_integration, ApiId=api, RequestParameters={"overwrite:path": "/x"}, **function)[1]
    )
    two_lines = {"Format": "$context.requestId\n$context.status"}
    assert refused(client.create_stage, ApiId=api, StageName="x", AccessLogSettings=two_lines)[0] == (
        "BadRequestException"
    )
    assert "type AWS" in refused(client.create_integration, ApiId=api, IntegrationType="AWS")[1]
    assert refused(client.create_vpc_link, Name="v", SubnetIds=[])[0] == "NotImplemented"


def test_apis_outlive_the_store(client: Any, door: LiveDoor) -> None:
    api, _, route = with_route(client)
    client.create_stage(ApiId=api, StageName="prod")
    client.create_deployment(ApiId=api, StageName="prod")

    store = Documents(door.folder / "store.sqlite")
    apis = HttpApis(store, Clock())
    found = apis.get(api)
    served = apis.served(found, found.stages["prod"])
    store.close()
    client.delete_api(ApiId=api)

    assert served is not None
    assert served.routes[route].route_key == "GET /pets/{id}"
    assert api not in [item["ApiId"] for item in client.get_apis()["Items"]]

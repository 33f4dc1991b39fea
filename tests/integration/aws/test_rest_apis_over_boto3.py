"""REST APIs: made over a real boto3 client, and called as they are served."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest
import yaml
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from msgspec.structs import replace

from tests.fakes.api_means import LOGGED
from tests.fakes.functions import ARN, Archive, create, refusal
from tests.fakes.invocations import echo
from tests.fakes.live_door import LiveDoor
from tests.fakes.webhook import Reply, webhook
from workshape.functions.model import InvocationRequest, InvocationResult

PARTS = ("{id}", "{other}", "a/b", "%7Bid%7D")
URI = f"arn:aws:apigateway:us-east-1:lambda:path/2015-03-31/functions/{ARN}/invocations"


@pytest.fixture(scope="module")
def door(tmp_path_factory: pytest.TempPathFactory, archive: Archive) -> Iterator[LiveDoor]:
    """A door for all, and a function that API Gateway may invoke: each test makes APIs of its own."""
    door = LiveDoor(tmp_path_factory.mktemp("door"))
    functions = door.client("lambda")
    create(functions, archive())
    functions.add_permission(
        FunctionName="f", StatementId="s", Action="lambda:InvokeFunction", Principal="apigateway.amazonaws.com"
    )
    yield door
    door.close()


@pytest.fixture(scope="module")
def client(door: LiveDoor) -> Any:
    return door.client("apigateway")


@pytest.fixture(autouse=True)
def _answer(door: LiveDoor) -> None:
    """The function returns a response whose body is its event."""

    def answer(asked: InvocationRequest) -> InvocationResult:
        response = {"statusCode": 201, "headers": {"X-A": "1"}, "body": asked.payload.decode()}
        return replace(echo(asked), payload=json.dumps(response).encode())

    door.invoke.answer = answer
    door.invoke.asked.clear()


def returning(door: LiveDoor, result: object) -> None:
    door.invoke.answer = lambda asked: replace(echo(asked), payload=json.dumps(result).encode())


def call(door: LiveDoor, api: str, path: str, method: str = "GET", **more: Any) -> httpx.Response:
    """Call an API by its host, as a client does whose resolver knows nothing of localhost's subdomains."""
    headers = {**more.pop("headers", {}), "host": f"{api}.execute-api.us-east-1.localhost:4566"}
    return httpx.request(method, f"{door.url}{path}", headers=headers, trust_env=False, **more)


def refused(call: Callable[..., Any], **arguments: Any) -> tuple[str, str]:
    """Return the error a call ends with: its code and message."""
    code, _, message = refusal(lambda: call(**arguments))
    return code, message


class Made:
    """A REST API, as a tool makes one."""

    def __init__(self, client: Any, **api: Any) -> None:
        self.client = client
        self.id = client.create_rest_api(name="pets", **api)["id"]
        self.ids: dict[str, str] = {"/": client.get_resources(restApiId=self.id)["items"][0]["id"]}

    def resource(self, path: str) -> str:
        """Make what a path goes through; return the id of its end."""
        if path not in self.ids:
            parent, _, part = path.rpartition("/")
            made = self.client.create_resource(restApiId=self.id, parentId=self.resource(parent or "/"), pathPart=part)
            self.ids[path] = made["id"]
        return self.ids[path]

    def method(self, path: str, method: str = "GET", **more: Any) -> "Made":
        """Make a method that leads to the function."""
        where = {"restApiId": self.id, "resourceId": self.resource(path), "httpMethod": method}
        self.client.put_method(**where, **{"authorizationType": "NONE", **more})
        self.client.put_integration(**where, type="AWS_PROXY", integrationHttpMethod="POST", uri=URI)
        return self

    def deploy(self, stage: str = "prod", **more: Any) -> "Made":
        """Serve what there is now."""
        self.client.create_deployment(restApiId=self.id, stageName=stage, **more)
        return self


def test_methods_are_served_with_events_of_format_1_0(client: Any, door: LiveDoor) -> None:
    api = Made(client).method("/pets/{id}").method("/pets/{id}/{rest+}", "ANY").method("/")
    api.deploy(variables={"color": "red"})

    answer = call(door, api.id, "/prod/pets/a%20b?x=1&x=2", headers={"content-type": "text/plain"})
    greedy, root = call(door, api.id, "/prod/pets/1/c/d", "PUT", content="data"), call(door, api.id, "/prod")
    by_path = httpx.get(f"{door.url}/_workshape/apis/{api.id}/prod/pets/1", trust_env=False)

    event = answer.json()
    assert (answer.status_code, answer.headers["x-a"]) == (201, "1")
    assert answer.headers["x-amzn-requestid"] == event["requestContext"]["requestId"]
    assert (event["resource"], event["path"]) == ("/pets/{id}", "/pets/a%20b")
    assert event["multiValueQueryStringParameters"] == {"x": ["1", "2"]}
    assert event["headers"]["Content-Type"] == "text/plain"
    assert (event["pathParameters"], event["stageVariables"]) == ({"id": "a b"}, {"color": "red"})
    assert event["requestContext"]["resourceId"] == api.ids["/pets/{id}"]
    assert (greedy.json()["pathParameters"], greedy.json()["body"]) == ({"id": "1", "rest": "c/d"}, "data")
    assert (root.json()["path"], by_path.json()["path"]) == ("/", "/pets/1")


def test_what_is_not_there_needs_a_token_that_nobody_has(client: Any, door: LiveDoor) -> None:
    api = Made(client).method("/pets").method("/{rest+}", "ANY").deploy()

    other_method, unknown_stage = call(door, api.id, "/prod/pets", "POST"), call(door, api.id, "/dev/pets")
    caught = call(door, api.id, "/prod/cats")

    assert (other_method.status_code, other_method.json()) == (403, {"message": "Missing Authentication Token"})
    assert other_method.headers["x-amzn-errortype"] == "MissingAuthenticationTokenException"
    assert (unknown_stage.status_code, unknown_stage.json()) == (403, {"message": "Forbidden"})
    assert caught.status_code == 201


@pytest.mark.parametrize(
    ("result", "status", "message"),
    [({"hello": 1}, 502, "Internal server error"), ("text", 502, "Internal server error")],
)
def test_a_malformed_response_is_a_bad_gateway(
    client: Any, door: LiveDoor, result: object, status: int, message: str
) -> None:
    api = Made(client).method("/").deploy()
    returning(door, result)

    answer = call(door, api.id, "/prod/")

    assert (answer.status_code, answer.json()) == (status, {"message": message})


def test_binary_media_types_say_what_is_base64(client: Any, door: LiveDoor) -> None:
    api = Made(client, binaryMediaTypes=["image/png"]).method("/", "POST")
    patch = [{"op": "add", "path": "/binaryMediaTypes/image~1gif"}]
    changed = client.update_rest_api(restApiId=api.id, patchOperations=patch)
    api.deploy()

    answer = call(door, api.id, "/prod", "POST", content=b"\x00\xff", headers={"content-type": "image/gif"})
    returning(door, {"statusCode": 200, "body": "AP8=", "isBase64Encoded": True})
    binary = call(door, api.id, "/prod", "POST", headers={"accept": "image/png"})

    assert changed["binaryMediaTypes"] == ["image/png", "image/gif"]
    assert (answer.json()["body"], answer.json()["isBase64Encoded"]) == ("AP8=", True)
    assert binary.content == b"\x00\xff"


def test_a_server_behind_a_rest_api_may_not_speak_for_it(client: Any, door: LiveDoor) -> None:
    with webhook() as server:
        api = Made(client)
        where = {"restApiId": api.id, "resourceId": api.resource("/{rest+}"), "httpMethod": "ANY"}
        client.put_method(**where, authorizationType="NONE", requestParameters={"method.request.path.rest": True})
        client.put_integration(
            **where,
            type="HTTP_PROXY",
            integrationHttpMethod="ANY",
            uri=f"{server.url}/base/{{rest}}",
            requestParameters={"integration.request.path.rest": "method.request.path.rest"},
        )
        api.deploy()
        server.replies["/base/a/b"] = [Reply(401, {"WWW-Authenticate": "Basic", "Server": "mine", "X-A": "1"})]

        answer = call(door, api.id, "/prod/a/b?x=1")

    assert (answer.status_code, answer.headers["x-a"]) == (401, "1")
    assert answer.headers["x-amzn-remapped-www-authenticate"] == "Basic"
    assert "www-authenticate" not in answer.headers
    assert "server" not in answer.headers


@pytest.mark.parametrize(
    ("token", "status", "message"),
    [
        ("allow", 201, None),
        ("deny", 403, "User is not authorized to access this resource with an explicit deny"),
        ("other", 403, "User is not authorized to access this resource"),
        ("unauthorized", 401, "Unauthorized"),
        ("fail", 500, None),
        ("odd", 500, None),
        ("", 401, "Unauthorized"),
    ],
)
def test_a_token_authorizer_decides(client: Any, door: LiveDoor, token: str, status: int, message: str | None) -> None:
    api = Made(client)
    source = "method.request.header.Auth"
    authorizer = client.create_authorizer(
        restApiId=api.id, name="a", type="TOKEN", authorizerUri=URI, identitySource=source
    )["id"]
    api.method("/a", authorizationType="CUSTOM", authorizerId=authorizer)
    api.method("/a/{rest+}", authorizationType="CUSTOM", authorizerId=authorizer).deploy()
    answered = door.invoke.answer

    def decide(asked: InvocationRequest) -> InvocationResult:
        event = json.loads(asked.payload)
        if event.get("type") != "TOKEN":
            return answered(asked)
        named = event["authorizationToken"]
        if named in ("unauthorized", "fail"):
            text = {"errorMessage": "Unauthorized" if named == "unauthorized" else "no"}
            return replace(echo(asked), payload=json.dumps(text).encode(), function_error="Unhandled")
        effect = {"allow": "Allow", "odd": "Allow", "deny": "Deny"}.get(named)
        statement = {"Action": "execute-api:Invoke", "Effect": effect, "Resource": event["methodArn"]}
        policy = {"Statement": [statement] if effect else []}
        context = {"n": {"no": "scalar"} if named == "odd" else 1}
        answer = {"principalId": "me", "policyDocument": policy, "context": context}
        return replace(echo(asked), payload=json.dumps(answer).encode())

    door.invoke.answer = decide
    answer = call(door, api.id, "/prod/a", headers={"auth": token})

    assert answer.status_code == status
    assert call(door, api.id, f"/prod/a/{'x' * 1_600}").status_code == 414
    if status == 201:
        assert answer.json()["requestContext"]["authorizer"] == {"principalId": "me", "n": "1"}
    else:
        assert answer.json() == {"message": message}


def test_keys_open_methods_within_their_plans(client: Any, door: LiveDoor) -> None:
    api = Made(client).method("/a", apiKeyRequired=True).deploy()
    key = client.create_api_key(name="k", enabled=True)
    plan = client.create_usage_plan(
        name="p",
        apiStages=[{"apiId": api.id, "stage": "prod"}],
        throttle={"rateLimit": 0.001, "burstLimit": 2},
        quota={"limit": 100, "period": "DAY"},
    )
    client.create_usage_plan_key(usagePlanId=plan["id"], keyId=key["id"], keyType="API_KEY")

    without = call(door, api.id, "/prod/a")
    found = [call(door, api.id, "/prod/a", headers={"x-api-key": key["value"]}) for _ in range(3)]
    patch = [{"op": "replace", "path": "/quota/limit", "value": "2"}, {"op": "remove", "path": "/throttle"}]
    client.update_usage_plan(usagePlanId=plan["id"], patchOperations=patch)
    exceeded = call(door, api.id, "/prod/a", headers={"x-api-key": key["value"]})

    assert (without.status_code, without.json()) == (403, {"message": "Forbidden"})
    assert [answer.status_code for answer in found] == [201, 201, 429]
    assert found[0].json()["requestContext"]["identity"]["apiKey"] == key["value"]
    assert found[2].json() == {"message": "Too Many Requests"}
    assert (exceeded.status_code, exceeded.json()) == (429, {"message": "Limit Exceeded"})
    assert client.get_usage_plan_keys(usagePlanId=plan["id"])["items"][0]["name"] == "k"


def test_a_stage_throttles_and_measures_by_patches_of_its_settings(client: Any, door: LiveDoor) -> None:
    api = Made(client).method("/a/b").method("/c").deploy()
    patch = [
        {"op": "replace", "path": "/*/*/throttling/burstLimit", "value": "0"},
        {"op": "replace", "path": "/*/*/throttling/rateLimit", "value": "0"},
        {"op": "replace", "path": "/~1a~1b/GET/throttling/burstLimit", "value": "1"},
        {"op": "replace", "path": "/variables/color", "value": "blue"},
        {"op": "replace", "path": "/accessLogSettings/format", "value": "$context.requestId $context.status"},
        {"op": "replace", "path": "/accessLogSettings/destinationArn", "value": "arn:aws:logs:us-east-1:1:log-group:g"},
    ]
    stage = client.update_stage(restApiId=api.id, stageName="prod", patchOperations=patch)

    own, all_others = call(door, api.id, "/prod/a/b"), call(door, api.id, "/prod/c")
    without = [{"op": "remove", "path": "/*/*"}]
    left = client.update_stage(restApiId=api.id, stageName="prod", patchOperations=without)

    assert set(stage["methodSettings"]) == {"*/*", "~1a~1b/GET"}
    assert stage["accessLogSettings"]["format"] == "$context.requestId $context.status"
    assert [line.split()[1] for api_id, _, line, _ in LOGGED if api_id == api.id] == ["201", "429"]
    assert own.json()["stageVariables"] == {"color": "blue"}
    assert (all_others.status_code, all_others.json()) == (429, {"message": "Too Many Requests"})
    assert set(left["methodSettings"]) == {"~1a~1b/GET"}


def test_a_mock_and_gateway_responses_make_cors(client: Any, door: LiveDoor) -> None:
    api = Made(client).method("/a")
    where = {"restApiId": api.id, "resourceId": api.ids["/a"], "httpMethod": "OPTIONS"}
    template = {"application/json": '{"statusCode": 204}'}
    client.put_method(**where, authorizationType="NONE")
    client.put_integration(**where, type="MOCK", requestTemplates=template)
    header = "method.response.header.Access-Control-Allow-Origin"
    client.put_method_response(**where, statusCode="204", responseParameters={header: True})
    client.put_integration_response(**where, statusCode="204", responseParameters={header: "'*'"})
    client.put_gateway_response(
        restApiId=api.id,
        responseType="DEFAULT_4XX",
        responseParameters={"gatewayresponse.header.Access-Control-Allow-Origin": "'*'"},
    )
    api.deploy()

    preflight, refusal = call(door, api.id, "/prod/a", "OPTIONS"), call(door, api.id, "/prod/none")

    assert (preflight.status_code, preflight.headers["access-control-allow-origin"]) == (204, "*")
    assert (refusal.status_code, refusal.headers["access-control-allow-origin"]) == (403, "*")
    shown = client.get_method(**where)
    assert shown["methodIntegration"]["integrationResponses"]["204"]["responseParameters"] == {header: "'*'"}
    vtl = {"application/json": '#set($a = 1){"statusCode": 200}'}
    assert "VTL" in refused(client.put_integration, **where, type="MOCK", requestTemplates=vtl)[1]


def test_an_api_is_read_from_a_definition_and_read_over(client: Any, door: LiveDoor) -> None:
    integration = {"type": "aws_proxy", "httpMethod": "POST", "uri": URI}
    method = {"x-amazon-apigateway-integration": integration, "responses": {}}
    body: dict[str, Any] = {
        "swagger": "2.0",
        "info": {"title": "imported", "version": "1.0"},
        "paths": {
            "/a/{id}": {"get": method, "x-amazon-apigateway-any-method": {**method, "security": [{"key": []}]}},
            "/signed": {"get": {**method, "security": [{"sigv4": []}]}},
        },
        "securityDefinitions": {
            "key": {"type": "apiKey", "name": "x-api-key", "in": "header"},
            "sigv4": {
                "type": "apiKey",
                "name": "Authorization",
                "in": "header",
                "x-amazon-apigateway-authtype": "awsSigv4",
            },
        },
        "x-amazon-apigateway-gateway-responses": {"INVALID_API_KEY": {"statusCode": 418}},
    }

    made = client.import_rest_api(body=json.dumps(body), parameters={"endpointConfigurationTypes": "REGIONAL"})
    api = made["id"]
    client.create_deployment(restApiId=api, stageName="prod")
    answers = [call(door, api, "/prod/a/1"), call(door, api, "/prod/a/1", "POST"), call(door, api, "/prod/signed")]
    resources = {item["path"]: item for item in client.get_resources(restApiId=api, embed=["methods"])["items"]}
    body["paths"] = {"/b": {"get": method}}
    client.put_rest_api(restApiId=api, mode="overwrite", body=yaml.safe_dump(body))
    client.create_deployment(restApiId=api, stageName="prod")

    assert (made["name"], [answer.status_code for answer in answers]) == ("imported", [201, 418, 403])
    assert set(resources) == {"/", "/a", "/a/{id}", "/signed"}
    assert resources["/signed"]["resourceMethods"]["GET"]["authorizationType"] == "AWS_IAM"
    assert [call(door, api, f"/prod/{path}").status_code for path in ("a/1", "b")] == [403, 201]
    assert client.get_rest_api(restApiId=api)["rootResourceId"] == made["rootResourceId"]


def test_resources_move_and_go_with_what_is_below(client: Any, door: LiveDoor) -> None:
    api = Made(client).method("/a/b").method("/c")
    patch = [{"op": "replace", "path": "/pathPart", "value": "x"}]

    moved = client.update_resource(restApiId=api.id, resourceId=api.ids["/a"], patchOperations=patch)
    below = client.get_resource(restApiId=api.id, resourceId=api.ids["/a/b"])
    client.delete_resource(restApiId=api.id, resourceId=api.ids["/a"])

    assert (moved["path"], below["path"]) == ("/x", "/x/b")
    assert [item["path"] for item in client.get_resources(restApiId=api.id)["items"]] == ["/", "/c"]


def test_tags_and_deployments_are_kept(client: Any) -> None:
    api = Made(client, tags={"a": "1"}).method("/").deploy("one").deploy("two")
    arn = f"arn:aws:apigateway:us-east-1::/restapis/{api.id}"

    client.tag_resource(resourceArn=arn, tags={"b": "2"})
    client.untag_resource(resourceArn=arn, tagKeys=["a"])
    client.tag_resource(resourceArn=f"{arn}/stages/one", tags={"c": "3"})
    deployments = client.get_deployments(restApiId=api.id)["items"]
    stages = client.get_stages(restApiId=api.id)["item"]

    assert client.get_tags(resourceArn=arn)["tags"] == {"b": "2"}
    assert [stage.get("tags") for stage in stages] == [{"c": "3"}, None]
    assert {stage["deploymentId"] for stage in stages} == {one["id"] for one in deployments}
    assert refused(client.delete_deployment, restApiId=api.id, deploymentId=deployments[0]["id"]) == (
        "BadRequestException",
        "Active stages pointing to this deployment must be moved or deleted",
    )
    client.delete_rest_api(restApiId=api.id)
    assert refused(client.get_rest_api, restApiId=api.id)[0] == "NotFoundException"


@pytest.mark.parametrize("by_path", [False, True])
def test_a_signature_for_execute_api_opens_a_method_of_iams(client: Any, door: LiveDoor, by_path: bool) -> None:
    api = Made(client).method("/a", authorizationType="AWS_IAM").deploy()
    host = f"{api.id}.execute-api.us-east-1.localhost:4566"
    path = f"/_workshape/apis/{api.id}/prod/a" if by_path else "/prod/a"
    signed = AWSRequest("GET", f"{door.url}{path}?x=1", headers={} if by_path else {"host": host})
    SigV4Auth(Credentials("workshape", "workshape"), "execute-api", "us-east-1").add_auth(signed)
    headers = {**dict(signed.headers), **({} if by_path else {"host": host})}

    url = f"{door.url}{path}?x=1"
    answer = httpx.get(url, headers=headers, trust_env=False)
    forged = httpx.get(f"{door.url}{path}?x=2", headers=headers, trust_env=False)
    unsigned = httpx.get(url, headers={} if by_path else {"host": host}, trust_env=False)

    assert answer.json()["requestContext"]["identity"]["userArn"] == "arn:aws:iam::123456789012:user/workshape"
    assert (forged.status_code, forged.headers["x-amzn-errortype"]) == (403, "InvalidSignatureException")
    assert (unsigned.status_code, unsigned.json()) == (403, {"message": "Missing Authentication Token"})


def test_the_account_keeps_its_role(client: Any) -> None:
    role = "arn:aws:iam::123456789012:role/logs"

    client.update_account(patchOperations=[{"op": "replace", "path": "/cloudwatchRoleArn", "value": role}])

    shown = client.get_account()
    assert (shown["cloudwatchRoleArn"], shown["throttleSettings"]["burstLimit"]) == (role, 5_000)


def test_what_cannot_be_is_refused_as_on_aws(client: Any) -> None:
    api = Made(client)
    root = {"restApiId": api.id, "resourceId": api.ids["/"]}
    create = client.create_resource

    assert refused(client.create_deployment, restApiId=api.id) == (
        "BadRequestException",
        "The REST API doesn't contain any methods",
    )
    client.put_method(**root, httpMethod="GET", authorizationType="NONE")
    assert refused(client.create_deployment, restApiId=api.id)[1] == "No integration defined for method"
    assert refused(client.put_method, **root, httpMethod="GET", authorizationType="NONE")[0] == "ConflictException"
    api.resource("/{id}")
    for part, code in (
        ("{id}", "ConflictException"),
        ("{other}", "BadRequestException"),
        ("a/b", "BadRequestException"),
    ):
        assert refused(create, restApiId=api.id, parentId=api.ids["/"], pathPart=part)[0] == code
    integration = {**root, "httpMethod": "GET"}
    assert "type AWS" in refused(client.put_integration, **integration, type="AWS", uri=URI)[1]
    assert (
        "COGNITO_USER_POOLS"
        in refused(client.create_authorizer, restApiId=api.id, name="c", type="COGNITO_USER_POOLS", identitySource="x")[
            1
        ]
    )
    assert "policy" in refused(client.create_rest_api, name="x", policy="{}")[1]
    assert refused(client.create_domain_name, domainName="a.example")[0] == "NotImplemented"
    path = [{"op": "replace", "path": "/nothing", "value": "x"}]
    assert "Invalid patch path" in refused(client.update_rest_api, restApiId=api.id, patchOperations=path)[1]

"""A key's quota is the same one after the engine was started again."""

from pathlib import Path
from typing import Any

import httpx

from tests.fakes.live_engine import LiveEngine, live_engine


def limited_api(engine: LiveEngine) -> tuple[str, dict[str, str]]:
    """Make an API whose key may be used three times a month; return its path and the key's header."""
    client = engine.client("apigateway")
    api = client.create_rest_api(name="limited")
    at: dict[str, Any] = {"restApiId": api["id"], "resourceId": api["rootResourceId"], "httpMethod": "GET"}
    client.put_method(**at, authorizationType="NONE", apiKeyRequired=True)
    client.put_integration(**at, type="MOCK", requestTemplates={"application/json": '{"statusCode": 200}'})
    client.put_method_response(**at, statusCode="200")
    client.put_integration_response(**at, statusCode="200")
    client.create_deployment(restApiId=api["id"], stageName="prod")
    key = client.create_api_key(name="k", enabled=True)
    plan = client.create_usage_plan(
        name="p", apiStages=[{"apiId": api["id"], "stage": "prod"}], quota={"limit": 3, "period": "MONTH"}
    )
    client.create_usage_plan_key(usagePlanId=plan["id"], keyId=key["id"], keyType="API_KEY")
    return f"/_workshape/apis/{api['id']}/prod/", {"x-api-key": key["value"]}


def test_what_was_used_of_a_quota_outlives_the_engine(tmp_path: Path) -> None:
    with live_engine(tmp_path) as engine:
        path, headers = limited_api(engine)
        before = [httpx.get(engine.run_file.endpoint + path, headers=headers).status_code for _ in range(2)]
    with live_engine(tmp_path) as engine:
        after = [httpx.get(engine.run_file.endpoint + path, headers=headers).status_code for _ in range(2)]

    assert (before, after) == ([200, 200], [200, 429])

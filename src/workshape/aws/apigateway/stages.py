"""The operations on stages, deployments and authorizers of REST APIs.

Each method's page is https://docs.aws.amazon.com/apigateway/latest/api/API_NAME.html
"""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from msgspec.structs import replace

from workshape.apis.ids import new_member_id
from workshape.apis.patch import InvalidPatch, patched
from workshape.apis.rest_api import Authorizer, Definition, Deployment, Stage, find_authorizer, with_authorizer
from workshape.apis.rest_apis import RestApis
from workshape.aws.apigateway.members import page, show
from workshape.aws.operation import Call, Operation
from workshape.aws.struct_members import NotBuilt, make
from workshape.errors import Conflict, Invalid

Forget = Callable[[str, str], None]
"""Drops what is kept of authorizers' answers, by API and stage."""

RESULT_TTL_S_MAX = 3_600
_STAGE_NAME = re.compile(r"[-a-zA-Z0-9_]{1,128}")
_STAGE = ("deploymentId", "description", "variables", "tracingEnabled", "accessLogSettings")
_AUTHORIZER = (
    *("name", "type", "authType", "authorizerUri", "authorizerCredentials", "identitySource"),
    *("identityValidationExpression", "authorizerResultTtlInSeconds"),
)
_REQUEST_IDS = ("$context.requestId", "$context.extendedRequestId")
_SETTINGS = {
    "metrics/enabled": "metricsEnabled",
    "throttling/burstLimit": "throttlingBurstLimit",
    "throttling/rateLimit": "throttlingRateLimit",
    "logging/loglevel": "loggingLevel",
    "logging/dataTrace": "dataTraceEnabled",
    "caching/enabled": "cachingEnabled",
}
"""The last two segments of a path that sets something of a method, and what it sets.

Source: https://docs.aws.amazon.com/apigateway/latest/api/patch-operations.html#UpdateStage-Patch
"""


class AuthorizerInUse(Conflict):
    """Cannot delete authorizer '{name}', is referenced in the method {method}"""

    # AWS: undocumented; we chose the words.
    name: str
    method: str


def stage_operations(apis: RestApis, forget: Forget) -> Mapping[str, Operation]:
    """Offer the operations by their names in the service model."""
    stages, deployments, authorizers = _Stages(apis, forget), _Deployments(apis), _Authorizers(apis)
    return {
        "CreateStage": stages.create,
        "GetStage": stages.get,
        "GetStages": stages.list,
        "UpdateStage": stages.update,
        "DeleteStage": stages.delete,
        "FlushStageAuthorizersCache": stages.flush_authorizers,
        "CreateDeployment": deployments.create,
        "GetDeployment": deployments.get,
        "GetDeployments": deployments.list,
        "UpdateDeployment": deployments.update,
        "DeleteDeployment": deployments.delete,
        "CreateAuthorizer": authorizers.create,
        "GetAuthorizer": authorizers.get,
        "GetAuthorizers": authorizers.list,
        "UpdateAuthorizer": authorizers.update,
        "DeleteAuthorizer": authorizers.delete,
    }


class _Stages:
    def __init__(self, apis: RestApis, forget: Forget) -> None:
        self._apis = apis
        self._forget = forget

    async def create(self, call: Call, parameters: dict[str, Any]) -> dict[str, Any]:
        made = _new_stage(parameters, self._apis.now(), "restApiId")
        return _write_stage(self._apis.create_stage(parameters["restApiId"], made))

    async def get(self, call: Call, parameters: dict[str, Any]) -> dict[str, Any]:
        return _write_stage(self._apis.stage(parameters["restApiId"], parameters["stageName"]))

    async def list(self, call: Call, parameters: dict[str, Any]) -> dict[str, Any]:
        stages, deployment = self._apis.get(parameters["restApiId"]).stages, parameters.get("deploymentId")
        found = [stage for stage in stages.values() if deployment in (None, stage.deployment_id)]
        return {"item": [_write_stage(stage) for stage in found]}

    async def update(self, call: Call, parameters: dict[str, Any]) -> dict[str, Any]:
        present = self._apis.stage(parameters["restApiId"], parameters["stageName"])
        operations = [_of_settings(one) for one in parameters.get("patchOperations", [])]
        changed = patched(present, operations, (*_STAGE, "methodSettings"))
        _check_settings(changed)
        return _write_stage(self._apis.put_stage(parameters["restApiId"], changed))

    async def delete(self, call: Call, parameters: dict[str, Any]) -> dict[str, Any]:
        self._apis.delete_stage(parameters["restApiId"], parameters["stageName"])
        return {}

    async def flush_authorizers(self, call: Call, parameters: dict[str, Any]) -> dict[str, Any]:
        self._apis.stage(parameters["restApiId"], parameters["stageName"])
        self._forget(parameters["restApiId"], parameters["stageName"])
        return {}


class _Deployments:
    def __init__(self, apis: RestApis) -> None:
        self._apis = apis

    async def create(self, call: Call, parameters: dict[str, Any]) -> dict[str, Any]:
        api_id, name = parameters["restApiId"], parameters.get("stageName")
        for member in ("cacheClusterEnabled", "canarySettings"):
            if parameters.get(member):
                raise NotBuilt(feature=member)
        given = {
            "stageName": name,
            "description": parameters.get("stageDescription"),
            "variables": parameters.get("variables", {}),
            "tracingEnabled": parameters.get("tracingEnabled", False),
        }
        made_now = _new_stage({**given, "deploymentId": ""}, self._apis.now()) if name else None
        deployment = self._apis.deploy(api_id, parameters.get("description"))
        if made_now is not None:
            present = self._apis.get(api_id).stages.get(made_now.stage_name, made_now)
            variables = {**present.variables, **made_now.variables}
            self._apis.put_stage(api_id, replace(present, deployment_id=deployment.id, variables=variables))
        return _write_deployment(deployment, embed=False)

    async def get(self, call: Call, parameters: dict[str, Any]) -> dict[str, Any]:
        found = self._apis.deployment(parameters["restApiId"], parameters["deploymentId"])
        return _write_deployment(found, embed="apisummary" in parameters.get("embed", ()))

    async def list(self, call: Call, parameters: dict[str, Any]) -> dict[str, Any]:
        found = self._apis.deployments(parameters["restApiId"])
        return page(parameters, found, lambda one: _write_deployment(one, embed=False))

    async def update(self, call: Call, parameters: dict[str, Any]) -> dict[str, Any]:
        present = self._apis.deployment(parameters["restApiId"], parameters["deploymentId"])
        changed = patched(present, parameters.get("patchOperations", []), ("description",))
        return _write_deployment(self._apis.put_deployment(parameters["restApiId"], changed), embed=False)

    async def delete(self, call: Call, parameters: dict[str, Any]) -> dict[str, Any]:
        self._apis.delete_deployment(parameters["restApiId"], parameters["deploymentId"])
        return {}


class _Authorizers:
    def __init__(self, apis: RestApis) -> None:
        self._apis = apis

    async def create(self, call: Call, parameters: dict[str, Any]) -> dict[str, Any]:
        return self._keep(parameters["restApiId"], make(Authorizer, parameters, "restApiId", id=new_member_id(6)))

    async def get(self, call: Call, parameters: dict[str, Any]) -> dict[str, Any]:
        return show(self._find(parameters))

    async def list(self, call: Call, parameters: dict[str, Any]) -> dict[str, Any]:
        return page(parameters, self._apis.get(parameters["restApiId"]).definition.authorizers.values(), show)

    async def update(self, call: Call, parameters: dict[str, Any]) -> dict[str, Any]:
        changed = patched(self._find(parameters), parameters.get("patchOperations", []), _AUTHORIZER)
        return self._keep(parameters["restApiId"], changed)

    async def delete(self, call: Call, parameters: dict[str, Any]) -> dict[str, Any]:
        gone = self._find(parameters)

        def change(definition: Definition) -> Definition:
            for resource in definition.resources.values():
                for method in resource.resource_methods.values():
                    if method.authorizer_id == gone.id:
                        raise AuthorizerInUse(name=gone.name, method=f"{method.http_method} {resource.path}")
            left = {id_: one for id_, one in definition.authorizers.items() if id_ != gone.id}
            return replace(definition, authorizers=left)

        self._apis.define(parameters["restApiId"], change)
        return {}

    def _keep(self, api_id: str, authorizer: Authorizer) -> dict[str, Any]:
        if authorizer.type not in ("TOKEN", "REQUEST"):
            raise NotBuilt(feature=f"authorizers of the type {authorizer.type}")
        if not 0 <= authorizer.authorizer_result_ttl_in_seconds <= RESULT_TTL_S_MAX:
            raise Invalid(reason=f"authorizerResultTtlInSeconds is 0 to {RESULT_TTL_S_MAX}")
        self._apis.define(api_id, lambda definition: with_authorizer(definition, authorizer))
        return show(authorizer)

    def _find(self, parameters: dict[str, Any]) -> Authorizer:
        return find_authorizer(self._apis.get(parameters["restApiId"]).definition, parameters["authorizerId"])


def _new_stage(parameters: Mapping[str, Any], now: float, *addressed: str) -> Stage:
    made = make(Stage, parameters, *addressed, createdDate=now, lastUpdatedDate=now)
    if not _STAGE_NAME.fullmatch(made.stage_name):
        raise Invalid(reason="Stage name only allows a-zA-Z0-9_-")
    return made


def _of_settings(operation: Mapping[str, Any]) -> dict[str, Any]:
    """Rewrite `/RESOURCE/METHOD/throttling/burstLimit`, or a removal of `/RESOURCE/METHOD`, as a change of the method
    settings.
    """
    segments = str(operation.get("path", "")).split("/")[1:]
    if len(segments) == 2 and operation.get("op") == "remove" and segments[0] not in _STAGE:
        return {**operation, "path": f"/methodSettings/{_method_key(segments)}"}
    if len(segments) != 4:
        return dict(operation)
    member = _SETTINGS.get("/".join(segments[2:]))
    if member is None:
        raise InvalidPatch(
            path=operation["path"], op=operation.get("op", ""), reason=f"Must end in one of: {', '.join(_SETTINGS)}"
        )
    return {**operation, "path": f"/methodSettings/{_method_key(segments)}/{member}"}


def _method_key(segments: Sequence[str]) -> str:
    """The key keeps its own escapes: escaped once more, they come out as they are."""
    return f"{segments[0]}/{segments[1]}".replace("~", "~0").replace("/", "~1")


def _check_settings(stage: Stage) -> None:
    log = stage.access_log_settings
    if log is not None and not (any(name in log.format for name in _REQUEST_IDS) and "\n" not in log.format.strip()):
        raise Invalid(reason=f"Access log format must be single line and contain at least {' or '.join(_REQUEST_IDS)}")
    for setting in stage.method_settings.values():
        if setting.caching_enabled:
            raise NotBuilt(feature="caching")
        if setting.logging_level not in (None, "OFF") or setting.data_trace_enabled:
            raise NotBuilt(feature="execution logs (logging/loglevel, logging/dataTrace)")


def _write_stage(stage: Stage) -> dict[str, Any]:
    settings = {key: show(setting) for key, setting in stage.method_settings.items()}
    return {**show(stage), "methodSettings": settings, "cacheClusterEnabled": False}


def _write_deployment(deployment: Deployment, *, embed: bool) -> dict[str, Any]:
    written = {"id": deployment.id, "createdDate": deployment.created_at, "description": deployment.description}
    if not embed:
        return written
    summary = {
        resource.path: {
            name: {"authorizationType": method.authorization_type, "apiKeyRequired": method.api_key_required}
            for name, method in resource.resource_methods.items()
        }
        for resource in deployment.definition.resources.values()
        if resource.resource_methods
    }
    return {**written, "apiSummary": summary}

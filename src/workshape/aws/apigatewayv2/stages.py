"""The operations on stages and deployments of HTTP APIs.

Each method's page is https://docs.aws.amazon.com/apigatewayv2/latest/api-reference/apis-apiid-NAME.html
"""

import re
from collections.abc import Callable, Mapping
from typing import Any

from msgspec.structs import replace

from workshape.apis.http_api import (
    ACCESS_LOG_FORMAT_BYTES_MAX,
    DEFAULT_STAGE,
    Deployment,
    NoSuchMember,
    RouteSettings,
    Stage,
)
from workshape.apis.http_apis import HttpApis
from workshape.aws.apigatewayv2.apis import check_tags
from workshape.aws.apigatewayv2.members import change, page, show
from workshape.aws.operation import Call, Operation
from workshape.aws.struct_members import NotBuilt, make
from workshape.errors import Invalid

Forget = Callable[[str, str], None]
"""Drops what is kept of authorizers' answers, by API and stage."""

_STAGE_NAME = re.compile(r"[-a-zA-Z0-9_]{1,128}|\$default")
_SETTINGS = ("DefaultRouteSettings", "RouteSettings")


def stage_operations(apis: HttpApis, forget: Forget) -> Mapping[str, Operation]:
    """Offer the operations by their names in the service model."""
    operations = _StageOperations(apis, forget)
    return {
        "CreateStage": operations.create,
        "GetStage": operations.get,
        "GetStages": operations.list,
        "UpdateStage": operations.update,
        "DeleteStage": operations.delete,
        "DeleteRouteSettings": operations.delete_route_settings,
        "DeleteAccessLogSettings": operations.delete_access_log,
        "ResetAuthorizersCache": operations.reset_authorizers,
        "CreateDeployment": operations.deploy,
        "GetDeployment": operations.get_deployment,
        "GetDeployments": operations.list_deployments,
        "UpdateDeployment": operations.update_deployment,
        "DeleteDeployment": operations.delete_deployment,
    }


class _StageOperations:
    def __init__(self, apis: HttpApis, forget: Forget) -> None:
        self._apis = apis
        self._forget = forget

    async def create(self, call: Call, parameters: dict[str, Any]) -> dict[str, Any]:
        now = self._apis.now()
        made = make(Stage, parameters, "ApiId", *_SETTINGS, CreatedDate=now, LastUpdatedDate=now)
        if not _STAGE_NAME.fullmatch(made.stage_name):
            raise Invalid(reason=f"Stage name only allows a-zA-Z0-9_- and {DEFAULT_STAGE}")
        return show(self._apis.create_stage(parameters["ApiId"], self._with_settings(made, parameters)))

    async def get(self, call: Call, parameters: dict[str, Any]) -> dict[str, Any]:
        return show(self._apis.stage(parameters["ApiId"], parameters["StageName"]))

    async def list(self, call: Call, parameters: dict[str, Any]) -> dict[str, Any]:
        return page(parameters, self._apis.get(parameters["ApiId"]).stages.values(), show)

    async def update(self, call: Call, parameters: dict[str, Any]) -> dict[str, Any]:
        present = self._apis.stage(parameters["ApiId"], parameters["StageName"])
        changed = change(present, {name: parameters[name] for name in parameters if name not in _SETTINGS}, "ApiId")
        if changed.auto_deploy and "DeploymentId" in parameters:
            raise Invalid(reason="Deployment ID cannot be set on stages with auto-deployment enabled")
        return show(self._apis.put_stage(parameters["ApiId"], self._with_settings(changed, parameters)))

    async def delete(self, call: Call, parameters: dict[str, Any]) -> dict[str, Any]:
        self._apis.delete_stage(parameters["ApiId"], parameters["StageName"])
        return {}

    async def delete_route_settings(self, call: Call, parameters: dict[str, Any]) -> dict[str, Any]:
        stage, key = self._apis.stage(parameters["ApiId"], parameters["StageName"]), parameters["RouteKey"]
        if key not in stage.route_settings:
            raise NoSuchMember(kind="RouteSettings", name=key)
        left = {other: settings for other, settings in stage.route_settings.items() if other != key}
        self._apis.put_stage(parameters["ApiId"], replace(stage, route_settings=left))
        return {}

    async def delete_access_log(self, call: Call, parameters: dict[str, Any]) -> dict[str, Any]:
        stage = self._apis.stage(parameters["ApiId"], parameters["StageName"])
        self._apis.put_stage(parameters["ApiId"], replace(stage, access_log_settings=None))
        return {}

    async def reset_authorizers(self, call: Call, parameters: dict[str, Any]) -> dict[str, Any]:
        self._apis.stage(parameters["ApiId"], parameters["StageName"])
        self._forget(parameters["ApiId"], parameters["StageName"])
        return {}

    async def deploy(self, call: Call, parameters: dict[str, Any]) -> dict[str, Any]:
        made = self._apis.deploy(parameters["ApiId"], parameters.get("Description"), parameters.get("StageName"))
        return _write(made)

    async def get_deployment(self, call: Call, parameters: dict[str, Any]) -> dict[str, Any]:
        return _write(self._apis.deployment(parameters["ApiId"], parameters["DeploymentId"]))

    async def list_deployments(self, call: Call, parameters: dict[str, Any]) -> dict[str, Any]:
        return page(parameters, self._apis.deployments(parameters["ApiId"]), _write)

    async def update_deployment(self, call: Call, parameters: dict[str, Any]) -> dict[str, Any]:
        present = self._apis.deployment(parameters["ApiId"], parameters["DeploymentId"])
        changed = replace(present, description=parameters.get("Description", present.description))
        return _write(self._apis.put_deployment(parameters["ApiId"], changed))

    async def delete_deployment(self, call: Call, parameters: dict[str, Any]) -> dict[str, Any]:
        self._apis.delete_deployment(parameters["ApiId"], parameters["DeploymentId"])
        return {}

    def _with_settings(self, stage: Stage, parameters: dict[str, Any]) -> Stage:
        """Read how routes are treated: what is given of one goes before what was there of it."""
        check_tags(stage.tags)
        log = stage.access_log_settings
        if log is not None and (len(log.format.encode()) > ACCESS_LOG_FORMAT_BYTES_MAX or "\n" in log.format.strip()):
            raise Invalid(reason=f"An access log's format is one line of at most {ACCESS_LOG_FORMAT_BYTES_MAX} bytes")
        default, own = stage.default_route_settings, dict(stage.route_settings)
        if "DefaultRouteSettings" in parameters:
            default = _settings(default, parameters["DefaultRouteSettings"])
        keys = {route.route_key for route in self._apis.get(parameters["ApiId"]).definition.routes.values()}
        for key, given in parameters.get("RouteSettings", {}).items():
            if key not in keys:
                reason = f"Unable to find Route by key {key} within the provided RouteSettings"
                raise NoSuchRoute(kind="Route", name=key, reason=reason)
            own[key] = _settings(own.get(key, RouteSettings()), given)
        return replace(stage, default_route_settings=default, route_settings=own)


class NoSuchRoute(NoSuchMember):
    """{reason}"""

    reason: str


def _settings(present: RouteSettings, given: dict[str, Any]) -> RouteSettings:
    if given.get("LoggingLevel", "OFF") != "OFF":
        raise NotBuilt(feature="LoggingLevel: it is WebSocket APIs', which are not built")
    return change(present, {name: value for name, value in given.items() if name != "LoggingLevel"})


def _write(deployment: Deployment) -> dict[str, Any]:
    return {
        "AutoDeployed": deployment.is_automatic,
        "CreatedDate": deployment.created_at,
        "DeploymentId": deployment.id,
        "DeploymentStatus": "DEPLOYED",
        "Description": deployment.description,
    }

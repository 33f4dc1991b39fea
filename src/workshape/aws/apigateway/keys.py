"""The operations on API keys and usage plans.

Each method's page is https://docs.aws.amazon.com/apigateway/latest/api/API_NAME.html
"""

from collections.abc import Mapping
from typing import Any

from msgspec.structs import replace

from workshape.apis.patch import InvalidPatch, patched
from workshape.apis.rest_apis import RestApis
from workshape.apis.usage import KEY_LENGTH_MAX, KEY_LENGTH_MIN, ApiKey, PlanStage, UsagePlan
from workshape.apis.usage_plans import UsagePlans
from workshape.aws.apigateway.members import page, show
from workshape.aws.operation import Call, Operation
from workshape.aws.struct_members import NotBuilt, make
from workshape.errors import Invalid

_KEY = ("name", "description", "enabled", "customerId")
_PLAN = ("name", "description", "throttle", "quota")


def key_operations(plans: UsagePlans, apis: RestApis) -> Mapping[str, Operation]:
    """Offer the operations by their names in the service model."""
    keys, of_plans = _Keys(plans), _Plans(plans, apis)
    return {
        "CreateApiKey": keys.create,
        "GetApiKey": keys.get,
        "GetApiKeys": keys.list,
        "UpdateApiKey": keys.update,
        "DeleteApiKey": keys.delete,
        "CreateUsagePlan": of_plans.create,
        "GetUsagePlan": of_plans.get,
        "GetUsagePlans": of_plans.list,
        "UpdateUsagePlan": of_plans.update,
        "DeleteUsagePlan": of_plans.delete,
        "CreateUsagePlanKey": of_plans.add_key,
        "GetUsagePlanKey": of_plans.get_key,
        "GetUsagePlanKeys": of_plans.list_keys,
        "DeleteUsagePlanKey": of_plans.remove_key,
    }


class _Keys:
    def __init__(self, plans: UsagePlans) -> None:
        self._plans = plans

    async def create(self, call: Call, parameters: dict[str, Any]) -> dict[str, Any]:
        if parameters.get("stageKeys"):
            raise NotBuilt(feature="stageKeys (usage plans are what says where a key is good)")
        value = parameters.get("value")
        if value is not None and not KEY_LENGTH_MIN <= len(value) <= KEY_LENGTH_MAX:
            raise Invalid(reason=f"API Key value should be {KEY_LENGTH_MIN} to {KEY_LENGTH_MAX} characters long")
        made = self._plans.create_key(
            parameters.get("name", ""),
            value,
            description=parameters.get("description"),
            enabled=parameters.get("enabled", False),
            customer_id=parameters.get("customerId"),
            tags=parameters.get("tags", {}),
        )
        return show(made)

    async def get(self, call: Call, parameters: dict[str, Any]) -> dict[str, Any]:
        return _write_key(self._plans.key(parameters["apiKey"]), with_value=parameters.get("includeValue", False))

    async def list(self, call: Call, parameters: dict[str, Any]) -> dict[str, Any]:
        prefix, customer = parameters.get("nameQuery", ""), parameters.get("customerId")
        with_values = parameters.get("includeValues", False)
        found = [
            key
            for key in self._plans.keys()  # noqa: SIM118 - no mapping's
            if key.name.startswith(prefix) and customer in (None, key.customer_id)
        ]
        return page(parameters, found, lambda key: _write_key(key, with_value=with_values))

    async def update(self, call: Call, parameters: dict[str, Any]) -> dict[str, Any]:
        present = self._plans.key(parameters["apiKey"])
        changed = patched(present, parameters.get("patchOperations", []), _KEY)
        return _write_key(self._plans.put_key(changed), with_value=False)

    async def delete(self, call: Call, parameters: dict[str, Any]) -> dict[str, Any]:
        self._plans.delete_key(parameters["apiKey"])
        return {}


class _Plans:
    def __init__(self, plans: UsagePlans, apis: RestApis) -> None:
        self._plans = plans
        self._apis = apis

    async def create(self, call: Call, parameters: dict[str, Any]) -> dict[str, Any]:
        plan = make(UsagePlan, parameters, id="")
        self._check(plan)
        return _write_plan(self._plans.create_plan(plan))

    async def get(self, call: Call, parameters: dict[str, Any]) -> dict[str, Any]:
        return _write_plan(self._plans.plan(parameters["usagePlanId"]))

    async def list(self, call: Call, parameters: dict[str, Any]) -> dict[str, Any]:
        key = parameters.get("keyId")
        found = [plan for plan in self._plans.plans() if key is None or key in plan.keys]
        return page(parameters, found, _write_plan)

    async def update(self, call: Call, parameters: dict[str, Any]) -> dict[str, Any]:
        plan, operations = self._plans.plan(parameters["usagePlanId"]), parameters.get("patchOperations", [])
        for one in operations:
            if one.get("path", "").startswith("/apiStages"):
                plan = _with_stage(plan, one)
        others = [one for one in operations if not one.get("path", "").startswith("/apiStages")]
        plan = patched(plan, others, _PLAN)
        self._check(plan)
        return _write_plan(self._plans.put_plan(plan))

    async def delete(self, call: Call, parameters: dict[str, Any]) -> dict[str, Any]:
        self._plans.delete_plan(parameters["usagePlanId"])
        return {}

    async def add_key(self, call: Call, parameters: dict[str, Any]) -> dict[str, Any]:
        if parameters["keyType"] != "API_KEY":
            raise Invalid(reason="The key type of a usage plan's key is API_KEY")
        return _write_plan_key(self._plans.add_plan_key(parameters["usagePlanId"], parameters["keyId"]))

    async def get_key(self, call: Call, parameters: dict[str, Any]) -> dict[str, Any]:
        return _write_plan_key(self._plans.plan_key(parameters["usagePlanId"], parameters["keyId"]))

    async def list_keys(self, call: Call, parameters: dict[str, Any]) -> dict[str, Any]:
        keys = [self._plans.key(key_id) for key_id in self._plans.plan(parameters["usagePlanId"]).keys]
        prefix = parameters.get("nameQuery", "")
        return page(parameters, [key for key in keys if key.name.startswith(prefix)], _write_plan_key)

    async def remove_key(self, call: Call, parameters: dict[str, Any]) -> dict[str, Any]:
        self._plans.remove_plan_key(parameters["usagePlanId"], parameters["keyId"])
        return {}

    def _check(self, plan: UsagePlan) -> None:
        for stage in plan.api_stages:
            self._apis.stage(stage.api_id, stage.stage)
            if stage.throttle:
                raise NotBuilt(feature="throttling of single methods in usage plans")
        if plan.quota is not None and plan.quota.period not in ("DAY", "WEEK", "MONTH"):
            raise Invalid(reason="A quota's period is DAY, WEEK or MONTH")
        if plan.quota is not None and plan.quota.offset:
            raise NotBuilt(feature="quota.offset")


def _with_stage(plan: UsagePlan, operation: Mapping[str, Any]) -> UsagePlan:
    """Add or remove `API:STAGE`, which is a patch's value."""
    op, path, value = operation.get("op", ""), operation.get("path", ""), operation.get("value") or ""
    api_id, colon, stage = value.partition(":")
    if path != "/apiStages" or not colon or op not in ("add", "remove"):
        raise InvalidPatch(path=path, op=op, reason="apiStages takes add and remove of API:STAGE")
    others = tuple(one for one in plan.api_stages if (one.api_id, one.stage) != (api_id, stage))
    return replace(plan, api_stages=(*others, PlanStage(api_id, stage)) if op == "add" else others)


def _write_key(key: ApiKey, *, with_value: bool) -> dict[str, Any]:
    written = show(key)
    return written if with_value else {name: value for name, value in written.items() if name != "value"}


def _write_plan(plan: UsagePlan) -> dict[str, Any]:
    return {name: value for name, value in show(plan).items() if name != "keys"}


def _write_plan_key(key: ApiKey) -> dict[str, Any]:
    return {"id": key.id, "type": "API_KEY", "value": key.value, "name": key.name}

"""The operations on how asynchronous invocations are tried.

Each method's page is https://docs.aws.amazon.com/lambda/latest/api/API_NAME.html
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import msgspec

from workshape.aws.lambda_.destinations import AcceptDestination, read_destination_config
from workshape.aws.lambda_.names import find_qualified
from workshape.aws.lambda_.paging import cut_page
from workshape.aws.operation import Call, Operation
from workshape.errors import Invalid, NotFound
from workshape.functions.catalog import Catalog
from workshape.functions.event_invoke import EventInvokeConfig
from workshape.functions.model import LATEST, FunctionName


class EventInvokeConfigNotFound(NotFound):
    """The function {name} doesn't have an EventInvokeConfig"""

    # AWS: undocumented; we chose the words.


class NothingSet(Invalid):
    """You must specify at least one of error handling or destination setting."""

    # AWS: undocumented; we chose the words.


def event_invoke_operations(catalog: Catalog, accept: AcceptDestination) -> Mapping[str, Operation]:
    """Offer the operations by their names in the service model."""
    operations = _EventInvokeOperations(catalog, accept)
    return {
        "PutFunctionEventInvokeConfig": operations.put,
        "UpdateFunctionEventInvokeConfig": operations.update,
        "GetFunctionEventInvokeConfig": operations.get,
        "ListFunctionEventInvokeConfigs": operations.list,
        "DeleteFunctionEventInvokeConfig": operations.delete,
    }


class _EventInvokeOperations:
    def __init__(self, catalog: Catalog, accept: AcceptDestination) -> None:
        self._catalog = catalog
        self._accept = accept
        self._configs = catalog.event_invoke_configs

    async def put(self, call: Call, parameters: dict[str, Any]) -> dict[str, Any]:
        name, qualifier = self._owner(parameters)
        return self._keep(name, qualifier, EventInvokeConfig(0.0), parameters)

    async def update(self, call: Call, parameters: dict[str, Any]) -> dict[str, Any]:
        name, qualifier = self._owner(parameters)
        return self._keep(name, qualifier, self._find(name, qualifier), parameters)

    async def get(self, call: Call, parameters: dict[str, Any]) -> dict[str, Any]:
        name, qualifier = self._owner(parameters)
        return self._write(name, qualifier, self._find(name, qualifier))

    async def list(self, call: Call, parameters: dict[str, Any]) -> dict[str, Any]:
        name, _ = self._owner(parameters)
        page, more = cut_page(parameters, sorted(self._configs.of(name).items()), lambda item: item[0])
        return {"FunctionEventInvokeConfigs": [self._write(name, *item) for item in page], **more}

    async def delete(self, call: Call, parameters: dict[str, Any]) -> dict[str, Any]:
        name, qualifier = self._owner(parameters)
        self._find(name, qualifier)
        self._configs.delete(name, qualifier)
        return {}

    def _owner(self, parameters: dict[str, Any]) -> tuple[FunctionName, str]:
        reference = find_qualified(self._catalog, parameters)
        return reference.name, reference.qualifier or LATEST

    def _find(self, name: FunctionName, qualifier: str) -> EventInvokeConfig:
        config = self._configs.get(name, qualifier)
        if config is None:
            arn = self._catalog.arn(name, qualifier)
            raise EventInvokeConfigNotFound(kind="event invoke configuration", name=arn)
        return config

    def _keep(
        self, name: FunctionName, qualifier: str, present: EventInvokeConfig, parameters: dict[str, Any]
    ) -> dict[str, Any]:
        fields = {"MaximumRetryAttempts": "retries_max", "MaximumEventAgeInSeconds": "age_s_max"}
        changes = {field: parameters[member] for member, field in fields.items() if member in parameters}
        if not changes and "DestinationConfig" not in parameters:
            raise NothingSet()
        destinations = read_destination_config(parameters.get("DestinationConfig", {}), self._accept)
        config = msgspec.structs.replace(present, modified_at=self._catalog.now(), **changes, **destinations)
        return self._write(name, qualifier, self._configs.put(name, qualifier, config))

    def _write(self, name: FunctionName, qualifier: str, config: EventInvokeConfig) -> dict[str, Any]:
        return {
            "LastModified": datetime.fromtimestamp(config.modified_at, UTC),
            "FunctionArn": self._catalog.arn(name, qualifier),
            "MaximumRetryAttempts": config.retries_max,
            "MaximumEventAgeInSeconds": config.age_s_max,
            "DestinationConfig": {
                "OnSuccess": {"Destination": config.on_success} if config.on_success else {},
                "OnFailure": {"Destination": config.on_failure} if config.on_failure else {},
            },
        }

"""The operations on provisioned concurrency.

Each method's page is https://docs.aws.amazon.com/lambda/latest/api/API_NAME.html
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from workshape.aws.lambda_.names import unqualified
from workshape.aws.lambda_.paging import cut_page
from workshape.aws.operation import Call, Operation
from workshape.functions.catalog import Catalog
from workshape.functions.function_name import FunctionReference
from workshape.functions.provisioned_configs import ProvisionedConfigs, ProvisionedConfigView


def provisioned_operations(catalog: Catalog, configs: ProvisionedConfigs) -> Mapping[str, Operation]:
    """Offer the operations by their names in the service model."""
    operations = _ProvisionedOperations(catalog, configs)
    return {
        "PutProvisionedConcurrencyConfig": operations.put,
        "GetProvisionedConcurrencyConfig": operations.get,
        "ListProvisionedConcurrencyConfigs": operations.list,
        "DeleteProvisionedConcurrencyConfig": operations.delete,
    }


class _ProvisionedOperations:
    def __init__(self, catalog: Catalog, configs: ProvisionedConfigs) -> None:
        self._catalog = catalog
        self._configs = configs

    async def put(self, call: Call, parameters: dict[str, Any]) -> dict[str, Any]:
        return _write(self._configs.put(self._reference(parameters), parameters["ProvisionedConcurrentExecutions"]))

    async def get(self, call: Call, parameters: dict[str, Any]) -> dict[str, Any]:
        return _write(self._configs.get(self._reference(parameters)))

    async def list(self, call: Call, parameters: dict[str, Any]) -> dict[str, Any]:
        name = unqualified(self._catalog, parameters)
        page, more = cut_page(parameters, self._configs.list(name), lambda view: view.config.qualifier)
        items = [{"FunctionArn": self._catalog.arn(name, view.config.qualifier), **_write(view)} for view in page]
        return {"ProvisionedConcurrencyConfigs": items, **more}

    async def delete(self, call: Call, parameters: dict[str, Any]) -> dict[str, Any]:
        self._configs.delete(self._reference(parameters))
        return {}

    def _reference(self, parameters: dict[str, Any]) -> FunctionReference:
        return self._catalog.reference(parameters["FunctionName"], parameters["Qualifier"])


def _write(view: ProvisionedConfigView) -> dict[str, Any]:
    allocation = view.allocation
    return {
        "RequestedProvisionedConcurrentExecutions": allocation.requested,
        "AllocatedProvisionedConcurrentExecutions": allocation.allocated,
        "AvailableProvisionedConcurrentExecutions": allocation.available,
        "Status": allocation.status.value,
        "StatusReason": allocation.reason or None,
        "LastModified": datetime.fromtimestamp(view.config.modified_at, UTC).strftime("%Y-%m-%dT%H:%M:%S%z"),
    }

"""The operations on when a function's runtime is updated.

Each method's page is https://docs.aws.amazon.com/lambda/latest/api/API_NAME.html
"""

from collections.abc import Mapping
from typing import Any

from workshape.aws.lambda_.errors import NotBuilt
from workshape.aws.lambda_.names import find_qualified
from workshape.aws.operation import Call, Operation
from workshape.functions.catalog import Catalog
from workshape.functions.function_name import FunctionReference
from workshape.functions.model import LATEST
from workshape.functions.runtime_management import RuntimeManagement, RuntimeUpdate


def runtime_management_operations(catalog: Catalog) -> Mapping[str, Operation]:
    """Offer the operations by their names in the service model."""
    operations = _RuntimeManagementOperations(catalog)
    return {"PutRuntimeManagementConfig": operations.put, "GetRuntimeManagementConfig": operations.get}


class _RuntimeManagementOperations:
    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog
        self._configs = catalog.runtime_management

    async def put(self, call: Call, parameters: dict[str, Any]) -> dict[str, Any]:
        reference = find_qualified(self._catalog, parameters)
        if parameters["UpdateRuntimeOn"] not in set(RuntimeUpdate):
            raise NotBuilt(feature=f"UpdateRuntimeOn {parameters['UpdateRuntimeOn']} of functions")
        config = RuntimeManagement(RuntimeUpdate(parameters["UpdateRuntimeOn"]))
        self._configs.put(reference.name, reference.qualifier or LATEST, config)
        return self._write(reference, config)

    async def get(self, call: Call, parameters: dict[str, Any]) -> dict[str, Any]:
        reference = find_qualified(self._catalog, parameters)
        config = self._configs.get(reference.name, reference.qualifier or LATEST)
        return self._write(reference, config or RuntimeManagement())

    def _write(self, reference: FunctionReference, config: RuntimeManagement) -> dict[str, Any]:
        arn = reference.arn(self._catalog.region, self._catalog.account)
        return {"UpdateRuntimeOn": config.update_on.value, "FunctionArn": arn}

"""The operations on how recursive loops are met.

Each method's page is https://docs.aws.amazon.com/lambda/latest/api/API_NAME.html
"""

from collections.abc import Mapping
from typing import Any

from workshape.aws.lambda_.names import unqualified
from workshape.aws.operation import Call, Operation
from workshape.functions.catalog import Catalog
from workshape.functions.model import LATEST
from workshape.functions.recursion import RecursionConfig, RecursiveLoop


def recursion_operations(catalog: Catalog) -> Mapping[str, Operation]:
    """Offer the operations by their names in the service model."""
    operations = _RecursionOperations(catalog)
    return {"PutFunctionRecursionConfig": operations.put, "GetFunctionRecursionConfig": operations.get}


class _RecursionOperations:
    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog

    async def put(self, call: Call, parameters: dict[str, Any]) -> dict[str, Any]:
        name = unqualified(self._catalog, parameters)
        self._catalog.get(name)
        config = RecursionConfig(RecursiveLoop(parameters["RecursiveLoop"]))
        self._catalog.recursion_configs.put(name, LATEST, config)
        return {"RecursiveLoop": config.recursive_loop.value}

    async def get(self, call: Call, parameters: dict[str, Any]) -> dict[str, Any]:
        name = unqualified(self._catalog, parameters)
        self._catalog.get(name)
        config = self._catalog.recursion_configs.get(name, LATEST) or RecursionConfig()
        return {"RecursiveLoop": config.recursive_loop.value}

"""The operations on reserved concurrency, and the account's settings.

Each method's page is https://docs.aws.amazon.com/lambda/latest/api/API_NAME.html
"""

from collections.abc import Mapping
from typing import Any

from workshape.aws.operation import Call, Operation
from workshape.functions.catalog import Catalog
from workshape.functions.limits import UNPACKED_BYTES_MAX, ZIP_BYTES_MAX
from workshape.functions.model import FunctionName
from workshape.functions.provisioned_configs import ProvisionedConfigs

TOTAL_CODE_BYTES_MAX = 75 * 1024**3
"""Source: https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html (reported, not enforced)"""


def concurrency_operations(catalog: Catalog, configs: ProvisionedConfigs) -> Mapping[str, Operation]:
    """Offer the operations by their names in the service model."""
    operations = _ConcurrencyOperations(catalog, configs)
    return {
        "PutFunctionConcurrency": operations.put,
        "GetFunctionConcurrency": operations.get,
        "DeleteFunctionConcurrency": operations.delete,
        "GetAccountSettings": operations.get_account_settings,
    }


class _ConcurrencyOperations:
    def __init__(self, catalog: Catalog, configs: ProvisionedConfigs) -> None:
        self._catalog = catalog
        self._configs = configs

    async def put(self, call: Call, parameters: dict[str, Any]) -> dict[str, Any]:
        count = parameters["ReservedConcurrentExecutions"]
        self._configs.reserve(self._name(parameters), count)
        return {"ReservedConcurrentExecutions": count}

    async def get(self, call: Call, parameters: dict[str, Any]) -> dict[str, Any]:
        return {"ReservedConcurrentExecutions": self._catalog.get(self._name(parameters)).reserved_concurrency}

    async def delete(self, call: Call, parameters: dict[str, Any]) -> dict[str, Any]:
        self._configs.reserve(self._name(parameters), None)
        return {}

    async def get_account_settings(self, call: Call, parameters: dict[str, Any]) -> dict[str, Any]:
        functions = self._catalog.list()
        concurrency = self._catalog.account_concurrency
        return {
            "AccountLimit": {
                "TotalCodeSize": TOTAL_CODE_BYTES_MAX,
                "CodeSizeUnzipped": UNPACKED_BYTES_MAX,
                "CodeSizeZipped": ZIP_BYTES_MAX,
                "ConcurrentExecutions": concurrency,
                "UnreservedConcurrentExecutions": concurrency - self._catalog.reserved_total(),
            },
            "AccountUsage": {
                "TotalCodeSize": self._catalog.code_bytes(),
                "FunctionCount": len(functions),
            },
        }

    def _name(self, parameters: dict[str, Any]) -> FunctionName:
        reference = self._catalog.reference(parameters["FunctionName"])
        self._catalog.find(reference)
        return reference.name

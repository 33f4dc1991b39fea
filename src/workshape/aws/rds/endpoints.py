"""The operations on endpoints. Each method's page is https://docs.aws.amazon.com/AmazonRDS/latest/APIReference/API_NAME.html"""

from collections.abc import Mapping
from typing import Any

from msgspec.structs import replace

from workshape.aws.members import read_tags, when
from workshape.aws.operation import Call, Operation
from workshape.aws.rds.proxies import IPV4, check_network
from workshape.aws.rds.requests import described
from workshape.proxies.changes import check_name
from workshape.proxies.model import READ_WRITE, DbProxy, EndpointNotFound, ProxyEndpoint
from workshape.proxies.registry import Proxies

Shown = tuple[DbProxy, ProxyEndpoint]


def endpoint_operations(proxies: Proxies) -> Mapping[str, Operation]:
    """Offer the operations by their names in the service model."""
    operations = _EndpointOperations(proxies)
    return {
        "CreateDBProxyEndpoint": operations.create,
        "DescribeDBProxyEndpoints": operations.describe,
        "ModifyDBProxyEndpoint": operations.modify,
        "DeleteDBProxyEndpoint": operations.delete,
    }


class _EndpointOperations:
    def __init__(self, proxies: Proxies) -> None:
        self._proxies = proxies

    async def create(self, call: Call, parameters: dict[str, Any]) -> dict[str, Any]:
        check_network(parameters)
        made = self._proxies.create_endpoint(
            parameters["DBProxyName"],
            parameters["DBProxyEndpointName"],
            parameters["VpcSubnetIds"],
            parameters.get("VpcSecurityGroupIds", ()),
            read_tags(parameters.get("Tags", ())),
            parameters.get("TargetRole", READ_WRITE),
        )
        return {"DBProxyEndpoint": self._written(made)}

    async def describe(self, call: Call, parameters: dict[str, Any]) -> dict[str, Any]:
        return described(parameters, "DBProxyEndpoints", self._chosen(parameters), self._written)

    async def modify(self, call: Call, parameters: dict[str, Any]) -> dict[str, Any]:
        name = parameters["DBProxyEndpointName"]
        _, endpoint = self._proxies.endpoint(name)
        changed = replace(
            endpoint,
            name=check_name("NewDBProxyEndpointName", parameters.get("NewDBProxyEndpointName", name)),
            security_group_ids=tuple(parameters.get("VpcSecurityGroupIds", endpoint.security_group_ids)),
        )
        return {"DBProxyEndpoint": self._written(self._proxies.modify_endpoint(name, changed))}

    async def delete(self, call: Call, parameters: dict[str, Any]) -> dict[str, Any]:
        proxy, endpoint = self._proxies.delete_endpoint(parameters["DBProxyEndpointName"])
        return {"DBProxyEndpoint": {**self._written((proxy, endpoint)), "Status": "deleting"}}

    def _chosen(self, parameters: dict[str, Any]) -> list[Shown]:
        proxy, name = parameters.get("DBProxyName"), parameters.get("DBProxyEndpointName")
        proxies = self._proxies.all() if proxy is None else [self._proxies.get(proxy)]
        found = [(one, endpoint) for one in proxies for endpoint in one.endpoints if name in (None, endpoint.name)]
        if name is not None and not found:
            raise EndpointNotFound(kind="DB proxy endpoint", name=name)
        return found

    def _written(self, shown: Shown) -> dict[str, Any]:
        proxy, endpoint = shown
        return {
            "DBProxyEndpointName": endpoint.name,
            "DBProxyEndpointArn": endpoint.arn,
            "DBProxyName": proxy.name,
            "Status": self._proxies.endpoint_status(proxy, endpoint),
            "VpcSecurityGroupIds": list(endpoint.security_group_ids),
            "VpcSubnetIds": list(endpoint.subnet_ids),
            "Endpoint": endpoint.address,
            "CreatedDate": when(endpoint.created_at),
            "TargetRole": endpoint.role,
            "IsDefault": endpoint.arn == proxy.endpoints[0].arn,
            "EndpointNetworkType": IPV4,
        }

"""The operations on target groups and targets.

Each method's page is https://docs.aws.amazon.com/AmazonRDS/latest/APIReference/API_NAME.html
"""

from collections.abc import Mapping
from typing import Any

from workshape.aws.members import given, when
from workshape.aws.operation import Call, Operation
from workshape.aws.rds.requests import described
from workshape.proxies.changes import PoolChange
from workshape.proxies.model import DEFAULT, READ_WRITE, ClusterNotFound, DbProxy, InvalidValue
from workshape.proxies.registry import Proxies


def target_operations(proxies: Proxies) -> Mapping[str, Operation]:
    """Offer the operations by their names in the service model."""
    operations = _TargetOperations(proxies)
    return {
        "DescribeDBProxyTargetGroups": operations.describe_groups,
        "ModifyDBProxyTargetGroup": operations.modify_group,
        "RegisterDBProxyTargets": operations.register,
        "DeregisterDBProxyTargets": operations.deregister,
        "DescribeDBProxyTargets": operations.describe,
    }


class _TargetOperations:
    def __init__(self, proxies: Proxies) -> None:
        self._proxies = proxies

    async def describe_groups(self, call: Call, parameters: dict[str, Any]) -> dict[str, Any]:
        return described(parameters, "TargetGroups", [self._group(parameters)], self._written_group)

    async def modify_group(self, call: Call, parameters: dict[str, Any]) -> dict[str, Any]:
        if parameters.get("NewName", DEFAULT) != DEFAULT:
            raise InvalidValue(reason="The default target group can't be renamed.")
        config = parameters.get("ConnectionPoolConfig", {})
        change = PoolChange(
            max_connections_percent=config.get("MaxConnectionsPercent"),
            max_idle_connections_percent=config.get("MaxIdleConnectionsPercent"),
            borrow_timeout_s=config.get("ConnectionBorrowTimeout"),
            pinning_filters=tuple(config.get("SessionPinningFilters", ())),
            init_query=config.get("InitQuery"),
        )
        proxy = self._proxies.change_pool(parameters["DBProxyName"], parameters["TargetGroupName"], change)
        return {"DBProxyTargetGroup": self._written_group(proxy)}

    async def register(self, call: Call, parameters: dict[str, Any]) -> dict[str, Any]:
        _refuse_clusters(parameters)
        group, instances = parameters.get("TargetGroupName", DEFAULT), parameters.get("DBInstanceIdentifiers", ())
        proxy = self._proxies.register(parameters["DBProxyName"], group, instances)
        return {"DBProxyTargets": [self._written(proxy)]}

    async def deregister(self, call: Call, parameters: dict[str, Any]) -> dict[str, Any]:
        _refuse_clusters(parameters)
        group, instances = parameters.get("TargetGroupName", DEFAULT), parameters.get("DBInstanceIdentifiers", ())
        self._proxies.deregister(parameters["DBProxyName"], group, instances)
        return {}

    async def describe(self, call: Call, parameters: dict[str, Any]) -> dict[str, Any]:
        proxy = self._group(parameters)
        return described(parameters, "Targets", [proxy] if proxy.group.target else [], self._written)

    def _group(self, parameters: dict[str, Any]) -> DbProxy:
        return self._proxies.group(parameters["DBProxyName"], parameters.get("TargetGroupName", DEFAULT))

    def _written_group(self, proxy: DbProxy) -> dict[str, Any]:
        pool, group = proxy.group.pool, proxy.group
        return {
            "DBProxyName": proxy.name,
            "TargetGroupName": DEFAULT,
            "TargetGroupArn": group.arn,
            "IsDefault": True,
            "Status": self._proxies.status(proxy),
            "ConnectionPoolConfig": {
                "MaxConnectionsPercent": pool.max_connections_percent,
                "MaxIdleConnectionsPercent": pool.max_idle_connections_percent,
                "ConnectionBorrowTimeout": pool.borrow_timeout_s,
                "SessionPinningFilters": [],
                **given(InitQuery=pool.init_query),
            },
            "CreatedDate": when(group.created_at),
            "UpdatedDate": when(group.updated_at),
        }

    def _written(self, proxy: DbProxy) -> dict[str, Any]:
        database, health = self._proxies.database, self._proxies.target_state(proxy)
        return {
            "TargetArn": database.arn,
            "Endpoint": database.host,
            "Port": database.port,
            "RdsResourceId": proxy.group.target,
            "Type": "RDS_INSTANCE",
            "Role": READ_WRITE,
            "TargetHealth": {
                "State": health.state,
                **given(Reason=health.reason, Description=health.description),
            },
        }


def _refuse_clusters(parameters: dict[str, Any]) -> None:
    for name in parameters.get("DBClusterIdentifiers", ()):
        raise ClusterNotFound(kind="DB cluster", name=name)

"""The operations on target groups and targets.

Each method's page is https://docs.aws.amazon.com/AmazonRDS/latest/APIReference/API_NAME.html
"""

from collections.abc import Mapping
from typing import Any

from workshape.aws.members import given, when
from workshape.aws.operation import Call, Operation
from workshape.aws.rds.requests import described
from workshape.proxies.changes import PoolChange
from workshape.proxies.model import DEFAULT, DbProxy, InvalidValue
from workshape.proxies.registry import Proxies
from workshape.proxies.targets import InstanceTarget


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
        proxy = self._proxies.register(*_named(parameters))
        return {"DBProxyTargets": self._written_targets(proxy)}

    async def deregister(self, call: Call, parameters: dict[str, Any]) -> dict[str, Any]:
        self._proxies.deregister(*_named(parameters))
        return {}

    async def describe(self, call: Call, parameters: dict[str, Any]) -> dict[str, Any]:
        return described(parameters, "Targets", self._written_targets(self._group(parameters)), lambda written: written)

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

    def _written_targets(self, proxy: DbProxy) -> list[dict[str, Any]]:
        """Write a cluster first, and then its instances: of it alone RDS tells neither role nor health.

        Source: https://docs.aws.amazon.com/AmazonRDS/latest/AuroraUserGuide/rds-proxy-managing.html
        """
        database = self._proxies.database
        written = [_written(target) for target in self._proxies.targets(proxy)]
        if not database.is_cluster or proxy.group.target != database.identifier:
            return written
        cluster = {
            "TargetArn": database.arn,
            "RdsResourceId": database.identifier,
            "Port": self._proxies.writer().port,
            "Type": "TRACKED_CLUSTER",
        }
        return [cluster, *({**one, "TrackedClusterId": database.identifier} for one in written)]


def _written(target: InstanceTarget) -> dict[str, Any]:
    instance, health = target.instance, target.health
    return {
        "TargetArn": instance.arn,
        "Endpoint": instance.host,
        "Port": instance.port,
        "RdsResourceId": instance.identifier,
        "Type": "RDS_INSTANCE",
        "Role": target.role.value,
        "TargetHealth": {
            "State": health.state,
            **given(Reason=health.reason, Description=health.description),
        },
    }


def _named(parameters: dict[str, Any]) -> tuple[str, str, list[str], list[str]]:
    """Read the proxy, the target group, and the DB instances and clusters that a request names."""
    return (
        parameters["DBProxyName"],
        parameters.get("TargetGroupName", DEFAULT),
        parameters.get("DBInstanceIdentifiers", []),
        parameters.get("DBClusterIdentifiers", []),
    )

"""The app's database, or each of its servers, among RDS's DB instances; all others are the upstream's.

Source: https://docs.aws.amazon.com/AmazonRDS/latest/APIReference/API_DescribeDBInstances.html
"""

from collections.abc import Mapping
from typing import Any

from workshape.aws.members import given
from workshape.aws.operation import Call, Operation
from workshape.aws.rds.owned import ENGINE, Owned, beside_upstream
from workshape.proxies.model import Database, DatabaseInstance
from workshape.proxies.registry import Proxies


def instance_operations(proxies: Proxies) -> Mapping[str, Operation]:
    """Offer the operations by their names in the service model."""

    async def describe(call: Call, parameters: dict[str, Any]) -> dict[str, Any]:
        database = proxies.database
        owned = [_owned(database, instance) for instance in database.instances]
        return await beside_upstream(call, parameters, "DBInstance", owned)

    return {"DescribeDBInstances": describe}


def _owned(database: Database, instance: DatabaseInstance) -> Owned:
    names = frozenset({instance.identifier, instance.arn})
    cluster = frozenset({database.identifier, database.arn}) if database.is_cluster else frozenset()
    filters = {"db-instance-id": names, "engine": frozenset({ENGINE}), "db-cluster-id": cluster}
    return Owned(names, filters, _written(database, instance))


def _written(database: Database, instance: DatabaseInstance) -> dict[str, Any]:
    return {
        "DBInstanceIdentifier": instance.identifier,
        "DBInstanceArn": instance.arn,
        **given(DBClusterIdentifier=database.identifier if database.is_cluster else ""),
        "DBInstanceStatus": "available",
        "Engine": ENGINE,
        "DBName": database.name,
        "MasterUsername": database.user,
        "Endpoint": {"Address": instance.host, "Port": instance.port},
        "MultiAZ": False,
        "PubliclyAccessible": False,
        "StorageEncrypted": False,
        "IAMDatabaseAuthenticationEnabled": False,
        "DeletionProtection": False,
        "TagList": [],
    }

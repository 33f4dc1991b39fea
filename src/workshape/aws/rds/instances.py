"""The app's database among RDS's DB instances, so that proxies can stand before it; all others are the upstream's.

Source: https://docs.aws.amazon.com/AmazonRDS/latest/APIReference/API_DescribeDBInstances.html
"""

from collections.abc import Mapping
from typing import Any

from workshape.aws.operation import Call, NotOurs, Operation
from workshape.proxies.model import Database
from workshape.proxies.registry import Proxies


def instance_operations(proxies: Proxies) -> Mapping[str, Operation]:
    """Offer the operations by their names in the service model."""

    async def describe(call: Call, parameters: dict[str, Any]) -> dict[str, Any]:
        database = proxies.database
        wanted = parameters.get("DBInstanceIdentifier")
        if wanted not in (None, database.identifier) or parameters.get("Marker"):
            raise NotOurs(kind="the DB instance", name=wanted or "")
        if wanted is not None:
            return {"DBInstances": [_written(database)] if _is_meant(database, parameters) else []}
        found = await call.ask_upstream() or {"DBInstances": []}
        ours = [_written(database)] if _is_meant(database, parameters) else []
        return {**found, "DBInstances": [*ours, *found["DBInstances"]]}

    return {"DescribeDBInstances": describe}


def _is_meant(database: Database, parameters: dict[str, Any]) -> bool:
    known = {
        "db-instance-id": {database.identifier, database.arn},
        "engine": {"postgres"},
    }
    return all(
        known.get(one["Name"], set()).intersection(one.get("Values", ())) for one in parameters.get("Filters", ())
    )


def _written(database: Database) -> dict[str, Any]:
    return {
        "DBInstanceIdentifier": database.identifier,
        "DBInstanceArn": database.arn,
        "DBInstanceStatus": "available",
        "Engine": "postgres",
        "DBName": database.name,
        "MasterUsername": database.user,
        "Endpoint": {"Address": database.host, "Port": database.port},
        "MultiAZ": False,
        "PubliclyAccessible": False,
        "StorageEncrypted": False,
        "IAMDatabaseAuthenticationEnabled": False,
        "DeletionProtection": False,
        "TagList": [],
    }

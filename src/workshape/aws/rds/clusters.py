"""The app's database among RDS's DB clusters, where it has readers; all others are the upstream's.

Source: https://docs.aws.amazon.com/AmazonRDS/latest/APIReference/API_DescribeDBClusters.html
"""

from collections.abc import Mapping
from typing import Any

from workshape.aws.operation import Call, Operation
from workshape.aws.rds.owned import ENGINE, Owned, beside_upstream
from workshape.proxies.model import Database, DatabaseInstance
from workshape.proxies.registry import Proxies


def cluster_operations(proxies: Proxies) -> Mapping[str, Operation]:
    """Offer the operations by their names in the service model."""

    async def describe(call: Call, parameters: dict[str, Any]) -> dict[str, Any]:
        database = proxies.database
        own = [_owned(database, proxies.writer())] if database.is_cluster else []
        return await beside_upstream(call, parameters, "DBCluster", own)

    return {"DescribeDBClusters": describe}


def _owned(database: Database, writer: DatabaseInstance) -> Owned:
    names = frozenset({database.identifier, database.arn})
    return Owned(names, {"db-cluster-id": names, "engine": frozenset({ENGINE})}, _written(database, writer))


def _written(database: Database, writer: DatabaseInstance) -> dict[str, Any]:
    reader = next(instance for instance in database.instances if instance != writer)
    return {
        "DBClusterIdentifier": database.identifier,
        "DBClusterArn": database.arn,
        "Status": "available",
        "Engine": ENGINE,
        "DatabaseName": database.name,
        "MasterUsername": database.user,
        "Endpoint": writer.host,
        "ReaderEndpoint": reader.host if reader.port == writer.port else f"{reader.host}:{reader.port}",
        "Port": writer.port,
        "DBClusterMembers": [
            {
                "DBInstanceIdentifier": instance.identifier,
                "IsClusterWriter": instance == writer,
                "DBClusterParameterGroupStatus": "in-sync",
                "PromotionTier": 1,
            }
            for instance in database.instances
        ],
        "MultiAZ": False,
        "StorageEncrypted": False,
        "IAMDatabaseAuthenticationEnabled": False,
        "DeletionProtection": False,
        "TagList": [],
    }

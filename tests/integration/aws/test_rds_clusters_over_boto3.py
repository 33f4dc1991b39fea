"""A database with readers through boto3: a DB cluster with its instances, proxies before it, endpoints for readers."""

from pathlib import Path
from typing import Any

from tests.fakes.live_door import CLUSTER, LiveDoor
from tests.integration.aws.test_rds_over_boto3 import PROXY, refused
from workshape.hosted import AVAILABLE, HostedState, HostState, ServerState, TargetRole, TargetState

WRITE, READ, UNKNOWN = TargetRole.READ_WRITE, TargetRole.READ_ONLY, TargetRole.UNKNOWN
AWAY = TargetState("UNAVAILABLE", "UNREACHABLE", "It does not answer.")
BEFORE = (ServerState(AVAILABLE, WRITE), ServerState(AVAILABLE, READ), ServerState(AVAILABLE, READ))
AFTER = (ServerState(AWAY, UNKNOWN), ServerState(AVAILABLE, WRITE), ServerState(AVAILABLE, READ))
ARN = "arn:aws:rds:us-east-1:123456789012"


def confirm(door: LiveDoor, *servers: ServerState) -> None:
    """Say what the process that runs the proxies would say of the cluster's servers."""
    states = {instance.server: state for instance, state in zip(CLUSTER.instances, servers, strict=True)}
    hosted = {proxy.id: HostedState({}, AVAILABLE, None, states) for proxy in door.proxies.to_run()}
    door.call(lambda: door.proxies.told(HostState("latest", hosted), is_latest=True))


def members(client: Any) -> dict[str, bool]:
    (cluster,) = client.describe_db_clusters()["DBClusters"]
    return {one["DBInstanceIdentifier"]: one["IsClusterWriter"] for one in cluster["DBClusterMembers"]}


def test_a_cluster_is_registered_and_each_of_its_instances_told_with_role_and_health(door_of_cluster: LiveDoor) -> None:
    client = door_of_cluster.client("rds")
    client.create_db_proxy(**PROXY)

    registered = client.register_db_proxy_targets(DBProxyName="front", DBClusterIdentifiers=["shop"])["DBProxyTargets"]
    confirm(door_of_cluster, *BEFORE)
    before = client.describe_db_proxy_targets(DBProxyName="front")["Targets"]
    confirm(door_of_cluster, *AFTER)
    after = client.describe_db_proxy_targets(DBProxyName="front")["Targets"]
    twice = refused(client.register_db_proxy_targets, DBProxyName="front", DBClusterIdentifiers=["shop"])

    cluster = {"TargetArn": f"{ARN}:cluster:shop", "RdsResourceId": "shop", "Port": 5432, "Type": "TRACKED_CLUSTER"}
    assert registered[0] == before[0] == cluster
    assert [one["TargetHealth"] for one in registered[1:]] == [{"State": "REGISTERING"}] * 3
    assert before[1] == {
        "TargetArn": f"{ARN}:db:shop-instance-1",
        "Endpoint": "10.0.0.1",
        "TrackedClusterId": "shop",
        "RdsResourceId": "shop-instance-1",
        "Port": 5432,
        "Type": "RDS_INSTANCE",
        "Role": "READ_WRITE",
        "TargetHealth": {"State": "AVAILABLE"},
    }
    assert [one["Role"] for one in before[1:]] == ["READ_WRITE", "READ_ONLY", "READ_ONLY"]
    assert [one["Role"] for one in after[1:]] == ["UNKNOWN", "READ_WRITE", "READ_ONLY"]
    assert after[1]["TargetHealth"] == {
        "State": "UNAVAILABLE",
        "Reason": "UNREACHABLE",
        "Description": "It does not answer.",
    }
    assert twice[:2] == ("DBProxyTargetAlreadyRegisteredFault", 400)


def test_a_cluster_is_not_an_instance_nor_the_other_way_round(door_of_cluster: LiveDoor, door: LiveDoor) -> None:
    client, plain = door_of_cluster.client("rds"), door.client("rds")
    for each in (client, plain):
        each.create_db_proxy(**PROXY)
    client.register_db_proxy_targets(DBProxyName="front", DBClusterIdentifiers=["shop"])
    plain.register_db_proxy_targets(DBProxyName="front", DBInstanceIdentifiers=["shop"])

    def code(call: Any, **named: Any) -> str:
        return refused(call, DBProxyName="front", **named)[0]

    assert code(client.register_db_proxy_targets, DBInstanceIdentifiers=["shop"]) == "DBInstanceNotFound"
    assert code(client.register_db_proxy_targets, DBInstanceIdentifiers=["shop-instance-2"]) == "InvalidDBInstanceState"
    assert code(client.register_db_proxy_targets, DBClusterIdentifiers=["other"]) == "DBClusterNotFoundFault"
    both = {"DBClusterIdentifiers": ["shop"], "DBInstanceIdentifiers": ["shop"]}
    assert code(client.register_db_proxy_targets, **both) == "InvalidParameterValue"
    assert code(client.deregister_db_proxy_targets, DBInstanceIdentifiers=["shop"]) == "DBProxyTargetNotFoundFault"
    assert code(plain.register_db_proxy_targets, DBClusterIdentifiers=["shop"]) == "DBClusterNotFoundFault"
    assert code(plain.deregister_db_proxy_targets, DBClusterIdentifiers=["shop"]) == "DBProxyTargetNotFoundFault"
    client.deregister_db_proxy_targets(DBProxyName="front", DBClusterIdentifiers=["shop"])
    assert client.describe_db_proxy_targets(DBProxyName="front")["Targets"] == []


def test_a_reader_endpoint_is_made_before_or_after_its_target_and_shown(door_of_cluster: LiveDoor) -> None:
    client = door_of_cluster.client("rds")
    client.create_db_proxy(**PROXY)  # Terraform makes endpoints and targets in any order

    made = client.create_db_proxy_endpoint(
        DBProxyName="front", DBProxyEndpointName="reports", VpcSubnetIds=["subnet-1"], TargetRole="READ_ONLY"
    )["DBProxyEndpoint"]
    client.register_db_proxy_targets(DBProxyName="front", DBClusterIdentifiers=["shop"])
    confirm(door_of_cluster, *BEFORE)
    shown = client.describe_db_proxy_endpoints(DBProxyName="front")["DBProxyEndpoints"]
    renamed = client.modify_db_proxy_endpoint(DBProxyEndpointName="reports", NewDBProxyEndpointName="jobs")
    (proxy,) = door_of_cluster.proxies.to_run()

    assert (made["TargetRole"], made["IsDefault"], made["Status"]) == ("READ_ONLY", False, "creating")
    assert [(one["TargetRole"], one["Status"]) for one in shown] == [
        ("READ_WRITE", "available"),
        ("READ_ONLY", "available"),
    ]
    assert made["Endpoint"] != shown[0]["Endpoint"]
    assert renamed["DBProxyEndpoint"]["TargetRole"] == "READ_ONLY"
    assert [endpoint.role for endpoint in proxy.endpoints] == ["READ_WRITE", "READ_ONLY"]


def test_the_cluster_and_its_instances_are_found_by_name_by_arn_and_by_filter(door_of_cluster: LiveDoor) -> None:
    client = door_of_cluster.client("rds")

    (cluster,) = client.describe_db_clusters()["DBClusters"]
    for wanted in ("shop", "SHOP", cluster["DBClusterArn"]):
        assert client.describe_db_clusters(DBClusterIdentifier=wanted)["DBClusters"] == [cluster]
    client.get_waiter("db_cluster_available").wait(DBClusterIdentifier="shop")
    everything = client.describe_db_instances()["DBInstances"]
    of_cluster = [{"Name": "db-cluster-id", "Values": ["shop"]}]
    (second,) = client.describe_db_instances(DBInstanceIdentifier="shop-instance-2")["DBInstances"]

    assert {name: cluster[name] for name in ("Engine", "Status", "Endpoint", "ReaderEndpoint", "Port")} == {
        "Engine": "postgres",
        "Status": "available",
        "Endpoint": "10.0.0.1",
        "ReaderEndpoint": "10.0.0.2",
        "Port": 5432,
    }
    assert cluster["DBClusterArn"] == f"{ARN}:cluster:shop"
    assert members(client) == {"shop-instance-1": True, "shop-instance-2": False, "shop-instance-3": False}
    assert [one["DBInstanceIdentifier"] for one in everything] == list(members(client))
    assert client.describe_db_instances(Filters=of_cluster)["DBInstances"] == everything
    assert client.describe_db_instances(Filters=[{**of_cluster[0], "Values": ["other"]}])["DBInstances"] == []
    assert (second["DBClusterIdentifier"], second["Endpoint"]) == ("shop", {"Address": "10.0.0.2", "Port": 5432})
    for arn in (cluster["DBClusterArn"], second["DBInstanceArn"]):
        assert client.list_tags_for_resource(ResourceName=arn)["TagList"] == []


def test_after_a_fail_over_the_cluster_has_another_writer(door_of_cluster: LiveDoor) -> None:
    client = door_of_cluster.client("rds")
    client.create_db_proxy(**PROXY)
    client.register_db_proxy_targets(DBProxyName="front", DBClusterIdentifiers=["shop"])

    confirm(door_of_cluster, *AFTER)

    (cluster,) = client.describe_db_clusters(DBClusterIdentifier="shop")["DBClusters"]
    assert (cluster["Endpoint"], cluster["ReaderEndpoint"]) == ("10.0.0.2", "10.0.0.1")
    assert members(client) == {"shop-instance-1": False, "shop-instance-2": True, "shop-instance-3": False}


def test_clusters_of_the_upstream_stand_beside_ours(tmp_path: Path, moto_url: str) -> None:
    door = LiveDoor(tmp_path, upstream={"default": moto_url}, database=CLUSTER)
    try:
        client = door.client("rds")
        client.create_db_cluster(
            DBClusterIdentifier="legacy",
            Engine="aurora-postgresql",
            MasterUsername="owner",
            MasterUserPassword="a long secret",
        )
        found = [one["DBClusterIdentifier"] for one in client.describe_db_clusters()["DBClusters"]]
        (legacy,) = client.describe_db_clusters(DBClusterIdentifier="legacy")["DBClusters"]
        nobody = refused(client.describe_db_clusters, DBClusterIdentifier="nobody")
        client.delete_db_cluster(DBClusterIdentifier="legacy", SkipFinalSnapshot=True)
    finally:
        door.close()

    assert found == ["shop", "legacy"]
    assert legacy["Engine"] == "aurora-postgresql"
    assert nobody[:2] == ("DBClusterNotFoundFault", 404)

"""RDS Proxy's API through boto3: what is made is shown, what RDS refuses is refused by its names."""

from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.fakes.live_door import LiveDoor
from workshape.hosted import AVAILABLE, HostedState, HostState, TargetState

SECRET = "arn:aws:secretsmanager:us-east-1:123456789012:secret:shop-AbCdEf"
ROLE = "arn:aws:iam::123456789012:role/proxy-role"
AUTH = {"AuthScheme": "SECRETS", "SecretArn": SECRET, "IAMAuth": "DISABLED"}
PROXY: dict[str, Any] = {
    "DBProxyName": "front",
    "EngineFamily": "POSTGRESQL",
    "Auth": [AUTH],
    "RoleArn": ROLE,
    "VpcSubnetIds": ["subnet-1", "subnet-2"],
}


def refused(call: Any, **parameters: Any) -> tuple[str, int, str]:
    with pytest.raises(ClientError) as caught:
        call(**parameters)
    answer = caught.value.response
    return answer["Error"]["Code"], answer["ResponseMetadata"]["HTTPStatusCode"], answer["Error"]["Message"]


def confirm(door: LiveDoor, target: TargetState = AVAILABLE) -> None:
    """Say what the process that runs the proxies would say."""
    states = {proxy.id: HostedState({}, target) for proxy in door.proxies.to_run() if proxy.group.target}
    door.call(lambda: door.proxies.told(HostState("latest", states), is_latest=True))


def test_a_proxy_is_made_shown_changed_and_deleted(door: LiveDoor) -> None:
    client = door.client("rds")

    made = client.create_db_proxy(**PROXY, Tags=[{"Key": "team", "Value": "shop"}], RequireTLS=True)["DBProxy"]
    confirm(door)
    (shown,) = client.describe_db_proxies(DBProxyName="front")["DBProxies"]
    changed = client.modify_db_proxy(
        DBProxyName="front",
        NewDBProxyName="back",
        RequireTLS=False,
        IdleClientTimeout=60,
        Auth=[{**AUTH, "IAMAuth": "REQUIRED", "Description": "tokens only"}],
        SecurityGroups=["sg-1"],
    )["DBProxy"]
    confirm(door)
    deleted = client.delete_db_proxy(DBProxyName="back")["DBProxy"]
    confirm(door)

    assert made["Status"] == "creating"
    assert made["DBProxyArn"].startswith("arn:aws:rds:us-east-1:123456789012:db-proxy:prx-")
    assert {key: value for key, value in shown.items() if key not in ("CreatedDate", "UpdatedDate", "Status")} == {
        "DBProxyName": "front",
        "DBProxyArn": made["DBProxyArn"],
        "EngineFamily": "POSTGRESQL",
        "VpcSecurityGroupIds": [],
        "VpcSubnetIds": ["subnet-1", "subnet-2"],
        "DefaultAuthScheme": "NONE",
        "Auth": [{**AUTH, "ClientPasswordAuthType": "POSTGRES_SCRAM_SHA_256"}],
        "RoleArn": ROLE,
        "Endpoint": made["Endpoint"],
        "RequireTLS": True,
        "IdleClientTimeout": 1800,
        "DebugLogging": False,
        "EndpointNetworkType": "IPV4",
        "TargetConnectionNetworkType": "IPV4",
    }
    assert shown["Status"] == "available"
    assert (changed["DBProxyName"], changed["IdleClientTimeout"], changed["RequireTLS"]) == ("back", 60, False)
    assert changed["Auth"][0]["Description"] == "tokens only"
    assert changed["DBProxyArn"] == made["DBProxyArn"]
    assert changed["UpdatedDate"] > shown["CreatedDate"]
    assert deleted["Status"] == "deleting"
    assert refused(client.describe_db_proxies, DBProxyName="back")[:2] == ("DBProxyNotFoundFault", 404)


def test_the_apps_database_is_registered_and_its_health_shown(door: LiveDoor) -> None:
    client = door.client("rds")
    client.create_db_proxy(**PROXY)

    (registered,) = client.register_db_proxy_targets(DBProxyName="front", DBInstanceIdentifiers=["shop"])[
        "DBProxyTargets"
    ]
    confirm(door, TargetState("UNAVAILABLE", "AUTH_FAILURE", "wrong password"))
    (failing,) = client.describe_db_proxy_targets(DBProxyName="front")["Targets"]
    confirm(door)
    (well,) = client.describe_db_proxy_targets(DBProxyName="front", TargetGroupName="default")["Targets"]
    twice = refused(client.register_db_proxy_targets, DBProxyName="front", DBInstanceIdentifiers=["shop"])
    client.deregister_db_proxy_targets(DBProxyName="front", DBInstanceIdentifiers=["shop"])
    confirm(door)

    assert registered == {
        "TargetArn": "arn:aws:rds:us-east-1:123456789012:db:shop",
        "Endpoint": "127.0.0.1",
        "Port": 5433,
        "RdsResourceId": "shop",
        "Type": "RDS_INSTANCE",
        "Role": "READ_WRITE",
        "TargetHealth": {"State": "REGISTERING"},
    }
    assert failing["TargetHealth"] == {
        "State": "UNAVAILABLE",
        "Reason": "AUTH_FAILURE",
        "Description": "wrong password",
    }
    assert well["TargetHealth"] == {"State": "AVAILABLE"}
    assert twice[:2] == ("DBProxyTargetAlreadyRegisteredFault", 400)
    assert client.describe_db_proxy_targets(DBProxyName="front")["Targets"] == []


def test_a_pool_is_changed_member_by_member(door: LiveDoor) -> None:
    client = door.client("rds")
    client.create_db_proxy(**PROXY)
    group = {"DBProxyName": "front", "TargetGroupName": "default"}

    client.modify_db_proxy_target_group(**group, ConnectionPoolConfig={"MaxConnectionsPercent": 80})
    client.modify_db_proxy_target_group(
        **group, ConnectionPoolConfig={"ConnectionBorrowTimeout": 5, "InitQuery": "SET x = 1"}
    )
    confirm(door)
    (shown,) = client.describe_db_proxy_target_groups(DBProxyName="front")["TargetGroups"]

    assert shown["ConnectionPoolConfig"] == {
        "MaxConnectionsPercent": 80,
        "MaxIdleConnectionsPercent": 40,
        "ConnectionBorrowTimeout": 5,
        "SessionPinningFilters": [],
        "InitQuery": "SET x = 1",
    }
    assert (shown["Status"], shown["IsDefault"], shown["TargetGroupName"]) == ("available", True, "default")
    assert ":target-group:prx-tg-" in shown["TargetGroupArn"]
    refusal = refused(client.modify_db_proxy_target_group, **group, NewName="other")
    assert refusal[0] == "InvalidParameterValue"
    wrong = {"DBProxyName": "front", "TargetGroupName": "second"}
    assert refused(client.describe_db_proxy_target_groups, **wrong)[:2] == ("DBProxyTargetGroupNotFoundFault", 404)


def test_endpoints_are_made_renamed_and_deleted(door: LiveDoor) -> None:
    client = door.client("rds")
    proxy = client.create_db_proxy(**PROXY)["DBProxy"]

    made = client.create_db_proxy_endpoint(
        DBProxyName="front", DBProxyEndpointName="reports", VpcSubnetIds=["subnet-3"]
    )["DBProxyEndpoint"]
    client.modify_db_proxy_endpoint(DBProxyEndpointName="reports", NewDBProxyEndpointName="jobs")
    confirm(door)
    default, jobs = client.describe_db_proxy_endpoints(DBProxyName="front")["DBProxyEndpoints"]
    one = client.describe_db_proxy_endpoints(DBProxyEndpointName="jobs")["DBProxyEndpoints"]
    gone = client.delete_db_proxy_endpoint(DBProxyEndpointName="jobs")["DBProxyEndpoint"]

    assert (default["IsDefault"], default["Endpoint"]) == (True, proxy["Endpoint"])
    assert (jobs["IsDefault"], jobs["DBProxyEndpointName"], jobs["Status"]) == (False, "jobs", "available")
    assert (jobs["TargetRole"], jobs["VpcSubnetIds"]) == ("READ_WRITE", ["subnet-3"])
    assert made["Endpoint"] == jobs["Endpoint"] != proxy["Endpoint"]
    assert one == [jobs]
    assert gone["Status"] == "deleting"
    nobody = refused(client.describe_db_proxy_endpoints, DBProxyEndpointName="jobs")
    assert nobody[:2] == ("DBProxyEndpointNotFoundFault", 404)


@pytest.mark.parametrize(
    ("operation", "parameters", "code", "told"),
    [
        ("create_db_proxy", {"EngineFamily": "MYSQL"}, "InvalidParameterValue", "MYSQL"),
        ("create_db_proxy", {"Auth": []}, "InvalidParameterCombination", "Auth"),
        ("create_db_proxy", {"DefaultAuthScheme": "IAM_AUTH"}, "InvalidParameterValue", "IAM"),
        ("create_db_proxy", {"EndpointNetworkType": "IPV6"}, "InvalidParameterValue", "EndpointNetworkType"),
        ("create_db_proxy", {"IdleClientTimeout": 0}, "InvalidParameterValue", "between 1 and 28800"),
        ("create_db_proxy", {"DBProxyName": "two--hyphens"}, "ValidationError", "pattern"),
        ("create_db_proxy", {"DBProxyName": "there"}, "DBProxyAlreadyExistsFault", "there"),
        ("describe_db_proxies", {"Filters": [{"Name": "a", "Values": ["b"]}]}, "InvalidParameterValue", "Filters"),
        ("describe_db_proxies", {"Marker": "none of ours"}, "InvalidParameterValue", "Marker"),
        ("describe_db_proxies", {"MaxRecords": 5}, "ValidationError", "20"),
        (
            "create_db_proxy_endpoint",
            {"DBProxyName": "there", "DBProxyEndpointName": "r", "VpcSubnetIds": ["s"], "TargetRole": "READ_ONLY"},
            "InvalidParameterCombination",
            "Aurora",
        ),
        (
            "register_db_proxy_targets",
            {"DBProxyName": "there", "DBInstanceIdentifiers": ["other"]},
            "DBInstanceNotFound",
            "shop",
        ),
        (
            "register_db_proxy_targets",
            {"DBProxyName": "there", "DBClusterIdentifiers": ["aurora"]},
            "DBClusterNotFoundFault",
            "aurora",
        ),
        (
            "deregister_db_proxy_targets",
            {"DBProxyName": "there", "DBInstanceIdentifiers": ["shop"]},
            "DBProxyTargetNotFoundFault",
            "shop",
        ),
        ("delete_db_proxy", {"DBProxyName": "nobody"}, "DBProxyNotFoundFault", "nobody"),
    ],
)
def test_what_rds_refuses_is_refused_by_its_names(
    door: LiveDoor, operation: str, parameters: dict[str, Any], code: str, told: str
) -> None:
    client = door.client("rds", parameter_validation=False)
    client.create_db_proxy(**{**PROXY, "DBProxyName": "there"})
    given = {**PROXY, **parameters} if operation == "create_db_proxy" else parameters

    found, _, message = refused(getattr(client, operation), **given)

    assert (found, told in message) == (code, True), message


def test_proxies_are_paged(door: LiveDoor) -> None:
    client = door.client("rds")
    names = [f"p{number:02d}" for number in range(20)]
    for name in names:
        client.create_db_proxy(**{**PROXY, "DBProxyName": name})
        client.create_db_proxy_endpoint(DBProxyName=name, DBProxyEndpointName=f"e-{name}", VpcSubnetIds=["s"])

    pages = list(client.get_paginator("describe_db_proxy_endpoints").paginate(PaginationConfig={"PageSize": 25}))

    assert [len(page["DBProxyEndpoints"]) for page in pages] == [25, 15]
    shown = [one["DBProxyName"] for page in pages for one in page["DBProxyEndpoints"]]
    assert shown == [name for name in names for _ in range(2)]
    assert refused(client.create_db_proxy, **PROXY)[0] == "DBProxyQuotaExceededFault"


def test_tags_are_added_listed_and_removed(door: LiveDoor) -> None:
    client = door.client("rds")
    arn = client.create_db_proxy(**PROXY, Tags=[{"Key": "a", "Value": "1"}])["DBProxy"]["DBProxyArn"]

    client.add_tags_to_resource(ResourceName=arn, Tags=[{"Key": "b", "Value": "2"}])
    client.remove_tags_from_resource(ResourceName=arn, TagKeys=["a"])

    assert client.list_tags_for_resource(ResourceName=arn)["TagList"] == [{"Key": "b", "Value": "2"}]
    nobody = "arn:aws:rds:us-east-1:123456789012:db-proxy:prx-0"
    assert refused(client.list_tags_for_resource, ResourceName=nobody)[0] == "DBProxyNotFoundFault"


def test_the_apps_database_is_an_instance_beside_the_upstreams(door_to_moto: LiveDoor) -> None:
    client = door_to_moto.client("rds")
    client.create_db_instance(
        DBInstanceIdentifier="legacy", DBInstanceClass="db.t3.micro", Engine="postgres", AllocatedStorage=10
    )
    legacy = client.describe_db_instances(DBInstanceIdentifier="legacy")["DBInstances"][0]

    everything = client.describe_db_instances()["DBInstances"]
    (ours,) = client.describe_db_instances(DBInstanceIdentifier="shop")["DBInstances"]
    tags = client.list_tags_for_resource(ResourceName=legacy["DBInstanceArn"])

    assert [one["DBInstanceIdentifier"] for one in everything] == ["shop", "legacy"]
    assert ours["Endpoint"] == {"Address": "127.0.0.1", "Port": 5433}
    assert (ours["DBInstanceStatus"], ours["Engine"]) == ("available", "postgres")
    assert tags["TagList"] == []
    client.get_waiter("db_instance_available").wait(DBInstanceIdentifier="shop")

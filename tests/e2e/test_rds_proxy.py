"""A proxy made through RDS's API, from its secret to its end, as a program of AWS's would use it."""

import json
import os
import signal
import stat
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest
from botocore.exceptions import ClientError

from tests.e2e.running import Running, bring_up, eventually

APP = """
[platform]
upstream = { dynamodb = "moto" }

[database]
name = "shop"
max_connections = 20
"""
ROLE = "arn:aws:iam::123456789012:role/proxy"


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    folder = tmp_path_factory.mktemp("shop")
    (folder / "workshape.toml").write_text(APP)
    with bring_up(folder, "--no-follow") as running:
        yield running


def make_secret(running: Running, name: str, password: str | None = None) -> str:
    """Put the database's user and a password into a secret; return its ARN."""
    database = running.run.database
    assert database is not None
    value = {"username": database.user, "password": password or database.password}
    made = running.client("secretsmanager").create_secret(Name=name, SecretString=json.dumps(value))
    return str(made["ARN"])


def make_proxy(running: Running, name: str, secret: str, **more: Any) -> str:
    """Make a proxy before the app's database; return its endpoint once it is available."""
    client = running.client("rds")
    auth = [{"AuthScheme": "SECRETS", "SecretArn": secret, "IAMAuth": "DISABLED"}]
    given = {"EngineFamily": "POSTGRESQL", "Auth": auth, "RoleArn": ROLE, "VpcSubnetIds": ["subnet-1"], **more}
    made = client.create_db_proxy(DBProxyName=name, **given)["DBProxy"]
    client.register_db_proxy_targets(DBProxyName=name, DBInstanceIdentifiers=["shop"])
    return str(made["Endpoint"])


def health(running: Running, name: str) -> dict[str, Any]:
    (target,) = running.client("rds").describe_db_proxy_targets(DBProxyName=name)["Targets"]
    found: dict[str, Any] = target["TargetHealth"]
    return found


def until_available(running: Running, name: str) -> None:
    eventually(lambda: health(running, name)["State"] == "AVAILABLE")
    client = running.client("rds")
    eventually(lambda: client.describe_db_proxies(DBProxyName=name)["DBProxies"][0]["Status"] == "available")


def connect(running: Running, endpoint: str, **options: Any) -> psycopg.Connection[Any]:
    """Connect as a program that was given nothing but the endpoint, the user's password, and whom to trust."""
    run = running.run
    assert run.database is not None
    given = {
        "host": endpoint,
        "user": run.database.user,
        "password": run.database.password,
        "dbname": "shop",
        "sslmode": "verify-full",
        "sslrootcert": str(run.state.ca_file),
        **options,
    }
    return psycopg.connect(autocommit=True, **given)


def metric(running: Running, name: str, statistic: str, **dimensions: str) -> float:
    now = datetime.now(UTC)
    told = running.client("cloudwatch").get_metric_statistics(
        Namespace="AWS/RDS",
        MetricName=name,
        Dimensions=[{"Name": key, "Value": value} for key, value in dimensions.items()],
        StartTime=now - timedelta(hours=1),
        EndTime=now + timedelta(minutes=1),
        Period=3600,
        Statistics=[statistic],
    )
    return float(sum(point[statistic] for point in told["Datapoints"]))


def test_a_proxy_from_its_secret_to_its_end(running: Running) -> None:
    client = running.client("rds")
    endpoint = make_proxy(running, "front", make_secret(running, "shop"), RequireTLS=True)
    until_available(running, "front")

    with connect(running, endpoint) as connection:
        for number in range(5):
            assert connection.execute("SELECT %s::int", (number,)).fetchone() == (number,)
        with pytest.raises(psycopg.OperationalError, match="TLS"):
            connect(running, endpoint, sslmode="disable")
        with pytest.raises(psycopg.OperationalError, match="password"):
            connect(running, endpoint, password="wrong")
        client.modify_db_proxy_target_group(
            DBProxyName="front",
            TargetGroupName="default",
            ConnectionPoolConfig={"MaxConnectionsPercent": 30, "ConnectionBorrowTimeout": 7},
        )
        made = client.create_db_proxy_endpoint(
            DBProxyName="front", DBProxyEndpointName="jobs", VpcSubnetIds=["subnet-1"]
        )["DBProxyEndpoint"]
        until_available(running, "front")
        with connect(running, made["Endpoint"]) as other:
            other.execute("SELECT 1")
        assert connection.execute("SELECT 'still here'").fetchone() == ("still here",), "changes drop nobody"
        eventually(lambda: metric(running, "QueryRequests", "Sum", ProxyName="front", EndpointName="default") >= 6)
        eventually(lambda: metric(running, "QueryRequests", "Sum", ProxyName="front", EndpointName="jobs") == 1)
        assert metric(running, "ClientConnectionsSetupFailedAuth", "Sum", ProxyName="front") >= 1
        target = {"ProxyName": "front", "TargetGroup": "default", "Target": "shop"}
        assert metric(running, "DatabaseConnectionsSetupSucceeded", "Sum", **target) >= 1
        assert metric(running, "DatabaseConnectionsBorrowLatency", "Average", ProxyName="front") > 0
        eventually(lambda: 'workshape_proxy_client_connections{proxy="front"} 1\n' in scraped(running))
        assert 'workshape_proxy_client_connections{proxy="workshape"} 0\n' in scraped(running)
        client.delete_db_proxy(DBProxyName="front")
        eventually(lambda: is_gone(client, "front"))
        with pytest.raises(psycopg.OperationalError):
            connection.execute("SELECT 1")

    with pytest.raises(psycopg.OperationalError):
        connect(running, endpoint)


def scraped(running: Running) -> str:
    """What Prometheus reads now."""
    return httpx.get(f"{running.run.endpoint}/_workshape/metrics", trust_env=False).text


def is_gone(client: Any, name: str) -> bool:
    try:
        client.describe_db_proxies(DBProxyName=name)
    except ClientError as error:
        return bool(error.response["Error"]["Code"] == "DBProxyNotFoundFault")
    return False


def test_who_comes_with_a_token_of_iam_needs_no_password(running: Running) -> None:
    client = running.client("rds")
    secret = make_secret(running, "tokens")
    endpoint = make_proxy(running, "tokens", secret)
    auth = [{"AuthScheme": "SECRETS", "SecretArn": secret, "IAMAuth": "REQUIRED"}]
    client.modify_db_proxy(DBProxyName="tokens", Auth=auth, RequireTLS=True)
    until_available(running, "tokens")
    assert running.run.database is not None
    user, keys = running.run.database.user, running.run.settings.endpoint
    signer = running.client("rds", access_key=keys.access_key, secret_key=keys.secret_key)

    token = signer.generate_db_auth_token(endpoint, 5432, user)
    with connect(running, endpoint, password=token) as connection:
        assert connection.execute("SELECT current_user").fetchone() == (user,)
    with pytest.raises(psycopg.OperationalError, match="IAM"):
        connect(running, endpoint)


def test_a_wrong_password_in_the_secret_is_the_targets_health(running: Running) -> None:
    secret = make_secret(running, "wrong", password="not this one")
    make_proxy(running, "wrong", secret)

    eventually(lambda: health(running, "wrong").get("Reason") == "AUTH_FAILURE")
    told = health(running, "wrong")
    assert running.run.database is not None
    right = {"username": running.run.database.user, "password": running.run.database.password}
    running.client("secretsmanager").put_secret_value(SecretId=secret, SecretString=json.dumps(right))
    until_available(running, "wrong")

    assert told["State"] == "UNAVAILABLE"
    assert "password" in told["Description"]


def test_proxies_outlive_the_end_of_the_engine_and_of_their_own_process(running: Running) -> None:
    endpoint = make_proxy(running, "lasting", make_secret(running, "lasting"))
    until_available(running, "lasting")

    with connect(running, endpoint) as connection:
        os.kill(running.part("engine").pid, signal.SIGKILL)
        assert connection.execute("SELECT 1").fetchone() == (1,)
        running.wait_until_said("again  process")
    eventually(lambda: answers(running))
    until_available(running, "lasting")
    os.kill(running.part("proxy").pid, signal.SIGKILL)

    def serves_again() -> bool:
        try:
            with connect(running, endpoint) as connection:
                return connection.execute("SELECT 1").fetchone() == (1,)
        except psycopg.OperationalError:
            return False

    eventually(serves_again)
    until_available(running, "lasting")


def test_a_proxy_and_its_secret_outlive_the_whole_platform(tmp_path: Path) -> None:
    (tmp_path / "workshape.toml").write_text(APP)
    with bring_up(tmp_path, "--no-follow") as running:
        make_proxy(running, "lasting", make_secret(running, "lasting"))
        until_available(running, "lasting")

    with bring_up(tmp_path, "--no-follow") as again:
        until_available(again, "lasting")
        endpoint = again.client("rds").describe_db_proxies(DBProxyName="lasting")["DBProxies"][0]["Endpoint"]
        with connect(again, endpoint) as connection:
            assert connection.execute("SELECT 1").fetchone() == (1,)
        told = again.client("secretsmanager").describe_secret(SecretId="lasting")

    assert told["LastAccessedDate"]
    assert stat.S_IMODE(again.folder.joinpath(".workshape", "store.sqlite").stat().st_mode) == 0o600


def answers(running: Running) -> bool:
    try:
        return httpx.get(f"{running.run.endpoint}/_workshape/health", trust_env=False).status_code == 200
    except httpx.HTTPError:
        return False


def test_the_apps_own_proxy_and_database_are_shown(running: Running) -> None:
    client = running.client("rds")

    (proxy,) = client.describe_db_proxies(DBProxyName="workshape")["DBProxies"]
    (target,) = client.describe_db_proxy_targets(DBProxyName="workshape")["Targets"]
    (instance,) = client.describe_db_instances(DBInstanceIdentifier="shop")["DBInstances"]

    settings = running.run.settings
    assert proxy["Endpoint"] == f"127.0.0.1:{settings.ports.proxy}"
    assert (target["RdsResourceId"], target["TargetHealth"]) == ("shop", {"State": "AVAILABLE"})
    assert instance["Endpoint"]["Port"] == settings.ports.database
    with pytest.raises(ClientError, match=r"workshape\.toml"):
        client.delete_db_proxy(DBProxyName="workshape")

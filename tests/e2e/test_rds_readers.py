"""A database with streaming replicas behind RDS's API: an endpoint for readers, and a fail-over that all follow."""

import os
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import psycopg
import pytest

from tests.e2e.running import Running, bring_up, eventually
from tests.e2e.test_rds_proxy import connect, make_secret, metric
from tests.integration.pgproxy.conftest import DATABASE, PASSWORD, USER, Server, new_replicas, new_server

ROLE = "arn:aws:iam::123456789012:role/proxy"
APP = """
[platform]
upstream = {{ dynamodb = "moto" }}

[platform.proxy]
connection_borrow_timeout_s = 30

[database]
url = "postgresql://{user}:{password}@127.0.0.1:{writer}/{database}"
readers = ["127.0.0.1:{first}", "127.0.0.1:{second}"]
"""


@dataclass
class Cluster:
    """A platform before a writer and two replicas."""

    running: Running
    writer: Server
    readers: list[Server]

    def connect(self, endpoint: str) -> psycopg.Connection[Any]:
        """Connect at an endpoint, which is at PostgreSQL's own port."""
        return connect(self.running, endpoint, dbname=DATABASE)

    def targets(self, proxy: str) -> dict[str, tuple[str, str]]:
        """Role and health of each instance behind a proxy."""
        return targets(self.running, proxy)


def targets(running: Running, proxy: str) -> dict[str, tuple[str, str]]:
    """Role and health of each instance behind a proxy."""
    found = running.client("rds").describe_db_proxy_targets(DBProxyName=proxy)["Targets"]
    return {
        one["RdsResourceId"]: (one["Role"], one["TargetHealth"]["State"])
        for one in found
        if one["Type"] == "RDS_INSTANCE"
    }


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    folder = tmp_path_factory.mktemp("shop")
    with new_server() as writer, new_replicas(writer) as readers:
        first, second = readers
        ports = {"writer": writer.port, "first": first.port, "second": second.port}
        (folder / "workshape.toml").write_text(
            APP.format(user=USER, password=quote(PASSWORD, safe=""), database=DATABASE, **ports)
        )
        with bring_up(folder, "--no-follow") as running:
            yield Cluster(running, writer, readers)


def port_of(connection: psycopg.Connection[Any]) -> int:
    row = connection.execute("SELECT current_setting('port')::int").fetchone()
    assert row is not None
    return int(row[0])


def test_a_reader_endpoint_and_a_fail_over(cluster: Cluster) -> None:
    running, client = cluster.running, cluster.running.client("rds")
    first, second = cluster.readers
    auth = [{"AuthScheme": "SECRETS", "SecretArn": make_secret(running, "shop"), "IAMAuth": "DISABLED"}]
    endpoint = client.create_db_proxy(
        DBProxyName="front", EngineFamily="POSTGRESQL", Auth=auth, RoleArn=ROLE, VpcSubnetIds=["subnet-1"]
    )["DBProxy"]["Endpoint"]
    client.register_db_proxy_targets(DBProxyName="front", DBClusterIdentifiers=[DATABASE])
    reader_endpoint = client.create_db_proxy_endpoint(
        DBProxyName="front", DBProxyEndpointName="reports", VpcSubnetIds=["subnet-1"], TargetRole="READ_ONLY"
    )["DBProxyEndpoint"]["Endpoint"]
    names = [f"{DATABASE}-instance-{number}" for number in (1, 2, 3)]
    roles = ("READ_WRITE", "READ_ONLY", "READ_ONLY")
    wanted = dict(zip(names, ((role, "AVAILABLE") for role in roles), strict=True))
    eventually(lambda: cluster.targets("front") == wanted)

    with cluster.connect(endpoint) as writing, cluster.connect(reader_endpoint) as reading:
        assert port_of(writing) == cluster.writer.port
        assert port_of(reading) in {first.port, second.port}
        with pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
            reading.execute("CREATE TABLE not_here (n int)")
        eventually(lambda: metric(running, "QueryRequests", "Sum", ProxyName="front", EndpointName="reports") == 2)
        by_role = {"ProxyName": "front", "TargetGroup": "default", "TargetRole": "READ_ONLY"}
        eventually(lambda: metric(running, "DatabaseConnectionsSetupSucceeded", "Sum", **by_role) >= 1)

        cluster.writer.stop()
        try:
            eventually(lambda: cluster.targets("front")[names[0]] == ("READ_WRITE", "UNAVAILABLE"))
            first.run("SELECT pg_promote()")
            assert (port_of(writing), port_of(reading)) == (first.port, second.port)
            eventually(lambda: cluster.targets("front")[names[1]] == ("READ_WRITE", "AVAILABLE"))
            after = cluster.targets("front")
            (shown,) = client.describe_db_clusters(DBClusterIdentifier=DATABASE)["DBClusters"]
            with connect(
                running, "127.0.0.1", port=running.run.settings.ports.proxy, dbname=DATABASE
            ) as through_the_apps_own:
                assert port_of(through_the_apps_own) == first.port
            eventually(lambda: cluster.targets("workshape")[names[1]] == ("READ_WRITE", "AVAILABLE"))
        finally:
            cluster.writer.start()

    assert after == {
        names[0]: ("UNKNOWN", "UNAVAILABLE"),
        names[1]: ("READ_WRITE", "AVAILABLE"),
        names[2]: ("READ_ONLY", "AVAILABLE"),
    }
    assert [one["IsClusterWriter"] for one in shown["DBClusterMembers"]] == [False, True, False]
    assert (shown["Endpoint"], shown["Port"]) == ("127.0.0.1", first.port)


def test_our_own_server_has_readers_where_they_are_asked_for(tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("own")
    (folder / "workshape.toml").write_text(
        '[platform]\nupstream = { dynamodb = "moto" }\n[database]\nname = "shop"\nreaders = 1\n'
    )
    with bring_up(folder, "--no-follow") as running:
        client = running.client("rds")
        auth = [{"AuthScheme": "SECRETS", "SecretArn": make_secret(running, "shop"), "IAMAuth": "DISABLED"}]
        endpoint = client.create_db_proxy(
            DBProxyName="front", EngineFamily="POSTGRESQL", Auth=auth, RoleArn=ROLE, VpcSubnetIds=["subnet-1"]
        )["DBProxy"]["Endpoint"]
        client.register_db_proxy_targets(DBProxyName="front", DBClusterIdentifiers=["shop"])
        reader_endpoint = client.create_db_proxy_endpoint(
            DBProxyName="front", DBProxyEndpointName="reports", VpcSubnetIds=["subnet-1"], TargetRole="READ_ONLY"
        )["DBProxyEndpoint"]["Endpoint"]
        wanted = {"shop-instance-1": ("READ_WRITE", "AVAILABLE"), "shop-instance-2": ("READ_ONLY", "AVAILABLE")}
        eventually(lambda: targets(running, "front") == wanted)
        with connect(running, endpoint) as writing, connect(running, reader_endpoint) as reading:
            writing.execute("CREATE TABLE posts AS SELECT 1 AS id")
            eventually(lambda: reading.execute("SELECT to_regclass('posts') IS NOT NULL").fetchone() == (True,))
            with pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
                reading.execute("INSERT INTO posts VALUES (2)")
            os.kill(running.part("postgres-reader-1").pid, signal.SIGKILL)
            running.wait_until_said("postgres-reader-1 died (killed by SIGKILL)")
            running.wait_until_said("again  process", within_s=90.0)
            eventually(lambda: posts_read_at(running, reader_endpoint) == 1, within_s=90.0)


def posts_read_at(running: Running, endpoint: str) -> int | None:
    """How many posts there are, to a client that comes now; None: nobody tells."""
    try:
        with connect(running, endpoint) as connection:
            row = connection.execute("SELECT count(*) FROM posts").fetchone()
    except psycopg.OperationalError:  # it came to a connection that was just ending
        return None
    return None if row is None else int(row[0])

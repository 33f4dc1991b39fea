"""PostgreSQL through the proxy: more requests than the database has connections, and data that stays."""

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import psycopg

from tests.e2e.running import RUNTIME, Running, bring_up, workshape
from workshape.shape.observations import CONNECTIONS_FOLDER_NAME, ConnectionSample
from workshape.store.json_lines import read_json_lines

PARALLEL = 60
MAX_CONNECTIONS = 20
REQUEST_S_MAX = 60.0
APP = f"""
[platform]
upstream = {{ dynamodb = "moto" }}

[functions.visits]
runtime = "{RUNTIME}"
handler = "visits.handle"
code = "code"
requirements = "requirements.txt"
timeout_s = 30
memory_mb = 256
database = "proxy"

[functions.holds]
runtime = "{RUNTIME}"
handler = "visits.handle"
code = "code"
requirements = "requirements.txt"
database = "direct"

[[routes]]
route = "POST /visits/{{visitor}}"
function = "visits"

[[routes]]
route = "POST /holds/{{visitor}}"
function = "holds"

[database]
name = "shop"
max_connections = {MAX_CONNECTIONS}
init_sql = "schema.sql"
"""
SCHEMA = "CREATE TABLE visits (visitor text PRIMARY KEY, address text NOT NULL);"
VISITS = """
import os

import psycopg

connection = psycopg.connect(os.environ["DATABASE_URL"], autocommit=True)


def handle(event, context):
    visitor = event["pathParameters"]["visitor"]
    connection.execute("INSERT INTO visits VALUES (%s, %s)", (visitor, event["requestContext"]["http"]["sourceIp"]))
    row = connection.execute("SELECT address, pg_sleep(1.5) FROM visits WHERE visitor = %s", (visitor,)).fetchone()
    return {"statusCode": 200, "body": row[0]}
"""


def visit(running: Running, visitors: list[str]) -> list[int]:
    """Let all of them come at the same time; return the statuses."""
    limits = httpx.Limits(max_connections=PARALLEL)
    with (
        httpx.Client(base_url=running.run.http, trust_env=False, timeout=REQUEST_S_MAX, limits=limits) as http,
        ThreadPoolExecutor(PARALLEL) as pool,
    ):
        return [answer.status_code for answer in pool.map(lambda visitor: http.post(f"/visits/{visitor}"), visitors)]


def samples(running: Running) -> list[ConnectionSample]:
    return list(read_json_lines(running.run.state.records / CONNECTIONS_FOLDER_NAME, ConnectionSample))


def counted(running: Running, metric: str) -> float:
    """Sum a metric of the function up over the last hour."""
    now = datetime.now(UTC)
    told = running.client("cloudwatch").get_metric_statistics(
        Namespace="AWS/Lambda",
        MetricName=metric,
        Dimensions=[{"Name": "FunctionName", "Value": "visits"}],
        StartTime=now - timedelta(hours=1),
        EndTime=now + timedelta(minutes=1),
        Period=60,
        Statistics=["Sum"],
    )
    return float(sum(point["Sum"] for point in told["Datapoints"]))


def test_more_functions_than_connections_are_served_and_the_data_stays(make_app: Callable[..., Path]) -> None:
    folder = make_app(APP, visits__py=VISITS, requirements__txt="psycopg[binary]>=3.2,<4\n")
    (folder / "schema.sql").write_text(SCHEMA)
    first = [f"first-{number}" for number in range(PARALLEL)]

    with bring_up(folder, "--no-follow") as running:
        statuses = visit(running, first)
        seen = samples(running)
        figures = json.loads(workshape("status", "--json", "--folder", str(folder))[1])["proxy"]
        scraped = httpx.get(f"{running.run.endpoint}/_workshape/metrics", trust_env=False).text
        said = workshape("logs", "visits", "--folder", str(folder), "--tail", "400")[1]
        workshape("down", str(folder))
    with bring_up(folder, "--no-follow") as running:
        again = visit(running, ["second"])
        invocations = counted(running, "Invocations")
        held = httpx.post(f"{running.run.http}/holds/third", trust_env=False, timeout=REQUEST_S_MAX).status_code
        killed = workshape("kill-connections", "--folder", str(folder))
        afterwards = visit(running, ["fourth"])
        direct = running.run.database_variables("direct", "visits")
        with psycopg.connect(direct["DATABASE_URL"]) as connection:
            visitors = {row[0] for row in connection.execute("SELECT visitor FROM visits")}

    assert statuses == [200] * PARALLEL, said
    assert {sample.max_connections for sample in seen} == {MAX_CONNECTIONS}
    assert 2 < max(sample.connections for sample in seen) < MAX_CONNECTIONS
    assert figures["ClientConnections"] > MAX_CONNECTIONS, "there was no crowd"
    assert figures["DatabaseConnections"] < MAX_CONNECTIONS
    assert f'workshape_proxy_queries_total{{proxy="workshape"}} {figures["QueryRequests"]}\n' in scraped
    assert 'workshape_proxy_client_connections{proxy="workshape"} ' in scraped
    assert again == [200]
    assert invocations == PARALLEL + 1, "the metrics outlive the engine"
    assert held == 200
    assert killed[0] == 0
    assert killed[1].splitlines()[0] == "ended 1 connection (1 of holds)"
    assert "of the proxy" in killed[1].splitlines()[1]
    assert afterwards == [200], "the proxy's connections were left alone"
    assert visitors == {*first, "second", "third", "fourth"}

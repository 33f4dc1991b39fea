"""What a proxy counts, endpoint by endpoint, and endpoints that come and go."""

import asyncio
from typing import Any

import psycopg
import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.integration.pgproxy.conftest import MakeProxy, Proxy
from workshape.metrics.distribution import Distribution
from workshape.metrics.exposition import exposition
from workshape.pgproxy.config import Endpoint
from workshape.pgproxy.prometheus import proxy_families
from workshape.settings import ProxySettings


async def connect(proxy: Proxy, port: int, **options: str) -> psycopg.AsyncConnection[Any]:
    return await psycopg.AsyncConnection.connect(f"{proxy.url(**options)} port={port}", autocommit=True)


async def test_clients_and_queries_are_counted_by_endpoint(make_proxy: MakeProxy) -> None:
    async with make_proxy(endpoints=(Endpoint(name="web"), Endpoint(name="reports"))) as proxy:
        port = await proxy.proxy.listen(Endpoint(name="jobs"))
        async with await proxy.connect(sslmode="require") as web, await connect(proxy, port, sslmode="disable") as job:
            await web.execute("SELECT 1")
            await web.execute("SELECT 2")
            await job.execute("SELECT 3")
            present = proxy.proxy.snapshot().figures("x")
        await proxy.until(lambda: proxy.proxy.snapshot().client_connections == 0)
        await proxy.until(lambda: proxy.proxy.snapshot().latencies.borrow_us.count >= 3)
        left = proxy.proxy.snapshot().figures("x")

    web_figures, jobs = present.endpoints["web"].values, present.endpoints["jobs"].values
    assert (web_figures["ClientConnectionsTLS"], web_figures["QueryRequestsTLS"]) == (1, 2)
    assert (jobs["ClientConnectionsNoTLS"], jobs["QueryRequestsNoTLS"]) == (1, 1)
    assert present.endpoints["reports"].values["ClientConnectionsReceived"] == 0
    assert present.values["QueryRequests"] == left.values["QueryRequests"] == 3
    assert (left.values["ClientConnections"], left.values["ClientConnectionsClosed"]) == (0, 2)
    assert Distribution.decoded(left.latencies_us["DatabaseConnectionsBorrowLatency"]).count >= 3


async def test_an_endpoint_that_goes_lets_nobody_in_and_nobody_fall(make_proxy: MakeProxy) -> None:
    async with make_proxy() as proxy:
        endpoint = Endpoint(name="jobs")
        port = await proxy.proxy.listen(endpoint)
        async with await connect(proxy, port) as client:
            proxy.proxy.stop_listening(endpoint)

            with pytest.raises(psycopg.OperationalError):
                await connect(proxy, port)
            cursor = await client.execute("SELECT 1")

            assert await cursor.fetchone() == (1,)


async def test_prometheus_reads_the_figures_of_several_proxies(make_proxy: MakeProxy) -> None:
    async with make_proxy() as proxy, await proxy.connect() as client:
        await client.execute("SELECT 1")
        figures = proxy.proxy.snapshot().figures("x")

    text = exposition(proxy_families([({"proxy": "one"}, figures), ({"proxy": "two"}, figures)])).decode()

    samples = {
        (sample.name, sample.labels["proxy"]): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }
    assert samples["workshape_proxy_queries_total", "two"] == 1
    assert samples["workshape_proxy_client_connections", "one"] == 1
    assert samples["workshape_proxy_borrow_seconds_count", "one"] >= 1
    assert samples["workshape_proxy_borrow_seconds_sum", "one"] < 60
    assert samples["workshape_proxy_response_seconds_count", "two"] == 1
    assert 0 < samples["workshape_proxy_database_response_seconds_sum", "two"] < 60


async def test_what_the_database_takes_is_told_from_what_clients_wait(make_proxy: MakeProxy) -> None:
    one_connection = ProxySettings(max_connections_percent=5, connection_borrow_timeout_s=30.0)
    async with make_proxy(one_connection) as proxy, await proxy.connect() as first, await proxy.connect() as second:
        await first.execute("SELECT 1")
        sleeping = asyncio.create_task(first.execute("SELECT pg_sleep(1.5)"))
        await proxy.until(lambda: proxy.proxy.snapshot().databases.borrowed == 1)
        await second.execute("SELECT 1")  # it waits for most of that time
        await sleeping
        await proxy.until(lambda: proxy.proxy.snapshot().latencies.response_us.count == 3)

    latencies = proxy.proxy.snapshot().latencies
    database, response = latencies.database_us, latencies.response_us
    assert (database.count, response.count) == (3, 3)
    assert 1_500_000 <= database.maximum < 30_000_000
    assert response.total - database.total == pytest.approx(latencies.borrow_us.maximum)
    assert response.percentile(50) > 500_000 > database.percentile(50)


async def test_each_statement_of_a_transaction_is_a_response_and_a_pipeline_is_one(make_proxy: MakeProxy) -> None:
    async with make_proxy() as proxy, await proxy.connect() as client:
        async with client.transaction():
            await client.execute("SELECT 1")
        await proxy.until(lambda: proxy.proxy.snapshot().databases.borrowed == 0)
        by_themselves = proxy.proxy.snapshot().latencies.response_us.count
        async with client.pipeline():
            await client.execute("SELECT pg_sleep(1)")  # else the answers may come one by one
            await client.execute("SELECT 2")
        await proxy.until(lambda: proxy.proxy.snapshot().databases.borrowed == 0)

    assert by_themselves == 3, "BEGIN, SELECT, COMMIT"
    assert proxy.proxy.snapshot().latencies.response_us.count == 4


async def test_what_the_proxy_asks_for_itself_is_nobodys_response(make_proxy: MakeProxy) -> None:
    async with make_proxy() as proxy:
        leaving = await proxy.connect()
        await leaving.execute("BEGIN")
        await leaving.close()
        await proxy.until(lambda: proxy.proxy.snapshot().idle == 1)
        async with await proxy.connect() as another:
            await another.execute("SET application_name TO 'x'")
            await another.execute("SELECT 1")
            await proxy.until(lambda: proxy.proxy.snapshot().idle == 1)

    assert proxy.proxy.snapshot().latencies.response_us.count == 3


async def test_latencies_are_told_by_endpoint_and_by_server(make_proxy: MakeProxy) -> None:
    async with make_proxy(endpoints=(Endpoint(name="web"), Endpoint(name="reports"))) as proxy:
        async with await proxy.connect() as web, await connect(proxy, proxy.ports[1]) as report:
            await web.execute("SELECT 1")
            await report.execute("SELECT pg_sleep(1)")
            await proxy.until(lambda: proxy.proxy.snapshot().latencies.response_us.count == 2)
        figures = proxy.proxy.snapshot().figures("x")

    encoded = {name: one.latencies_us for name, one in figures.endpoints.items()}
    encoded.update((name, one.latencies_us) for name, one in figures.targets.items())
    told = {name: Distribution.decoded(one["QueryDatabaseResponseLatency"]) for name, one in encoded.items()}
    assert {name: values.count for name, values in told.items()} == {"web": 1, "reports": 1, "main": 2}
    assert told["web"].maximum < 1_000_000 <= told["reports"].minimum == told["main"].maximum

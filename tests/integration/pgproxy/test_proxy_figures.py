"""What a proxy counts, endpoint by endpoint, and endpoints that come and go."""

from typing import Any

import psycopg
import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.integration.pgproxy.conftest import MakeProxy, Proxy
from workshape.metrics.distribution import Distribution
from workshape.metrics.exposition import exposition
from workshape.pgproxy.config import Endpoint
from workshape.pgproxy.prometheus import proxy_families


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
        await proxy.until(lambda: proxy.proxy.snapshot().counters.borrow_latency_us.count >= 3)
        left = proxy.proxy.snapshot().figures("x")

    web_figures, jobs = present.endpoints["web"], present.endpoints["jobs"]
    assert (web_figures["ClientConnectionsTLS"], web_figures["QueryRequestsTLS"]) == (1, 2)
    assert (jobs["ClientConnectionsNoTLS"], jobs["QueryRequestsNoTLS"]) == (1, 1)
    assert present.endpoints["reports"]["ClientConnectionsReceived"] == 0
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

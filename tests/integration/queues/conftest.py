"""A door with SQS behind it, on a folder of its own: one for a module's tests."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import boto3
import httpx
import pytest
import pytest_asyncio
from botocore.config import Config

from tests.fakes.sqs_clients import JsonClient, QueryClient, SqsClient
from workshape.aws.door import Door
from workshape.aws.sqs.service import sqs_service
from workshape.aws.upstream import Upstream
from workshape.clock import Clock
from workshape.http1.message import Request, Response
from workshape.queues.broker import Broker
from workshape.settings import Settings


@dataclass(frozen=True)
class Served:
    """The door's address, and the broker behind it."""

    endpoint: str
    broker: Broker
    http: httpx.AsyncClient
    boto: Any

    def client(self, protocol: str) -> SqsClient:
        """A client that speaks it."""
        return JsonClient(self.boto) if protocol == "json" else QueryClient(self.http)


async def _no_admin(_request: Request) -> Response:
    return Response(404)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def served(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Served]:
    settings = Settings()
    folder = tmp_path_factory.mktemp("queues")
    broker = await Broker.open(folder, Clock(), region=settings.region, account=settings.account, name_reuse_wait_s=0)
    door = Door([sqs_service(broker)], Upstream({}), settings=settings, admin=_no_admin, clock=Clock())
    server = await door.start("127.0.0.1", 0)
    endpoint = f"http://127.0.0.1:{server.port}"
    boto = boto3.client(
        "sqs",
        endpoint_url=endpoint,
        region_name="us-east-1",
        aws_access_key_id="test",
        aws_secret_access_key="test",
        config=Config(retries={"total_max_attempts": 1}),
    )
    async with httpx.AsyncClient(base_url=endpoint) as http:
        yield Served(endpoint, broker, http, boto)
    boto.close()
    await server.close()
    await broker.close()

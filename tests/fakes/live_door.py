"""A real front door in a thread of its own, on real catalogues and queues, so that blocking clients can be tested."""

import asyncio
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import boto3
from botocore.config import Config

from tests.fakes.api_means import means_of
from tests.fakes.invocations import FakeInvoke
from tests.fakes.provisioner import FakeProvisioner
from workshape.apis.addresses import is_for_an_api
from workshape.apis.http_apis import HttpApis
from workshape.apis.rest_apis import RestApis
from workshape.apis.usage_plans import UsagePlans
from workshape.aws.apigateway.service import rest_api_service
from workshape.aws.apigatewayv2.service import http_api_service
from workshape.aws.application_autoscaling.service import autoscaling_service
from workshape.aws.cloudwatch.service import cloudwatch_service
from workshape.aws.door import Door
from workshape.aws.lambda_.code_source import fetch_from
from workshape.aws.lambda_.destinations import accept_with
from workshape.aws.lambda_.service import lambda_service
from workshape.aws.logs.service import logs_service
from workshape.aws.rds.service import rds_service
from workshape.aws.signer import signer_for
from workshape.aws.sqs.service import sqs_service
from workshape.aws.upstream import Upstream
from workshape.clock import Clock
from workshape.functions.async_policy import event_policy, stops_loops
from workshape.functions.async_queue import AsyncQueue
from workshape.functions.autoscaling.autoscaler import Autoscaler
from workshape.functions.catalog import Catalog
from workshape.functions.code import CodeStore
from workshape.functions.function_metrics import FunctionMetrics
from workshape.functions.images.deployments import Deployments
from workshape.functions.images.store import ImageStore
from workshape.functions.log_groups import LogGroups
from workshape.functions.logs import FunctionLogs
from workshape.functions.loop_guard import LoopGuard
from workshape.functions.provisioned_configs import ProvisionedConfigs
from workshape.gateway.api_door import ApiDoor
from workshape.gateway.function_urls import FunctionUrls
from workshape.gateway.http_front import HttpFront
from workshape.gateway.metering import Metering
from workshape.gateway.rest_front import RestFront
from workshape.http1.message import Request, Response
from workshape.metrics.keeper import MetricKeeper
from workshape.proxies.addresses import choose_address
from workshape.proxies.model import Database, DatabaseInstance
from workshape.proxies.registry import Proxies
from workshape.queues.broker import Broker
from workshape.settings import EndpointSettings, FunctionSettings, Settings
from workshape.store.documents import Documents
from workshape.triggers.destinations import Destinations

T = TypeVar("T")
START_S_MAX = 20.0
DATABASE = Database(
    identifier="shop",
    arn="arn:aws:rds:us-east-1:123456789012:db:shop",
    user="owner",
    name="shop",
    instances=(
        DatabaseInstance(
            identifier="shop",
            arn="arn:aws:rds:us-east-1:123456789012:db:shop",
            host="127.0.0.1",
            port=5433,
            server="127.0.0.1:5432",
        ),
    ),
)
"""That proxies can stand before; nobody answers there."""
CLUSTER = Database(
    identifier="shop",
    arn="arn:aws:rds:us-east-1:123456789012:cluster:shop",
    user="owner",
    name="shop",
    instances=tuple(
        DatabaseInstance(
            identifier=f"shop-instance-{number}",
            arn=f"arn:aws:rds:us-east-1:123456789012:db:shop-instance-{number}",
            host=f"10.0.0.{number}",
            port=5432,
            server=f"10.0.0.{number}:5432",
        )
        for number in (1, 2, 3)
    ),
)
"""The same with two readers."""


class LiveDoor:
    """Starts when it is made; `close` it. What it owns may be looked at between requests."""

    def __init__(
        self,
        folder: Path,
        *,
        upstream: Mapping[str, str] | None = None,
        endpoint: EndpointSettings | None = None,
        ecr_registry: str = "",
        database: Database = DATABASE,
    ) -> None:
        self.folder = folder
        self.settings = Settings(
            endpoint=endpoint or EndpointSettings(), functions=FunctionSettings(ecr_registry=ecr_registry)
        )
        self.invoke = FakeInvoke(lambda name, qualifier: self.catalog.invocable(name, qualifier))
        self.catalog: Catalog
        self.events: AsyncQueue
        self.logs: FunctionLogs
        self.metrics: MetricKeeper
        self.provisioned: ProvisionedConfigs
        self.provisioner = FakeProvisioner()
        self.proxies: Proxies
        self.autoscaler: Autoscaler
        self.url = ""
        self._upstream = upstream or {}
        self._database = database
        self._ready = threading.Event()
        self._failure: BaseException | None = None
        self._loop = asyncio.new_event_loop()
        self._ended = asyncio.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        assert self._ready.wait(START_S_MAX), "the door did not start"
        if self._failure is not None:
            raise self._failure

    def client(self, service: str, **config: Any) -> Any:
        """A boto3 client of it."""
        return boto3.client(
            service,  # type: ignore[call-overload]  # any service by its name
            endpoint_url=self.url,
            region_name=self.settings.region,
            aws_access_key_id=config.pop("access_key", "anybody"),
            aws_secret_access_key=config.pop("secret_key", "anything"),
            config=Config(retries={"max_attempts": 0}, **config),
        )

    def call(self, function: Callable[..., T], *arguments: Any) -> T:
        """Call something on the door's own thread."""

        async def called() -> T:
            return function(*arguments)

        return asyncio.run_coroutine_threadsafe(called(), self._loop).result(START_S_MAX)

    def close(self) -> None:
        """End it; its folder stays."""
        self._loop.call_soon_threadsafe(self._ended.set)
        self._thread.join(START_S_MAX)
        assert not self._thread.is_alive()

    def _run(self) -> None:
        try:
            self._loop.run_until_complete(self._serve())
        except BaseException as error:  # noqa: BLE001 - handed to the test's thread
            self._failure = error
            self._ready.set()
        finally:
            self._loop.close()

    async def _serve(self) -> None:
        clock, settings = Clock(), self.settings
        store = Documents(self.folder / "store.sqlite")
        self.catalog = Catalog(
            store,
            CodeStore(self.folder / "code"),
            region=settings.region,
            account=settings.account,
            account_concurrency=settings.functions.account_concurrency,
            clock=clock,
        )
        images = Deployments(
            ImageStore(self.folder / "images", ecr_registry=settings.functions.ecr_registry), store, self.catalog
        )
        images.resume()
        self.events = AsyncQueue(
            store, self.invoke, clock, FunctionMetrics(), policy=partial(event_policy, self.catalog)
        )
        self.provisioned = ProvisionedConfigs(store, self.catalog, self.provisioner, clock)
        self.provisioned.begin()
        self.autoscaler = Autoscaler(store, self.provisioned, clock)
        broker = await Broker.open(self.folder / "queues", clock, region=settings.region, account=settings.account)
        destinations = Destinations(
            broker,
            self.events.accept,
            self.catalog.invocable,
            region=settings.region,
            account=settings.account,
        )
        self.proxies = Proxies(
            store,
            clock,
            region=settings.region,
            account=settings.account,
            database=self._database,
            choose_address=choose_address,
        )
        self.metrics = MetricKeeper(self.folder / "metrics.sqlite", clock)
        self.logs = FunctionLogs(self.folder / "logs")
        upstream = Upstream(self._upstream)
        fetch = fetch_from(upstream, settings)
        means = means_of(self.catalog, self.invoke, clock, signer_for("execute-api", settings, clock))
        http_apis, rest_apis, plans = HttpApis(store, clock), RestApis(store, clock), UsagePlans(store, clock)
        services = [
            lambda_service(
                self.catalog,
                self.invoke,
                None,
                stream=self.invoke.stream,
                events=self.events,
                fetch_object=fetch,
                provisioned=self.provisioned,
                images=images,
                accept_destination=accept_with(destinations),
                loops=LoopGuard(partial(stops_loops, self.catalog), FunctionMetrics(), clock),
            ),
            sqs_service(broker),
            cloudwatch_service(self.metrics, clock),
            logs_service(LogGroups(self.logs, self.catalog.log_group_of)),
            autoscaling_service(self.autoscaler, clock),
            rest_api_service(rest_apis, plans, means.authorizers.forget),
            http_api_service(http_apis, means.authorizers.forget),
            rds_service(self.proxies),
        ]
        front = HttpFront(means)
        apis = ApiDoor(http_apis, rest_apis, front, RestFront(means, plans, Metering()))
        signer = signer_for("lambda", settings, clock)
        urls = FunctionUrls(self.catalog, self.invoke, clock, stream=self.invoke.stream, authenticate=signer)
        door = Door(
            services,
            upstream,
            settings=settings,
            admin=_admin,
            clock=clock,
            function_urls=urls.answer,
            apis=apis.answer,
            is_for_an_api=is_for_an_api,
        )
        server = await door.start("127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{server.port}"
        running = asyncio.create_task(self.events.run())
        self._ready.set()
        await self._ended.wait()
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running
        await server.close()
        await means.close()
        await images.close()
        await upstream.close()
        await broker.close()
        self.metrics.close()
        self.logs.close()
        store.close()


async def _admin(request: Request) -> Response:
    return Response(200, (("content-type", "text/plain"),), f"admin {request.path}".encode())

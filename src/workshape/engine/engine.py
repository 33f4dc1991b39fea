"""One engine: front door, HTTP API, functions, queues, triggers, in the order in which they are opened.

Read `Engine._open` top to bottom: what is made later uses what was made before, and is closed first.
"""

import asyncio
import logging
from collections.abc import Callable
from contextlib import AsyncExitStack
from typing import Self

from workshape.apis.addresses import is_for_an_api
from workshape.app import model as app_model
from workshape.app.apply import apply
from workshape.aws.door import Door
from workshape.engine.app_catalogues import catalogues
from workshape.engine.delivery_parts import open_deliveries
from workshape.engine.event_parts import open_events
from workshape.engine.function_parts import open_functions
from workshape.engine.ground import open_ground
from workshape.engine.http_parts import open_http
from workshape.engine.observation import open_observation
from workshape.engine.proxy_parts import open_proxies
from workshape.engine.secret_parts import open_secrets
from workshape.engine.services import services
from workshape.engine.source_parts import open_queues, open_sources
from workshape.parts.readiness import names_taken_port
from workshape.run import RunFile

LAST_ANSWERS_S_MAX = 0.25
"""What is being answered as the engine ends, such as the last lines of a log that is followed, has so long."""

_log = logging.getLogger(__name__)


class Engine:
    """One engine. Enter it, `run` it until cancelled; leaving the context closes everything."""

    def __init__(self, run: RunFile, app: app_model.App | None) -> None:
        self._run_file = run
        self._app = app
        self._stack = AsyncExitStack()

    def __repr__(self) -> str:
        return f"<Engine {self._run_file.endpoint} app={self._app.name if self._app else None}>"

    async def __aenter__(self) -> Self:
        try:
            await self._open()
        except BaseException:
            await self._stack.aclose()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    async def run(self, ready: Callable[[], None] = lambda: None) -> None:
        """Apply the app, tell that it is `ready`, then serve until cancelled.

        Raises:
            WorkshapeError: the app cannot be applied. PortInUse: somebody else listens there.
        """
        settings = self._run_file.settings
        with names_taken_port(settings.host, settings.ports.endpoint, "endpoint"):
            door = await self._door.start(settings.host, settings.ports.endpoint)
        self._stack.push_async_callback(door.close, LAST_ANSWERS_S_MAX)
        self._stack.push_async_callback(self._functions.end)
        if self._app is not None:
            offered = catalogues(self._ground, self._functions, self._sources, self._deliveries, self._events)
            changes = await apply(self._app, offered)
            _log.info("app_applied", extra={"app": self._app.name, "changes": len(changes)})
        self._functions.provisioned.begin()
        await self._http.start(self._ground)
        await self._observation.start(self._ground)
        async with asyncio.TaskGroup() as group:
            for work in self._ground.work:
                group.create_task(work.run(), name=work.name)
            self._observation.admin.ready = True
            ready()

    async def _open(self) -> None:
        ground = self._ground = open_ground(self._run_file, self._stack)
        broker = await open_queues(ground)
        functions = self._functions = open_functions(ground)
        deliveries = self._deliveries = open_deliveries(ground, broker, functions)
        events = self._events = open_events(ground, deliveries)
        secrets = open_secrets(ground, functions)
        sources = self._sources = open_sources(ground, broker, functions, deliveries, secrets.secrets)
        http = self._http = open_http(ground, functions, self._app)
        proxies = open_proxies(ground)
        self._observation = open_observation(ground, self._app, functions, sources, deliveries, events, http, proxies)
        self._door = Door(
            services(ground, functions, sources, deliveries, events, http, proxies, secrets),
            ground.upstream,
            settings=ground.settings,
            admin=self._observation.admin.answer,
            clock=ground.clock,
            function_urls=http.urls.answer,
            hooks={"s3": deliveries.s3.answer},
            apis=http.apis.answer,
            is_for_an_api=is_for_an_api,
            storage_lets_in=deliveries.s3.lets_in,
        )

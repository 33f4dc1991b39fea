"""The link to the proxy process: has it run what there is, and hears what it runs and counts. A driver.

Every change is written to the plan and the process asked to read it; whenever the process says that it goes by another
plan, because it or the engine has been started again, it is asked once more.
"""

import asyncio
import logging
import os
from pathlib import Path

import httptools
import msgspec

from workshape.clock import Clock
from workshape.hosted import (
    RELOAD_PATH,
    STATE_PATH,
    HostedState,
    HostState,
    ProxyPlan,
    ServerState,
    TargetState,
    health_of_database,
)
from workshape.http1.client import HttpClient
from workshape.http1.message import Request
from workshape.identifiers import random_hex
from workshape.proxies.model import DEFAULT, DbProxy
from workshape.proxies.own_health import OwnHealth
from workshape.proxies.plan import hosted_proxies
from workshape.proxies.proxy_metrics import MeasuredTarget, ProxyMetrics
from workshape.proxies.registry import Proxies
from workshape.settings import ProxySettings
from workshape.status import ProxyFigures

POLL_S = 2.0  # how old figures may be
RETRY_S = 0.25  # while the process is being started, or a target is not available
ANSWER_S_MAX = 3.0  # another process of this machine; a scraper waits ten
APPLY_S_MAX = 15.0  # it reads secrets before it answers
FIGURES_PATH = "/_workshape/figures"

_log = logging.getLogger(__name__)


class ProxyHostLink:
    """Keeps the process and the registry of one mind. `run` it."""

    def __init__(
        self,
        proxies: Proxies,
        host: HttpClient,
        clock: Clock,
        *,
        plan_file: Path,
        settings: ProxySettings,
        of_app: tuple[DbProxy, HttpClient] | None = None,
    ) -> None:
        """`of_app` is the app's own proxy, and who tells its figures. The clients stay the caller's to close."""
        self.metrics = ProxyMetrics()
        self._proxies = proxies
        self._host = host
        self._clock = clock
        self._plan_file = plan_file
        self._settings = settings
        self._of_app = of_app
        self._health = OwnHealth()
        self._revision = ""
        self._changed = asyncio.Event()
        proxies.changed = self._plan_changed
        self._plan_changed()

    def __repr__(self) -> str:
        return f"<ProxyHostLink {self._host!r} revision={self._revision}>"

    async def run(self) -> None:
        """Tell and listen until cancelled."""
        path = RELOAD_PATH
        while True:
            self._changed.clear()
            revision = self._revision
            state = await self._ask(path)
            if state is None:
                self._proxies.told(HostState(), is_latest=False)
            else:
                self._proxies.told(await self._with_app(state), is_latest=state.revision == self._revision)
                self._observe()
            is_current = state is not None and state.revision == revision
            is_well = state is not None and all(one.target.is_available for one in state.proxies.values())
            try:
                async with asyncio.timeout(POLL_S if is_current and is_well else RETRY_S):
                    await self._changed.wait()
            except TimeoutError:
                pass
            path = STATE_PATH if is_current and revision == self._revision else RELOAD_PATH

    async def figures(self) -> list[tuple[str, ProxyFigures]]:
        """Ask every proxy for its figures, and return those of who answers, by name."""
        state = await self._with_app(await self._ask(STATE_PATH) or HostState())
        found = [(proxy.name, state.proxies.get(proxy.id)) for proxy in self._proxies.all()]
        return [(name, one.figures) for name, one in found if one is not None and one.figures is not None]

    def _plan_changed(self) -> None:
        self._revision = random_hex(16)
        proxies = hosted_proxies(self._proxies.to_run(), self._settings)
        _write(self._plan_file, ProxyPlan(self._revision, proxies))
        self._changed.set()

    async def _ask(self, path: str) -> HostState | None:
        method, answer_s_max = ("POST", APPLY_S_MAX) if path == RELOAD_PATH else ("GET", ANSWER_S_MAX)
        try:
            response = await self._host.send(Request(method, path, (("host", "proxy"),)), answer_s_max)
            assert isinstance(response.body, bytes), "the answer is short"
            return msgspec.json.decode(response.body, type=HostState)
        except (OSError, httptools.HttpParserError, msgspec.DecodeError) as error:
            _log.warning("proxy_host_silent", extra={"reason": str(error) or type(error).__name__})
            return None

    async def _with_app(self, state: HostState) -> HostState:
        """Add the app's own proxy to what is hosted."""
        if self._of_app is None:
            return state
        proxy, client = self._of_app
        figures: ProxyFigures | None = None
        servers: dict[str, ServerState] = {}
        try:
            response = await client.send(Request("GET", FIGURES_PATH, (("host", "proxy"),)), ANSWER_S_MAX)
            assert isinstance(response.body, bytes), "the answer is short"
            figures = msgspec.json.decode(response.body, type=ProxyFigures)
            servers = self._health.servers(figures)
            target = health_of_database(list(servers.values()))
        except (OSError, httptools.HttpParserError, msgspec.DecodeError) as error:
            target = TargetState("UNAVAILABLE", "PENDING_PROXY_CAPACITY", str(error) or type(error).__name__)
        own = HostedState({DEFAULT: ""}, target, figures, servers)
        return msgspec.structs.replace(state, proxies={**state.proxies, proxy.id: own})

    def _observe(self) -> None:
        now = self._clock.wall_s()
        kept: list[str] = []
        for proxy in self._proxies.all():
            state = self._proxies.hosted(proxy)
            if state is None:
                continue
            kept.append(proxy.name)
            targets = [
                MeasuredTarget(one.instance.identifier, one.instance.server, one.role, one.health.is_available)
                for one in self._proxies.targets(proxy)
            ]
            self.metrics.checked(proxy.name, targets, now)
            if state.figures is not None:
                self.metrics.observe(proxy.name, state.figures, targets, now)
        self.metrics.keep(kept)


def _write(path: Path, plan: ProxyPlan) -> None:
    """Write the plan, whole or not at all, readable by its owner only."""
    writing = path.with_suffix(".writing")
    writing.unlink(missing_ok=True)
    descriptor = os.open(writing, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as opened:
        opened.write(msgspec.json.format(msgspec.json.encode(plan), indent=2))
    writing.replace(path)

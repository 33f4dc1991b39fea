"""`workshape up`: bring an app up, follow it, and end it in order."""

import asyncio
import contextlib
import signal
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit, urlunsplit

import httpx
import msgspec
import typer
import uvloop
from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.text import Text

from workshape.app.model import App
from workshape.app.toml import APP_FILE_NAME, load_app
from workshape.cli.admin import ANSWER_S_MAX, LineFeeds
from workshape.cli.errors import reported
from workshape.cli.logs import log_text
from workshape.cli.platform import Platform, Wanted
from workshape.cli.runtime_notes import runtime_notes
from workshape.errors import NotFound
from workshape.parts.supervisor import Abandoned, Died, Started, SupervisorEvent
from workshape.run import RunFile
from workshape.settings import Ports, Settings
from workshape.status import EngineStatus

LISTEN_S_MAX = 5.0  # the logs do not come: then it is up without them
LAST_LINES_S_MAX = 2.0  # the engine has ended: whatever it has written is here
RECONNECT_S = 0.5  # the engine restarts: its logs are asked for again


@reported
def up(
    folder: Annotated[
        Path, typer.Argument(help=f"Where {APP_FILE_NAME} is; without one, the empty platform.")
    ] = Path(),
    port: Annotated[
        int | None, typer.Option("--port", min=0, max=65_535, help="The endpoint's port; 0: free ports for all.")
    ] = None,
    follow: Annotated[bool, typer.Option("--follow/--no-follow", help="Show the functions' logs.")] = True,
) -> None:
    """Bring an app up: its functions, queues, routes, database and proxy, and an AWS endpoint for all of it."""
    if not folder.is_dir():
        raise NotFound(kind="folder", name=str(folder))
    try:
        app, settings = load_app(folder)
    except FileNotFoundError:
        app, settings = None, Settings()
    uvloop.run(_up(Wanted(folder, with_port(settings, port), app), follow=follow))


def with_port(settings: Settings, port: int | None) -> Settings:
    """Apply `--port`: one port for the endpoint, or 0 for all."""
    if port is None:
        return settings
    ports = Ports(0, 0, 0, 0, 0, 0) if port == 0 else msgspec.structs.replace(settings.ports, endpoint=port)
    return msgspec.structs.replace(settings, ports=ports)


async def _up(wanted: Wanted, *, follow: bool) -> None:
    display = _Display(Console(soft_wrap=True))
    platform = Platform(wanted, display.event, display.progress)
    follower = _Follower(display) if follow else None
    working = asyncio.ensure_future(_work(platform, wanted, display, follower))
    loop = asyncio.get_running_loop()
    for name in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(name, working.cancel)
    try:
        with contextlib.suppress(asyncio.CancelledError):  # asked to end: that is no failure
            await working
    finally:
        for name in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            loop.add_signal_handler(name, lambda: None)  # a second Ctrl-C does not cut the end short
        display.stopping()
        if follower is not None:
            follower.expect_end()
        await platform.stop()
        if follower is not None:
            await follower.stop()
        display.stopped()


async def _work(platform: Platform, wanted: Wanted, display: "_Display", follower: "_Follower | None") -> None:
    app, functions = wanted.app, wanted.settings.functions
    with display.starting():
        run = await platform.start()
        notes = [] if app is None else await runtime_notes(app, allow_substitute=functions.allow_substitute)
    if follower is not None:
        # Whoever reads that it is up may invoke at once: no line of that is to be missed.
        await follower.start(run.endpoint)
    display.addresses(run, app, [*notes, *await _sandbox_notes(run.endpoint)])
    await platform.watch()


async def _sandbox_notes(endpoint: str) -> list[tuple[str, str]]:
    """Ask the engine why functions have no sandbox. One that does not answer is started again, and tells later."""
    async with httpx.AsyncClient(timeout=ANSWER_S_MAX, trust_env=False) as client:
        try:
            answer = (await client.get(f"{endpoint}/_workshape/status")).raise_for_status()
        except httpx.HTTPError:
            return []
    why_not = msgspec.json.decode(answer.content, type=EngineStatus).why_no_sandbox
    return [("sandbox", f"functions have none: {why_not}")] if why_not else []


class _Follower:
    """Shows log lines as they are written, for as long as the platform runs, to the last of them."""

    def __init__(self, display: "_Display") -> None:
        self._display = display
        self._listening = asyncio.Event()
        self._is_ending = False
        self._task: asyncio.Task[None] | None = None

    async def start(self, endpoint: str) -> None:
        """Begin, and return once no line is missed any more."""
        self._task = asyncio.create_task(self._follow(endpoint))
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(LISTEN_S_MAX):
                await self._listening.wait()

    def expect_end(self) -> None:
        """The platform is about to end: when it has, there is nobody to ask again."""
        self._is_ending = True

    async def stop(self) -> None:
        """Show what has been written and not been shown yet."""
        if self._task is not None:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(LAST_LINES_S_MAX):
                    await asyncio.wait({self._task})
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _follow(self, endpoint: str) -> None:
        waits = httpx.Timeout(5.0, read=None)  # nothing may be written for hours
        async with httpx.AsyncClient(timeout=waits, trust_env=False) as client:
            while not self._is_ending:
                with contextlib.suppress(httpx.HTTPError):
                    async with client.stream("GET", f"{endpoint}/_workshape/logs", params={"follow": "1"}) as response:
                        self._listening.set()
                        feeds = LineFeeds()
                        async for piece in response.aiter_text():
                            for line in feeds.feed(piece):
                                self._display.log(line)
                if not self._is_ending:
                    await asyncio.sleep(RECONNECT_S)


class _Display:
    """What the terminal shows. Without a terminal: the same lines, no spinner."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._began = time.monotonic()
        self._up = False
        self._has_begun = False
        self._spinner = Progress(
            SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn(), console=console, transient=True
        )
        self._task = self._spinner.add_task("starting")

    @contextlib.contextmanager
    def starting(self) -> Iterator[None]:
        """Show the spinner."""
        with self._spinner if self._console.is_terminal else contextlib.nullcontext():
            yield

    def progress(self, what: str) -> None:
        """Say what takes time."""
        if self._console.is_terminal:
            self._spinner.update(self._task, description=what)
        else:
            self._console.print(Text(what))

    def event(self, event: SupervisorEvent) -> None:
        """Say what became of a part."""
        self._has_begun = True
        match event:
            case Started(part, pid, took_s):
                again = " again" if self._up else ""
                self._console.print(Text.assemble(("✓ ", "green"), f"{part:<13} {took_s:5.1f} s{again}  process {pid}"))
            case Died(part, how, delay_s):
                text = f"{part} died ({how}); starting it again in {delay_s:g} s"
                self._console.print(Text.assemble(("! ", "yellow"), text))
            case Abandoned(part, reason):
                self._console.print(Text.assemble(("✗ ", "red"), f"{part}: {reason}"))

    def addresses(self, run: RunFile, app: App | None, notes: Sequence[tuple[str, str]]) -> None:
        """Say where it all is and how to talk to it."""
        self._up = True
        name = app.name if app is not None else "the empty platform"
        took_s = time.monotonic() - self._began
        lines = [("", f"{name} is up ({took_s:.1f} s)"), ("endpoint", run.endpoint), ("console", run.console)]
        if app is not None and app.routes:
            lines += [("HTTP API", run.http), *(("", f"{route.route} -> {route.function}") for route in app.routes)]
        if run.database is not None:
            lines.append(("database", shown_url(run.database.url)))
        if run.proxy is not None:
            lines.append(("proxy", shown_url(run.proxy.url)))
        if run.kafka:
            lines.append(("kafka", ",".join(run.kafka)))
        keys = run.settings.endpoint
        lines += [
            ("state", str(run.state.root)),
            *notes,
            *(("not kept", note) for note in run.in_memory),
            ("use it", f"export AWS_ENDPOINT_URL={run.endpoint} AWS_DEFAULT_REGION={run.settings.region}"),
            ("", f"export AWS_ACCESS_KEY_ID={keys.access_key} AWS_SECRET_ACCESS_KEY={keys.secret_key}"),
        ]
        for label, text in lines:
            colour = "bold red" if label == "missing" else "bold cyan"
            self._console.print(Text.assemble((f"{label:>9}  ", colour), text))

    def log(self, line: str) -> None:
        """Show a line of a function's log."""
        self._console.print(log_text(line, named=True))

    def stopping(self) -> None:
        """Say that the end has begun, where anything is to end."""
        if self._has_begun:
            self._console.print(Text("stopping"))

    def stopped(self) -> None:
        """Say that nothing runs any more."""
        if self._has_begun:
            self._console.print(Text("stopped"))


def shown_url(url: str) -> str:
    """Leave the password out: terminals are shared; it is in `.workshape/run.json`."""
    parts = urlsplit(url)
    address, user = parts.netloc.rpartition("@")[2], parts.netloc.partition(":")[0]
    return urlunsplit((parts.scheme, f"{user}@{address}", parts.path, "", "")) if parts.password else url

"""What a running engine tells about itself, below `/_workshape/` on the front door. `status.py` has the shapes."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from urllib.parse import parse_qs

import msgspec

from workshape.aws.logs.filter_pattern import compile_pattern
from workshape.backends import Selection
from workshape.errors import BackendUnavailable, CallerError, NotFound
from workshape.functions.catalog import Catalog
from workshape.functions.log_line import LogLine
from workshape.functions.log_reader import FOREVER_S, read_lines
from workshape.functions.log_selection import LogSelection
from workshape.functions.logs import FunctionLogs
from workshape.functions.model import FunctionName
from workshape.functions.telemetry_delivery import LISTENER_NAME
from workshape.http1.message import Connection, Request, Response
from workshape.http1.origins import is_from_a_web_page
from workshape.metrics.exposition import CONTENT_TYPE
from workshape.remedies import Remedies
from workshape.status import EngineStatus, Health

PREFIX = "/_workshape/"
KILL_CONNECTIONS = "kill-connections"
SIGNING_CERTIFICATE = "topics.pem"
"""What notifications of topics name as their SigningCertURL."""
FOR_EVERYBODY = frozenset({"health", SIGNING_CERTIFICATE})
"""What functions get, too. They may not read of others here, or end what others have, as the console's buttons do."""
TAIL_LINES_MAX = 10_000  # a bound on one answer; the files themselves are in the state folder

_JSON = (("content-type", "application/json"),)
_EXPOSITION = (("content-type", CONTENT_TYPE),)
_CERTIFICATE = (("content-type", "application/x-pem-file"),)
_TEXT = (("content-type", "text/plain; charset=utf-8"),)


class Admin:
    """Answers the admin API from the engine's own objects."""

    def __init__(
        self,
        *,
        app: str | None,
        status: Callable[[], Awaitable[EngineStatus]],
        catalog: Catalog,
        logs: FunctionLogs,
        scrape: Callable[[], Awaitable[bytes]],
        signing_certificate: Callable[[], bytes],
        remedies: Remedies,
        is_no_function: Callable[[Connection], bool],
    ) -> None:
        """`scrape` writes the figures as Prometheus reads them; `is_no_function` is shown whose requests come."""
        self._app = app
        self._status = status
        self._catalog = catalog
        self._logs = logs
        self._scrape = scrape
        self._signing_certificate = signing_certificate
        self._remedies = remedies
        self._is_no_function = is_no_function
        self.ready = False
        """Set once everything is applied: until then the health is 503."""

    def __repr__(self) -> str:
        return f"<Admin of {self._app} ready={self.ready}>"

    async def answer(self, request: Request) -> Response:
        """Answer one request."""
        what = request.path.removeprefix(PREFIX)
        if what not in FOR_EVERYBODY and self._is_a_functions(request):
            return _refusal(403, f"functions get {' and '.join(sorted(FOR_EVERYBODY))} here, and nothing else")
        if what == KILL_CONNECTIONS and request.method == "POST":
            if is_from_a_web_page(request):
                return _refusal(403, "a web page cannot ask for this: the console can, and workshape kill-connections")
            return await self._kill_connections(parse_qs(request.query))
        if request.method != "GET" or what == KILL_CONNECTIONS:
            return _refusal(405, f"{KILL_CONNECTIONS} takes POST, everything else GET")
        match what:
            case "health":
                health = Health("ready" if self.ready else "starting", self._app)
                return Response(200 if self.ready else 503, _JSON, msgspec.json.encode(health))
            case "status":
                return Response(200, _JSON, msgspec.json.encode(await self._status()))
            case "metrics":
                return Response(200, _EXPOSITION, await self._scrape())
            case _ if what == SIGNING_CERTIFICATE:
                return Response(200, _CERTIFICATE, self._signing_certificate())
            case "logs":
                return self._log_lines(parse_qs(request.query))
            case other:
                there = f"health, status, metrics, logs, {SIGNING_CERTIFICATE} and {KILL_CONNECTIONS}"
                return _refusal(404, f"there is no {PREFIX}{other}: {there} are there")

    def _is_a_functions(self, request: Request) -> bool:
        if request.header("host").partition(":")[0] == LISTENER_NAME:
            return True  # ours, and yet a function's: it has subscribed to telemetry, and named this port as its own
        return request.connection is not None and not self._is_no_function(request.connection)

    async def _kill_connections(self, query: dict[str, list[str]]) -> Response:
        function = query.get("function", [None])[-1]
        idle, everybody, dry = (query.get(name, [""])[-1] == "1" for name in ("idle", "all", "dry"))
        selection = Selection(function, idle_only=idle, everybody=everybody)
        try:
            ended = await self._remedies.kill_connections(selection, in_advance=dry)
        except NotFound as error:
            return _refusal(404, str(error))
        except BackendUnavailable as error:
            return _refusal(503, str(error))
        return Response(200, _JSON, msgspec.json.encode(ended))

    def _log_lines(self, query: dict[str, list[str]]) -> Response:
        name = query.get("function", [""])[-1]
        names = [function.name for function in self._catalog.list()]
        if name and name not in names:
            return _refusal(404, f"there is no function named {name}")
        try:
            tail = min(int(query.get("tail", ["0"])[-1]), TAIL_LINES_MAX)
            since = float(query.get("since", ["0"])[-1])
            pattern = query.get("filter", [""])[-1]
            matches = compile_pattern(pattern) if pattern else None
        except ValueError as error:
            return _refusal(400, f"tail and since are numbers: {error}")
        except CallerError as error:
            return _refusal(400, str(error))
        followed = query.get("follow", [""])[-1] == "1"
        wanted = [FunctionName(name)] if name else names
        selection = LogSelection(matches, query.get("request", [""])[-1])
        lines = self._stream(wanted, selection, since, max(tail, 0), is_named=not name, follow=followed)
        return Response(200, _TEXT, lines)

    async def _stream(
        self,
        names: Sequence[FunctionName],
        selection: LogSelection,
        since: float,
        tail: int,
        *,
        is_named: bool,
        follow: bool,
    ) -> AsyncIterator[bytes]:
        followed = None if is_named else names[0]
        async with self._logs.subscribe(followed) as lines:  # before the tail is read: nothing falls in between
            for line in await self._past(names, selection, since, tail):
                yield _text(line, named=is_named)
            if follow:
                async for line in lines:
                    if selection.takes(line):
                        yield _text(line, named=is_named)

    async def _past(
        self, names: Sequence[FunctionName], selection: LogSelection, since: float, tail: int
    ) -> list[LogLine]:
        """What is there already: the last lines that are wanted, `tail` of each function."""
        if selection.is_everything and not since:
            found = [line for name in names for line in self._logs.tail(name, tail)]
            return sorted(found, key=lambda line: line.time)
        files = {name: self._logs.files(name) for name in names}

        def search() -> list[LogLine]:
            found: list[LogLine] = []
            for name, paths in files.items():
                lines = read_lines(name, paths, min(max(since, 0.0), FOREVER_S), FOREVER_S)
                found += deque((line for line in lines if selection.takes(line)), maxlen=tail)
            return sorted(found, key=lambda line: line.time)

        return await asyncio.to_thread(search)


def _text(line: LogLine, *, named: bool) -> bytes:
    prefix = f"{line.function}\t" if named else ""
    dropped = f"{prefix}({line.dropped} lines were dropped: this reader is too slow)\n" if line.dropped else ""
    return f"{dropped}{prefix}{line.message}\n".encode()


def _refusal(status: int, message: str) -> Response:
    return Response(status, _JSON, msgspec.json.encode({"message": message}))

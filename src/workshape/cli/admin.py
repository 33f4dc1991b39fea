"""The running workshape, as the commands see it: found by its run file or an address, asked over the admin API.

The API is described in `workshape/status.py`, whose values these functions return.
"""

import contextlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import httpx
import msgspec
import typer

from workshape.errors import BackendUnavailable, CallerError, Invalid
from workshape.run import RunFile, StateFolder, is_running, read_run_file
from workshape.status import EndedConnections, EngineStatus, Figures, ProxyStatus

ANSWER_S_MAX = 10.0

FolderOption = Annotated[Path, typer.Option("--folder", help="Where the running one was started from.")]
EndpointOption = Annotated[
    str | None, typer.Option("--endpoint", help="Its address, instead of the folder: http://127.0.0.1:4566.")
]


class NotRunning(CallerError):
    """workshape is not running in {folder}: start it with `workshape up {folder}`"""

    folder: str


@dataclass(frozen=True, slots=True)
class Running:
    """Where to ask."""

    endpoint: str
    run: RunFile | None
    """None: only the address is known."""


def find_running(folder: Path, endpoint: str | None = None) -> Running:
    """Find the one that runs in a folder, or take the address as given.

    Raises:
        NotRunning: nothing runs there. Invalid: that is no address.
    """
    if endpoint is not None:
        if not endpoint.startswith(("http://", "https://")):
            raise Invalid(reason=f"--endpoint {endpoint}: give its address, as in http://127.0.0.1:4566")
        return Running(endpoint.rstrip("/"), None)
    run = running_from(folder)
    if run is None:
        raise NotRunning(folder=str(folder.resolve()))
    return Running(run.endpoint, run)


def running_from(folder: Path) -> RunFile | None:
    """The run file of what runs in a folder; None when nothing does (a file left behind does not count)."""
    try:
        run = read_run_file(StateFolder.of(folder.resolve()).run_file)
    except (FileNotFoundError, NotADirectoryError):
        return None
    return run if is_running(run.supervisor) else None


def engine_status(running: Running) -> EngineStatus:
    """Ask the engine.

    Raises:
        BackendUnavailable: it does not answer, or not as expected.
    """
    address = f"{running.endpoint}/_workshape/status"
    return msgspec.json.decode(_get(address), type=EngineStatus)


def proxy_figures(run: RunFile) -> Figures:
    """Ask the proxy; empty when there is none.

    Raises:
        BackendUnavailable: it does not answer, or not as expected.
    """
    if run.proxy is None:
        return {}
    address = f"http://{run.host}:{run.proxy.status_port}/_workshape/status"
    return msgspec.json.decode(_get(address), type=Figures)


def proxy_status(run: RunFile) -> ProxyStatus | None:
    """Ask the proxy for its pools and who holds what; None when there is none.

    Raises:
        BackendUnavailable: it does not answer, or not as expected.
    """
    if run.proxy is None:
        return None
    address = f"http://{run.host}:{run.proxy.status_port}/status"
    return msgspec.json.decode(_get(address), type=ProxyStatus)


@contextlib.contextmanager
def log_lines(
    running: Running,
    function: str | None,
    *,
    tail: int,
    follow: bool,
    since: float = 0.0,
    pattern: str = "",
    request_id: str = "",
) -> Iterator[Iterator[str]]:
    """Ask for log lines; they come as they are written when `follow` is set. `since` is Unix time.

    Raises:
        BackendUnavailable: it does not answer. Invalid: there is no such function, or the pattern is none.
    """
    parameters = {"tail": str(tail), "follow": str(int(follow)), "since": str(since)}
    given = {"function": function, "filter": pattern, "request": request_id}
    parameters |= {name: value for name, value in given.items() if value}
    # Nothing may be written for hours: only connecting is bounded.
    waits = httpx.Timeout(ANSWER_S_MAX, read=None if follow else ANSWER_S_MAX)
    address = f"{running.endpoint}/_workshape/logs"
    try:
        with (
            httpx.Client(timeout=waits, trust_env=False) as client,
            client.stream("GET", address, params=parameters) as response,
        ):
            if response.status_code == httpx.codes.NOT_FOUND:
                raise Invalid(reason=f"there is no function named {function}, or it has not run yet")
            if response.status_code == httpx.codes.BAD_REQUEST:
                raise Invalid(reason=msgspec.json.decode(response.read(), type=dict[str, str])["message"])
            response.raise_for_status()
            yield _lines(response.iter_text())
    except httpx.HTTPError as error:
        raise _unavailable(address, error) from error


def end_connections(
    running: Running, function: str | None, *, idle: bool, everybody: bool, in_advance: bool
) -> EndedConnections:
    """Have the engine end connections of the database, or only tell which it would.

    Raises:
        Invalid: it will not; the message is its own. BackendUnavailable: it does not answer, or cannot.
    """
    parameters = {"idle": str(int(idle)), "all": str(int(everybody)), "dry": str(int(in_advance))}
    if function is not None:
        parameters["function"] = function
    address = f"{running.endpoint}/_workshape/kill-connections"
    try:
        response = httpx.post(address, params=parameters, timeout=ANSWER_S_MAX, trust_env=False)
        if response.status_code in (httpx.codes.NOT_FOUND, httpx.codes.SERVICE_UNAVAILABLE):
            raise Invalid(reason=msgspec.json.decode(response.content, type=_Refusal).message)
        response.raise_for_status()
    except (httpx.HTTPError, msgspec.DecodeError) as error:
        raise _unavailable(address, error) from error
    return msgspec.json.decode(response.content, type=EndedConnections)


class LineFeeds:
    """Cuts text that comes in pieces at line feeds alone: a traceback is one line of a log, its own ends are `\\r`."""

    def __init__(self) -> None:
        self._rest = ""

    def feed(self, text: str) -> list[str]:
        """Take a piece, return the lines that it ends."""
        *lines, self._rest = f"{self._rest}{text}".split("\n")
        return lines


def _lines(pieces: Iterable[str]) -> Iterator[str]:
    feeds = LineFeeds()
    for piece in pieces:
        yield from feeds.feed(piece)


class _Refusal(msgspec.Struct):
    message: str


def _get(address: str) -> bytes:
    try:
        response = httpx.get(address, timeout=ANSWER_S_MAX, trust_env=False)
        response.raise_for_status()
    except httpx.HTTPError as error:
        raise _unavailable(address, error) from error
    return response.content


def _unavailable(address: str, error: Exception) -> BackendUnavailable:
    reason = str(error).rstrip(".") or type(error).__name__
    if isinstance(error, httpx.HTTPStatusError):
        reason = f"what answers there is something else (HTTP status {error.response.status_code})"
    return BackendUnavailable(backend="workshape", address=address, reason=reason)

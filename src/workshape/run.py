"""What a running workshape leaves for its parts and for the command line: where its state is, and where it answers.

`.workshape/run.json` is written by the supervisor (mode 0600: it holds passwords), read by the engine, the proxy and
every command, and removed when all has stopped. `.workshape/lock` is held for as long as the supervisor lives.
"""

import fcntl
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import msgspec

from workshape.errors import Conflict, Denied, Invalid
from workshape.settings import Settings

STATE_FOLDER_NAME = ".workshape"
EVERYWHERE = ("0.0.0.0", "::")  # noqa: S104 - compared with, not bound


@dataclass(frozen=True, slots=True)
class StateFolder:
    """The layout of `.workshape/`, in one place."""

    root: Path

    @classmethod
    def of(cls, folder: Path) -> "StateFolder":
        """The state of what runs from `folder`."""
        return cls(folder / STATE_FOLDER_NAME)

    def make(self) -> None:
        """Make the folder, out of version control's sight.

        Raises:
            Denied: it cannot be written.
        """
        ignore = self.root / ".gitignore"
        try:
            self.root.mkdir(parents=True, exist_ok=True)
            if not ignore.exists():
                ignore.write_text("*\n")
        except OSError as error:
            raise Denied(reason=f"the state cannot be kept in {self.root}: {error.strerror}") from error

    @property
    def run_file(self) -> Path:
        """Who runs, and where it answers."""
        return self.root / "run.json"

    @property
    def lock_file(self) -> Path:
        """Held by the supervisor."""
        return self.root / "lock"

    @property
    def store(self) -> Path:
        """`store/documents.py`'s file: functions, mappings, what the app file made."""
        return self.root / "store.sqlite"

    @property
    def environments(self) -> Path:
        """What `functions/launch/process.py` makes: runtimes' folders, roots of sandboxes, scratch space."""
        return self.root / "environments"

    @property
    def queues(self) -> Path:
        """The queues' journals."""
        return self.root / "queues"

    @property
    def records(self) -> Path:
        """Invocation records, the verdict's evidence."""
        return self.root / "records"

    @property
    def metrics(self) -> Path:
        """`metrics/archive.py`'s file: what CloudWatch tells."""
        return self.root / "metrics.sqlite"

    @property
    def event_archives(self) -> Path:
        """`store/timelines.py`'s file: the events in EventBridge's archives."""
        return self.root / "archives.sqlite"

    @property
    def logs(self) -> Path:
        """One file a function."""
        return self.root / "logs"

    @property
    def access_logs(self) -> Path:
        """One file a stage of an API that has an access log."""
        return self.root / "logs" / "apis"

    @property
    def part_logs(self) -> Path:
        """One file a part; apart from the functions', whose names are anybody's choice."""
        return self.root / "logs" / "parts"

    @property
    def tls(self) -> Path:
        """Our certificate authority and what it signed: `pgproxy/tls.py` makes the files."""
        return self.root / "tls"

    @property
    def ca_file(self) -> Path:
        """The authority's certificate: whom clients trust."""
        return self.tls / "ca.pem"

    def certificate_files(self, server: Literal["proxy", "database"]) -> tuple[Path, Path]:
        """A server's certificate and its key."""
        return self.tls / f"{server}.pem", self.tls / f"{server}.key"

    def proxy_handover(self, port: int) -> Path:
        """Where the proxy at this port waits for its successor: `pgproxy/handover.py`."""
        return self.root / f"proxy-{port}.sock"

    @property
    def proxy_plan(self) -> Path:
        """Which proxies made through RDS's API the proxy's process runs; a `ProxyPlan`."""
        return self.root / "proxies.json"

    @property
    def postgres(self) -> Path:
        """The embedded server's files and passwords."""
        return self.root / "postgres"

    @property
    def dynamodb(self) -> Path:
        """DynamoDB Local's tables."""
        return self.root / "dynamodb"

    @property
    def kafka(self) -> Path:
        """The Kafka broker's log of records."""
        return self.root / "kafka"

    @property
    def build(self) -> Path:
        """Functions made ready to run, one folder each."""
        return self.root / "build"

    @property
    def code(self) -> Path:
        """Functions' zip archives, unpacked."""
        return self.root / "code"

    @property
    def images(self) -> Path:
        """Functions' images, unpacked."""
        return self.root / "images"

    @property
    def database_log(self) -> Path:
        """The embedded server's own output."""
        return self.part_log("postgres")

    def part_log(self, part: str) -> Path:
        """Where a part's own output goes."""
        return self.part_logs / f"{part}.log"


class DatabaseRun(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The app's database, as functions and as the proxy reach it."""

    url: str
    """For a function with `database = "direct"`: with user and password, sslmode=verify-full when `ca_file` is set."""
    server_host: str
    """For the proxy: the server itself. TLS with it is as `url` says, and with the embedded server there is none."""
    server_port: int
    name: str
    user: str
    password: str
    embedded: bool
    """Ours; False: the user's own server."""
    ca_file: str | None = None
    """Whom to trust at `url`; None: leave it to the URL's own parameters."""
    max_connections: int | None = None
    """None: ask the server."""
    readers: tuple[tuple[str, int], ...] = ()
    """Hosts and ports of the servers that follow this one, reached as it is."""


class ProxyRun(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The proxy in front of the database; clients reach it at `Settings.ports.proxy`."""

    url: str
    """For a function with `database = "proxy"`: with user and password and sslmode=verify-full."""
    status_port: int
    """Where it answers GET /_workshape/status with its figures, on `Settings.host`."""
    certificate_file: str
    key_file: str
    ca_file: str
    """Whom clients trust at `url`."""


class ProxyHostRun(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The proxies made through RDS's API, in the proxy's process; `StateFolder.proxy_plan` says which."""

    status_port: int
    """Where the process tells the engine of them, on `Settings.host`."""


class ProcessMark(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A process, told apart from a later one that got the same id."""

    name: str
    pid: int
    started: str
    """The kernel's start time of it; empty where it cannot be read (not Linux)."""


class RunFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One running workshape."""

    folder: str
    state_folder: str
    settings: Settings
    """As given, but every port is the real one."""
    supervisor: ProcessMark
    app_file: str | None = None
    """None: the empty platform."""
    database: DatabaseRun | None = None
    proxy: ProxyRun | None = None
    proxy_host: ProxyHostRun | None = None
    """None: no database, so nothing that a proxy could stand before."""
    kafka: tuple[str, ...] = ()
    """HOST:PORT of the servers of the app's Kafka cluster."""
    upstream: dict[str, str] = {}
    """URLs by AWS service (`dynamodb`), and `default` for all others; a service that is in neither is not answered."""
    in_memory: tuple[str, ...] = ()
    """What does not outlive this run, in words."""
    builds: dict[str, str] = {}
    """The folder (or zip) to run each of the app's functions from."""
    children: tuple[ProcessMark, ...] = ()

    @property
    def endpoint(self) -> str:
        """The front door's URL."""
        return f"http://{self.host}:{self.settings.ports.endpoint}"

    @property
    def http(self) -> str:
        """The URL of the app's HTTP API."""
        return f"http://{self.host}:{self.settings.ports.http}"

    @property
    def console(self) -> str:
        """The URL of the console."""
        return f"http://{console_host(self.settings)}:{self.settings.ports.console}"

    @property
    def host(self) -> str:
        """The address at which programs of this machine reach every port."""
        return reached_at(self.settings.host)

    def kafka_variables(self) -> dict[str, str]:
        """The environment variables of a function of an app with a Kafka cluster."""
        return {"KAFKA_BOOTSTRAP_SERVERS": ",".join(self.kafka)} if self.kafka else {}

    def database_variables(self, use: Literal["proxy", "direct"] | None, function: str) -> dict[str, str]:
        """The environment variables of a function that uses the database that way.

        PGAPPNAME is how its connections say whose they are, to the clients that know it (libpq's and node-postgres);
        our own URLs say it to the others.
        """
        if use is None or self.database is None:
            return {}
        way = self.proxy if use == "proxy" and self.proxy is not None else self.database
        is_own = way is self.database and not self.database.embedded
        url = way.url if is_own else f"{way.url}&application_name={function}"
        ca_file = {} if way.ca_file is None else {"DATABASE_CA_FILE": way.ca_file}
        return {"DATABASE_URL": url, "PGAPPNAME": function, **ca_file}

    def files_of_functions(self) -> list[str]:
        """The files outside of their code that functions are told to read."""
        ways = (self.database, self.proxy)
        return [way.ca_file for way in ways if way is not None and way.ca_file is not None]

    @property
    def state(self) -> StateFolder:
        """Where its state is."""
        return StateFolder(Path(self.state_folder))


def reached_at(host: str) -> str:
    """The address at which programs of this machine reach a server that listens at `host`."""
    return "127.0.0.1" if host in EVERYWHERE else host


def console_host(settings: Settings) -> str:
    """The address the console listens at: wherever all else does, it stays on this machine."""
    return settings.host if settings.host.startswith("127.") else "127.0.0.1"


def write_run_file(run: RunFile) -> None:
    """Write `.workshape/run.json`, whole or not at all, readable by its owner only."""
    path = run.state.run_file
    writing = path.with_suffix(".writing")
    writing.unlink(missing_ok=True)
    descriptor = os.open(writing, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as opened:
        opened.write(msgspec.json.format(msgspec.json.encode(run), indent=2))
    writing.replace(path)


def read_run_file(path: Path) -> RunFile:
    """Read it.

    Raises:
        FileNotFoundError: nothing runs from there. Invalid: the file is another version's, or damaged.
    """
    try:
        return msgspec.json.decode(path.read_bytes(), type=RunFile)
    except msgspec.DecodeError as error:
        reason = f"{path} cannot be read ({error}); if nothing runs any more, remove it"
        raise Invalid(reason=reason) from error


def mark_process(name: str, pid: int) -> ProcessMark:
    """Note a running process."""
    return ProcessMark(name, pid, _start_time(pid))


def is_running(mark: ProcessMark) -> bool:
    """Tell whether that very process still runs."""
    try:
        os.kill(mark.pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # somebody else's: alive, and ours only if the start time says so
        pass
    return _start_time(mark.pid) == mark.started


class AlreadyRunning(Conflict):
    """workshape already runs in {folder} (process {pid}): stop it with `workshape down {folder}`"""

    folder: str
    pid: int


class Lock:
    """The right to run in a folder. The kernel gives it back when the process ends, however it ends."""

    def __init__(self, state: StateFolder) -> None:
        """Take it.

        Raises:
            AlreadyRunning: another process has it.
        """
        self._descriptor = os.open(state.lock_file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            holder = os.read(self._descriptor, 32).decode(errors="replace").strip()
            os.close(self._descriptor)
            raise AlreadyRunning(folder=str(state.root.parent), pid=holder or "unknown") from error
        os.ftruncate(self._descriptor, 0)
        os.write(self._descriptor, str(os.getpid()).encode())

    def release(self) -> None:
        """Give it back."""
        os.close(self._descriptor)


def _start_time(pid: int) -> str:
    """Field 22 of /proc/PID/stat; the name in field 2 may hold spaces and parentheses, so count from its end.

    A zombie (state Z) is dead to us. Source: https://man7.org/linux/man-pages/man5/proc_pid_stat.5.html
    """
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return ""
    return "" if fields[0] == "Z" else fields[19]

"""Hooks: from an upload or a publication to the function that hears of it, and what that costs the uploader.

One caller at a time, its connection kept. Each notification is on disk before the upload is answered. Beside it stands
what the upload costs without the hook, and without the front door: moto's server, which keeps the objects.

    python -m benchmarks.hooks [--json FILE] [--peers]

`--peers` also measures ministack, an emulator that runs functions without Docker, keeps nothing on disk and isolates
nothing; it is installed from PyPI into a temporary environment.
"""

import http.client
import json
import os
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import venv
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit
from zipfile import ZipFile, ZipInfo

import boto3

from benchmarks.report import Report, main
from workshape.cli.ports import free_ports

ROUNDS = 200
WARM_UPS = 10
START_S_MAX = 120.0  # installing a peer included
HEARD_S_MAX = 10.0
BODY = b"x" * 1_000
BUCKET, TOPIC, QUEUE, FUNCTION = "bench-hooks", "bench-hooks", "bench-hooks", "hear"
TOLD, UNTOLD, QUEUED = "told/", "untold/", "queued/"
ACCOUNT, REGION = "123456789012", "us-east-1"
ROLE = f"arn:aws:iam::{ACCOUNT}:role/r"
RUNTIME = f"python{sys.version_info.major}.{sys.version_info.minor}"
SOURCE = """
import os
import socket
import time

told = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)


def handler(event, context):
    record = event["Records"][0]
    name = record["s3"]["object"]["key"] if "s3" in record else record["Sns"]["Message"]
    told.sendto(f"{name} {time.monotonic()}".encode(), ("127.0.0.1", int(os.environ["HEARD_AT"])))
"""
APP = """
[platform]
ports = { endpoint = 0, http = 0 }
upstream = { dynamodb = "moto" }

[platform.functions]
allow_substitute = true
"""


class Server:
    """An AWS endpoint, asked over one kept connection: the server is measured, not a client."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._connection = http.client.HTTPConnection(urlsplit(url).netloc)

    def client(self, service: str) -> Any:
        """A boto3 client, for what is set up."""
        keys = {"aws_access_key_id": "test", "aws_secret_access_key": "test"}
        return boto3.client(service, endpoint_url=self.url, region_name=REGION, **keys)  # type: ignore[call-overload]

    def put(self, key: str) -> None:
        """Upload an object."""
        self._ask("PUT", f"/{BUCKET}/{key}", BODY, "s3", {})

    def publish(self, topic: str, message: str) -> None:
        """Publish a message."""
        form = {"Action": "Publish", "Version": "2010-03-31", "TopicArn": topic, "Message": message}
        kind = {"Content-Type": "application/x-www-form-urlencoded"}
        self._ask("POST", "/", urlencode(form).encode(), "sns", kind)

    def _ask(self, method: str, path: str, body: bytes, service: str, headers: dict[str, str]) -> None:
        scope = f"test/20260101/{REGION}/{service}/aws4_request"
        authorization = f"AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders=host, Signature=0"
        dated = {"X-Amz-Date": "20260101T000000Z", "Authorization": authorization, **headers}
        self._connection.request(method, path, body, dated)
        answer = self._connection.getresponse()
        text = answer.read()
        if answer.status != 200:
            raise RuntimeError(f"{method} {path}: {answer.status} {text[:300]!r}")


class Ear:
    """Where functions report that they were invoked."""

    def __init__(self) -> None:
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", 0))
        self._socket.settimeout(HEARD_S_MAX)
        self.port = int(self._socket.getsockname()[1])

    def wait_for(self, name: str) -> float:
        """Return when a function was invoked for that name, by the clock that all processes share."""
        while True:
            told, at = self._socket.recv(1_024).decode().split()
            if told == name:
                return float(at)


def run(report: Report) -> None:
    """Measure workshape, moto alone, and a peer where one is asked for."""
    ear = Ear()
    with tempfile.TemporaryDirectory() as folder, _workshape(Path(folder)) as (server, moto):
        topic = _set_up(server, ear)
        bare = _timed(lambda name: moto.put(f"{UNTOLD}{name}"))
        through = _timed(lambda name: server.put(f"{UNTOLD}{name}"))
        hooked, heard = _heard(lambda name: server.put(f"{TOLD}{name}"), ear, TOLD)
        queued = _timed(lambda name: server.put(f"{QUEUED}{name}"))
        published, told = _heard(lambda name: server.publish(topic, name), ear, "")
    peer: tuple[list[float], list[float]] | None = None
    if report.with_peers:
        with tempfile.TemporaryDirectory() as folder, _ministack(Path(folder)) as other:
            _set_up(other, ear)
            peer = _heard(lambda name: other.put(f"{TOLD}{name}"), ear, TOLD)
    _row(report, "PutObject, nobody is told", through, "moto without the front door", bare)
    _row(report, "PutObject, a queue is told", queued, "nobody is told", through)
    _row(report, "PutObject, a function is told", hooked, "nobody is told", through)
    _row(report, "PutObject to its function", heard, *(("ministack", peer[1]) if peer is not None else ("", None)))
    if peer is not None:
        _row(report, "PutObject, a function is told", hooked, "ministack", peer[0])
    _row(report, "Publish to a topic of one function", published)
    _row(report, "Publish to that function", told)


def _row(report: Report, measure: str, times: list[float], peer: str = "", beside: list[float] | None = None) -> None:
    value = statistics.median(times) * 1_000
    if beside is None:
        report.add(f"{measure}, p50", value, "ms")
        return
    other = statistics.median(beside) * 1_000
    report.add(f"{measure}, p50", value, "ms", f"{peer} {other:.2f} ms", value / other)


def _timed(call: Callable[[str], None]) -> list[float]:
    times = []
    for number in range(WARM_UPS + ROUNDS):
        started = time.perf_counter()
        call(str(number))
        times.append(time.perf_counter() - started)
    return times[WARM_UPS:]


def _heard(call: Callable[[str], None], ear: Ear, prefix: str) -> tuple[list[float], list[float]]:
    """Return how long each call took, and how long until its function was invoked: before the call's answer, maybe."""
    calls, invocations = [], []
    for number in range(WARM_UPS + ROUNDS):
        started = time.monotonic()
        call(str(number))
        calls.append(time.monotonic() - started)
        invocations.append(ear.wait_for(f"{prefix}{number}") - started)
    return calls[WARM_UPS:], invocations[WARM_UPS:]


def _set_up(server: Server, ear: Ear) -> str:
    """Make a function, a bucket that tells it and a queue, and a topic of which it gets everything."""
    packed = BytesIO()
    with ZipFile(packed, "w") as archive:
        entry = ZipInfo("app.py")
        entry.external_attr = 0o644 << 16
        archive.writestr(entry, SOURCE)
    function = server.client("lambda").create_function(
        FunctionName=FUNCTION,
        Runtime=RUNTIME,
        Handler="app.handler",
        Role=ROLE,
        MemorySize=1_769,
        Timeout=10,
        Code={"ZipFile": packed.getvalue()},
        Environment={"Variables": {"HEARD_AT": str(ear.port)}},
    )["FunctionArn"]
    queues = server.client("sqs")
    url = queues.create_queue(QueueName=QUEUE)["QueueUrl"]
    queue = queues.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    server.client("s3").create_bucket(Bucket=BUCKET)
    created = ["s3:ObjectCreated:*"]
    server.client("s3").put_bucket_notification_configuration(
        Bucket=BUCKET,
        NotificationConfiguration={
            "LambdaFunctionConfigurations": [
                {"LambdaFunctionArn": function, "Events": created, "Filter": _prefix(TOLD)},
            ],
            "QueueConfigurations": [{"QueueArn": queue, "Events": created, "Filter": _prefix(QUEUED)}],
        },
    )
    topic = str(server.client("sns").create_topic(Name=TOPIC)["TopicArn"])
    server.client("sns").subscribe(TopicArn=topic, Protocol="lambda", Endpoint=function)
    return topic


def _prefix(value: str) -> dict[str, Any]:
    return {"Key": {"FilterRules": [{"Name": "prefix", "Value": value}]}}


@contextmanager
def _workshape(folder: Path) -> Iterator[tuple[Server, Server]]:
    """`workshape up` with nothing in it; also the moto behind it."""
    (folder / "workshape.toml").write_text(APP)
    with _process([sys.executable, "-m", "workshape", "up", str(folder)], os.environ) as process:
        state = folder / ".workshape" / "run.json"
        _wait(process, lambda: state.exists() and _answers(_read(state)["endpoint"], "/_workshape/health"))
        told = _read(state)
        yield Server(told["endpoint"]), Server(told["moto"])


@contextmanager
def _ministack(folder: Path) -> Iterator[Server]:
    venv.create(folder / "venv", with_pip=True)
    binary = folder / "venv" / "bin"
    subprocess.run([binary / "pip", "install", "--quiet", "ministack"], check=True)
    [port] = free_ports("127.0.0.1", 1)
    with _process([str(binary / "ministack")], {**os.environ, "GATEWAY_PORT": str(port)}) as process:
        _wait(process, lambda: _answers(f"http://127.0.0.1:{port}", "/_ministack/health"))
        yield Server(f"http://127.0.0.1:{port}")


@contextmanager
def _process(command: list[str], environment: Any) -> Iterator["subprocess.Popen[bytes]"]:
    process = subprocess.Popen(
        command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    )
    try:
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(30)


def _read(state: Path) -> dict[str, str]:
    run_file = json.loads(state.read_text())
    endpoint = f"http://127.0.0.1:{run_file['settings']['ports']['endpoint']}"
    return {"endpoint": endpoint, "moto": run_file["upstream"]["default"]}


def _answers(url: str, path: str) -> bool:
    try:
        connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=2)
        connection.request("GET", path)
        return connection.getresponse().status == 200
    except OSError:
        return False


def _wait(process: "subprocess.Popen[bytes]", ready: Callable[[], bool]) -> None:
    deadline = time.monotonic() + START_S_MAX
    while not ready():
        if process.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError(f"{process.args!r} did not come up")
        time.sleep(0.1)


if __name__ == "__main__":
    main("hooks", run, has_peers=True)

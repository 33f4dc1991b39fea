"""Other local Lambdas, installed for a benchmark into a folder of its own, where the registries can be reached.

Both run here as they do without Docker, and keep functions apart from neither the machine nor each other:

- ministack (PyPI): an emulator; a worker process for each environment, which it speaks to over pipes. No Runtime API.
- serverless-offline (npm), with Serverless 3, the last that runs without an account: Node.js handlers run in worker
  threads of its own process, Python's in a process that it speaks to over pipes. No Runtime API.

Neither looks at signatures unless told to. `lambda-local` (npm) is no peer for this: it runs one event and ends.
"""

import asyncio
import os
import signal
import sys
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from zipfile import ZipFile

import boto3

from benchmarks.http_load import BODY
from workshape.cli.ports import free_ports
from workshape.http1.client import HttpClient
from workshape.http1.message import Request

MINISTACK = "ministack==1.5.33"
SERVERLESS = ("serverless@3.40.0", "serverless-offline@13.9.0")
INSTALL_S_MAX = 300.0
START_S_MAX = 60.0
FIRST_S_MAX = 60.0
PYTHON = f"python{sys.version_info.major}.{sys.version_info.minor}"
RUNTIMES = (PYTHON, "nodejs20.x")
FRESH = 9
"""Functions that are invoked once, to see what the first invocation takes."""


class PeerMissing(Exception):
    """It cannot be had here."""


@dataclass(frozen=True, slots=True)
class Peer:
    """One of them, running, and a function that returns its event."""

    name: str
    runtime: str
    port: int
    pid: int
    path: str
    fresh: Sequence[str]
    """Functions like it that nobody has invoked."""

    async def first_ms(self) -> list[float]:
        """Time the first invocation of each fresh function."""
        client, times = HttpClient("127.0.0.1", self.port), []
        for path in self.fresh:
            begun = time.perf_counter()
            answer = await client.send(_request(self.port, path), FIRST_S_MAX)
            assert answer.status == 200, answer
            times.append((time.perf_counter() - begun) * 1_000)
        await client.close()
        return times


async def peers(folder: Path, code: Mapping[str, str]) -> AsyncIterator[Peer | str]:
    """Give each while it runs, or why one is missing. `code` is its files, with `app.handler`."""
    for run in (_ministack, _serverless_offline):
        try:
            async with run(folder / run.__name__, code) as started:
                for peer in started:
                    yield peer
        except (PeerMissing, OSError, TimeoutError) as error:
            yield f"{run.__name__.strip('_').replace('_', '-')} is not measured: {str(error) or type(error).__name__}"


@asynccontextmanager
async def _ministack(folder: Path, code: Mapping[str, str]) -> AsyncIterator[list[Peer]]:
    await _run(sys.executable, "-m", "venv", str(folder))
    await _run(str(folder / "bin" / "pip"), "install", "--quiet", MINISTACK)
    [port] = free_ports("127.0.0.1", 1)
    variables = {"GATEWAY_PORT": str(port), "LAMBDA_EXECUTOR": "local", "LOG_LEVEL": "ERROR"}
    async with _started([str(folder / "bin" / "ministack")], folder, variables) as pid:
        names = {runtime: [f"f{each}-{runtime[:6]}" for each in range(FRESH + 1)] for runtime in RUNTIMES}
        async with asyncio.timeout(START_S_MAX):
            await _until_listening(port)
            await asyncio.to_thread(_create, port, names, code)
        paths = {runtime: [_path(name) for name in names[runtime]] for runtime in names}
        yield [Peer("ministack", kind, port, pid, first, fresh) for kind, (first, *fresh) in paths.items()]


@asynccontextmanager
async def _serverless_offline(folder: Path, code: Mapping[str, str]) -> AsyncIterator[list[Peer]]:
    folder.mkdir()
    await _run("npm", "install", "--no-audit", "--no-fund", "--prefix", str(folder), *SERVERLESS)
    [port] = free_ports("127.0.0.1", 1)
    names = {runtime: [f"f{each}{runtime[:6]}" for each in range(FRESH + 1)] for runtime in RUNTIMES}
    tables = [f"  {name}: {{handler: app.handler, runtime: {kind}}}" for kind in names for name in names[kind]]
    lines = [
        "service: peer",
        "frameworkVersion: '3'",
        "provider: {name: aws, region: us-east-1}",
        "plugins: [serverless-offline]",
        f"custom: {{serverless-offline: {{lambdaPort: {port}, httpPort: {free_ports('127.0.0.1', 1)[0]}}}}}",
        "functions:",
    ]
    (folder / "serverless.yml").write_text("\n".join([*lines, *tables, ""]))
    for name, text in code.items():
        (folder / name).write_text(text)
    program = [str(folder / "node_modules" / ".bin" / "serverless"), "offline", "start"]
    variables = {"SLS_TELEMETRY_DISABLED": "1", "SLS_NOTIFICATIONS_MODE": "off", "HOME": str(folder)}
    async with _started(program, folder, variables) as pid:
        async with asyncio.timeout(START_S_MAX):
            await _until_listening(port)
        paths = {runtime: [_path(f"peer-dev-{name}") for name in names[runtime]] for runtime in names}
        yield [Peer("serverless-offline", kind, port, pid, first, fresh) for kind, (first, *fresh) in paths.items()]


def _create(port: int, names: Mapping[str, Sequence[str]], code: Mapping[str, str]) -> None:
    packed = BytesIO()
    with ZipFile(packed, "w") as archive:
        for name, text in code.items():
            archive.writestr(name, text)
    client = boto3.client(
        "lambda",
        endpoint_url=f"http://127.0.0.1:{port}",
        region_name="us-east-1",
        aws_access_key_id="workshape",
        aws_secret_access_key="workshape",
    )
    role = "arn:aws:iam::000000000000:role/r"
    for runtime, functions in names.items():
        for name in functions:
            client.create_function(
                FunctionName=name,
                Runtime=runtime,
                Role=role,
                Handler="app.handler",
                Code={"ZipFile": packed.getvalue()},
            )


@asynccontextmanager
async def _started(program: Sequence[str], folder: Path, variables: Mapping[str, str]) -> AsyncIterator[int]:
    """Run a program with whatever it starts, all of which ends with it."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"
    with (folder / "log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            *program,
            cwd=folder,
            env={**os.environ, "PATH": path, **variables},
            stdin=asyncio.subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    try:
        yield process.pid
    finally:
        os.killpg(process.pid, signal.SIGKILL)  # its own group: what it has started is in it
        await process.wait()


async def _run(*arguments: str) -> None:
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"
    process = await asyncio.create_subprocess_exec(
        *arguments,
        env={**os.environ, "PATH": path},
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(INSTALL_S_MAX):
        _, said = await process.communicate()
    if process.returncode != 0:
        last = said.decode(errors="replace").strip().splitlines()[-1:]
        raise PeerMissing(f"{' '.join(arguments[:2])}: {' '.join(last)}")


async def _until_listening(port: int) -> None:
    while True:
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            await asyncio.sleep(0.1)
            continue
        writer.close()
        return


def _path(function: str) -> str:
    return f"/2015-03-31/functions/{function}/invocations"


def _request(port: int, path: str) -> Request:
    headers = (("host", f"127.0.0.1:{port}"), ("content-type", "application/json"))
    return Request("POST", path, headers, BODY)

"""Apache Kafka: one real broker, its own controller too (KRaft), with its log in a folder.

It speaks without encryption and authentication, to this machine. Topics come into being when they are first used, as
a broker does by default.

Source: https://kafka.apache.org/41/documentation.html#kraft
"""

import asyncio
import base64
import contextlib
import os
import uuid
from pathlib import Path

from workshape.parts.jars import find_java, resolve_jars
from workshape.parts.process import PartFailed, Program, Server, accepts, log_excerpt

COORDINATE = "org.apache.kafka:kafka_2.13:4.1.0+org.slf4j:slf4j-simple:1.7.36"
BROKER_CLASS, FORMAT_CLASS = "kafka.Kafka", "kafka.tools.StorageTool"
JAVA_VERSION_MIN = 17
EXTRA = "kafka"
READY_S_MAX = 60.0
FORMAT_S_MAX = 60.0
CONFIG_NAME = "server.properties"

_CONFIG = {
    "process.roles": "broker,controller",
    "node.id": "1",
    "controller.listener.names": "CONTROLLER",
    "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
    # One broker holds the only copy of everything.
    "offsets.topic.replication.factor": "1",
    "transaction.state.log.replication.factor": "1",
    "transaction.state.log.min.isr": "1",
    "share.coordinator.state.topic.replication.factor": "1",
    "share.coordinator.state.topic.min.isr": "1",
    # Few files for what keeps the groups' offsets, and no wait for more members of a group.
    "offsets.topic.num.partitions": "1",
    "transaction.state.log.num.partitions": "1",
    "share.coordinator.state.topic.num.partitions": "1",
    "group.initial.rebalance.delay.ms": "0",
}


async def kafka_broker(*, host: str, port: int, controller_port: int, data_folder: Path, log_file: Path) -> Server:
    """Make the part, its log in `data_folder` (which exists); clients reach it at `host`:`port`.

    Fetches Java's programs when they are not there yet, once a machine.

    Raises:
        JavaUnavailable: Java or the jars cannot be had; says why.
        PartFailed: the folder cannot be made ready.
    """
    java = await find_java(JAVA_VERSION_MIN, EXTRA)
    jars = await resolve_jars(COORDINATE, EXTRA)
    config = data_folder / CONFIG_NAME
    config.write_text(_config(host, port, controller_port, data_folder / "log"))
    command = [
        str(java),
        *("-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-Xms64m", "-Xmx512m"),
        *("-Dorg.slf4j.simpleLogger.defaultLogLevel=warn", "-cp"),
        os.pathsep.join(str(jar) for jar in jars.class_path),
    ]
    if not (data_folder / "log" / "meta.properties").exists():
        arguments = ("format", "--standalone", "-t", _cluster_id(), "-c", str(config))
        await _format([*command, FORMAT_CLASS, *arguments], log_file)
    program = Program("kafka", [*command, BROKER_CLASS, str(config)], folder=data_folder, log_file=log_file)
    return Server(program, lambda: accepts(host, port), READY_S_MAX)


def _config(host: str, port: int, controller_port: int, log_folder: Path) -> str:
    own = {
        "listeners": f"PLAINTEXT://{host}:{port},CONTROLLER://127.0.0.1:{controller_port}",
        "advertised.listeners": f"PLAINTEXT://{host}:{port},CONTROLLER://127.0.0.1:{controller_port}",
        "controller.quorum.bootstrap.servers": f"127.0.0.1:{controller_port}",
        "log.dirs": str(log_folder),
    }
    return "".join(f"{name}={value}\n" for name, value in {**_CONFIG, **own}.items())


def _cluster_id() -> str:
    """Make one as Kafka does: 16 bytes in 22 characters, of which the first is no dash."""
    while True:
        made = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
        if not made.startswith("-"):
            return made


async def _format(arguments: list[str], log_file: Path) -> None:
    """Make an empty log folder a broker's own."""
    log_file.parent.mkdir(parents=True, exist_ok=True)
    with log_file.open("ab") as log:
        process = await asyncio.create_subprocess_exec(
            *arguments, stdin=asyncio.subprocess.DEVNULL, stdout=log, stderr=log
        )
    try:
        async with asyncio.timeout(FORMAT_S_MAX):
            status = await process.wait()
    except TimeoutError as error:
        raise PartFailed(part="kafka", reason=f"its folder was not formatted within {FORMAT_S_MAX:g} s") from error
    finally:
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()
    if status != 0:
        raise PartFailed(part="kafka", reason=f"its folder cannot be formatted{log_excerpt(log_file)}")

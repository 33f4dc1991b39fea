"""One real Kafka broker for all tests of topics, where Java and the client are to be had.

It listens three times: in plain text, for users over TLS (`sasl_address`), for client certificates (`mtls_address`).
"""

import asyncio
import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from tests.fakes.certificate_authority import CertificateAuthority
from workshape.cli.ports import free_ports
from workshape.parts.jars import JavaUnavailable, find_java, resolve_jars
from workshape.parts.kafka import CONFIG_NAME, COORDINATE, FORMAT_CLASS, JAVA_VERSION_MIN, kafka_broker

ALICE, BOB, CLIENT = "alice", "bob", "a client"
USERS = {ALICE: "wonderland", BOB: "builder"}
"""Alice may do everything, as the client with a certificate may; Bob nothing."""


@dataclass
class Cluster:
    """A broker's addresses, and what a test does with it."""

    address: str
    sasl_address: str = ""
    mtls_address: str = ""

    async def create_topic(self, partitions: int = 1) -> str:
        """Make a topic; return its name."""
        from workshape.streams.kafka_admin import create_topics

        (name,) = await create_topics([self.address], {f"topic-{uuid4().hex[:12]}": partitions})
        return name

    async def write(self, topic: str, *values: str, partition: int = 0, **more: Any) -> list[int]:
        """Write records; return their offsets."""
        from aiokafka import AIOKafkaProducer

        producer = AIOKafkaProducer(bootstrap_servers=self.address)
        await producer.start()
        try:
            sent = [await producer.send(topic, value.encode(), partition=partition, **more) for value in values]
            return [(await each).offset for each in sent]
        finally:
            await producer.stop()

    async def read(self, topic: str, count: int) -> list[Any]:
        """Read so many records from a topic's beginning."""
        from aiokafka import AIOKafkaConsumer

        consumer = AIOKafkaConsumer(topic, bootstrap_servers=self.address, auto_offset_reset="earliest")
        await consumer.start()
        try:
            async with asyncio.timeout(30):
                return [await consumer.getone() for _ in range(count)]
        finally:
            await consumer.stop()


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> CertificateAuthority:
    """Who signs the broker's certificate, and those of its clients."""
    return CertificateAuthority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory, authority: CertificateAuthority) -> Iterator[Cluster]:
    """A broker."""
    if find_spec("aiokafka") is None:
        pytest.skip("no Kafka client: pip install 'workshape[kafka]'")
    folder, loop = tmp_path_factory.mktemp("kafka"), asyncio.new_event_loop()
    port, controller_port, sasl_port, mtls_port = free_ports("127.0.0.1", 4)
    try:
        more = listeners(folder, authority, sasl_port, mtls_port)
        broker = loop.run_until_complete(made(folder, port, controller_port, more))
        loop.run_until_complete(broker.start())
        yield Cluster(f"127.0.0.1:{port}", f"127.0.0.1:{sasl_port}", f"127.0.0.1:{mtls_port}")
        loop.run_until_complete(broker.stop())
    except JavaUnavailable as error:
        pytest.skip(f"no Kafka broker: {error}")
    finally:
        loop.close()


async def made(folder: Path, port: int, controller_port: int, more: dict[str, str]) -> Any:
    """Make the broker, with users who are part of its log from the beginning, and listeners besides its own."""
    java, jars = await find_java(JAVA_VERSION_MIN, "kafka"), await resolve_jars(COORDINATE, "kafka")
    config = folder / CONFIG_NAME
    own, ours = f"127.0.0.1:{controller_port}", f"127.0.0.1:{port}"
    config.write_text(
        f"process.roles=broker,controller\nnode.id=1\nlog.dirs={folder / 'log'}\n"
        f"listeners=CONTROLLER://{own},PLAINTEXT://{ours}\n"
        f"controller.listener.names=CONTROLLER\ncontroller.quorum.bootstrap.servers={own}\n"
    )
    users = [
        f"{mechanism}=[name={name},password={password}]"
        for name, password in USERS.items()
        for mechanism in ("SCRAM-SHA-256", "SCRAM-SHA-512")
    ]
    class_path = os.pathsep.join(str(jar) for jar in jars.class_path)
    arguments = ["format", "--standalone", "-t", "AAAAAAAAAAAAAAAAAAAAAA", "-c", str(config)]
    for user in users:
        arguments += ["--add-scram", user]
    ended = await asyncio.to_thread(
        subprocess.run,
        [str(java), "-XX:TieredStopAtLevel=1", "-cp", class_path, FORMAT_CLASS, *arguments],
        capture_output=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr.decode()
    broker = await kafka_broker(
        host="127.0.0.1", port=port, controller_port=controller_port, data_folder=folder, log_file=folder / "kafka.log"
    )
    settings = dict(line.split("=", 1) for line in config.read_text().splitlines())
    for name in ("listeners", "advertised.listeners", "listener.security.protocol.map"):
        more[name] = f"{settings[name]},{more[name]}"
    config.write_text("".join(f"{name}={value}\n" for name, value in {**settings, **more}.items()))
    return broker


def listeners(folder: Path, authority: CertificateAuthority, sasl_port: int, mtls_port: int) -> dict[str, str]:
    """Listeners over TLS; only some of those who are let in may do anything."""
    files = authority.issue("kafka", "127.0.0.1")
    server = folder / "server.pem"
    server.write_text(files.key.read_text() + files.certificate.read_text())
    addresses = f"SASL_SSL://127.0.0.1:{sasl_port},SSL://127.0.0.1:{mtls_port}"
    scram = "org.apache.kafka.common.security.scram.ScramLoginModule required;"
    plain = " ".join(f'user_{name}="{password}"' for name, password in USERS.items())
    return {
        "listeners": addresses,
        "advertised.listeners": addresses,
        "listener.security.protocol.map": "SASL_SSL:SASL_SSL,SSL:SSL",
        "ssl.keystore.type": "PEM",
        "ssl.keystore.location": str(server),
        "ssl.truststore.type": "PEM",
        "ssl.truststore.location": str(authority.file),
        "listener.name.ssl.ssl.client.auth": "required",
        "sasl.enabled.mechanisms": "PLAIN,SCRAM-SHA-256,SCRAM-SHA-512",
        "listener.name.sasl_ssl.plain.sasl.jaas.config": (
            f"org.apache.kafka.common.security.plain.PlainLoginModule required {plain};"
        ),
        "listener.name.sasl_ssl.scram-sha-256.sasl.jaas.config": scram,
        "listener.name.sasl_ssl.scram-sha-512.sasl.jaas.config": scram,
        "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
        "super.users": f"User:ANONYMOUS;User:{ALICE};User:CN={CLIENT}",
    }


@pytest.fixture
async def topic(cluster: Cluster) -> str:
    """A topic of two partitions, the test's own."""
    return await cluster.create_topic(partitions=2)

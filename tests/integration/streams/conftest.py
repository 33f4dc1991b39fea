"""One real Kafka broker for all tests of topics, where Java and the client are to be had."""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from workshape.cli.ports import free_ports
from workshape.parts.jars import JavaUnavailable
from workshape.parts.kafka import kafka_broker


@dataclass
class Cluster:
    """A broker's address, and what a test does with it."""

    address: str

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
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A broker."""
    if find_spec("aiokafka") is None:
        pytest.skip("no Kafka client: pip install 'workshape[kafka]'")
    folder, loop = tmp_path_factory.mktemp("kafka"), asyncio.new_event_loop()
    port, controller_port = free_ports("127.0.0.1", 2)
    try:
        broker = loop.run_until_complete(made(folder, port, controller_port))
        loop.run_until_complete(broker.start())
        yield Cluster(f"127.0.0.1:{port}")
        loop.run_until_complete(broker.stop())
    except JavaUnavailable as error:
        pytest.skip(f"no Kafka broker: {error}")
    finally:
        loop.close()


async def made(folder: Path, port: int, controller_port: int) -> Any:
    return await kafka_broker(
        host="127.0.0.1", port=port, controller_port=controller_port, data_folder=folder, log_file=folder / "kafka.log"
    )


@pytest.fixture
async def topic(cluster: Cluster) -> str:
    """A topic of two partitions, the test's own."""
    return await cluster.create_topic(partitions=2)

"""SIGKILL in the middle of the flow: what was acknowledged is handled, and its effect is there once."""

import json
import os
import signal
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

from botocore.exceptions import BotoCoreError

from tests.e2e.running import RUNTIME, Running, bring_up, environment_processes, eventually
from workshape.run import is_running

KILLS = 3
BETWEEN_KILLS = 60
"""Messages let go before each kill and after the last: enough for the kill to hit them, few enough to be soon done."""
MESSAGES = (KILLS + 1) * BETWEEN_KILLS
SENDERS = 3
HELD_BACK = 2 * SENDERS
"""Let go as the engine dies, so that somebody notices it however soon the others were sent."""
RETRY_S = 0.05
SEND_S_MAX = 60.0
DRAIN_S_MAX = 60.0

# DynamoDB Local where it can be had, else moto: either is a process of its own, which the engine's end leaves alone.
APP = f"""
[platform]
upstream = {{ dynamodb = "auto" }}

[functions.store]
runtime = "{RUNTIME}"
handler = "store.handle"
code = "code"
timeout_s = 4
memory_mb = 256

[queues.work]
visibility_timeout_s = 4
redrive = {{ dead_letter_queue = "work-dlq", receive_count_max = 100 }}

[queues.work-dlq]

[rules.work]
pattern = {{ source = ["senders"] }}
targets = [{{ queue = "work", input_path = "$.detail.body" }}]

[[mappings]]
queue = "work"
function = "store"
batch_size = 5
report_batch_item_failures = true
concurrency_max = 2

[tables.stored]
partition_key = "pk"
"""

STORE = """
import time
import uuid

import boto3

table = boto3.resource("dynamodb").Table("stored")


def handle(batch, context):
    for record in batch["Records"]:
        body = record["body"].strip('"')  # what came as an event is JSON
        delivered(body)
        time.sleep(0.02)  # work worth interrupting
        try:
            table.update_item(
                Key={"pk": body},
                UpdateExpression="ADD writes :one SET attempt = :attempt",
                ConditionExpression="attribute_not_exists(pk)",
                ExpressionAttributeValues={":one": 1, ":attempt": uuid.uuid4().hex},
            )
        except table.meta.client.exceptions.ConditionalCheckFailedException:
            continue  # stored before: done
    return {"batchItemFailures": []}


def delivered(body):
    key = {"pk": "deliveries of " + body}
    table.update_item(Key=key, UpdateExpression="ADD deliveries :one", ExpressionAttributeValues={":one": 1})
"""


class Senders:
    """Sends each message it is allowed to until it is acknowledged, and tells when so many are.

    Every other one goes as an event, which a rule takes to the same queue.
    """

    def __init__(self, running: Running) -> None:
        limits = {"connect_timeout": 2, "read_timeout": 5, "max_pool_connections": SENDERS}
        self._sqs, self._events = running.client("sqs", **limits), running.client("events", **limits)
        self._url = self._sqs.get_queue_url(QueueName="work")["QueueUrl"]
        self._changed = threading.Condition()
        self._allowed = 0
        self._closed = False
        self.acknowledged: set[str] = set()
        self.refused = 0

    def send(self, number: int) -> None:
        with self._changed:
            assert self._changed.wait_for(lambda: self._closed or number < self._allowed, SEND_S_MAX)
        body = f"message {number}"
        deadline = time.monotonic() + SEND_S_MAX
        while not self._closed:
            try:
                if number % 2:
                    self._put_event(body)
                else:
                    self._sqs.send_message(QueueUrl=self._url, MessageBody=body)
            except BotoCoreError:  # no connection, or none any more: whether it was taken cannot be known
                assert time.monotonic() < deadline
                with self._changed:
                    self.refused += 1
                    self._changed.wait(RETRY_S)
                continue
            with self._changed:
                self.acknowledged.add(body)
                self._changed.notify_all()
            return

    def _put_event(self, body: str) -> None:
        entry = {"Source": "senders", "DetailType": "message", "Detail": json.dumps({"body": body})}
        answer = self._events.put_events(Entries=[entry])
        assert answer["FailedEntryCount"] == 0, answer

    def close(self) -> None:
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def allow(self, count: int) -> None:
        with self._changed:
            self._allowed = count
            self._changed.notify_all()

    def wait_until_acknowledged(self, count: int) -> None:
        with self._changed:
            assert self._changed.wait_for(lambda: len(self.acknowledged) >= count, SEND_S_MAX)


def is_busy(running: Running) -> bool:
    """Tell whether a function is at a batch."""
    return any(one.state == "busy" for function in running.status().functions for one in function.environments)


def items(running: Running) -> list[dict[str, Any]]:
    pages = running.client("dynamodb").get_paginator("scan").paginate(TableName="stored", ConsistentRead=True)
    return [item for page in pages for item in page["Items"]]


def written(stored: list[dict[str, Any]]) -> dict[str, int]:
    return {item["pk"]["S"]: int(item["writes"]["N"]) for item in stored if "writes" in item}


def test_what_was_acknowledged_is_stored_once_whenever_the_engine_is_killed(
    make_app: Callable[..., Path],
) -> None:
    app_folder = make_app(APP, store__py=STORE)
    with (
        bring_up(app_folder, "--no-follow") as running,
        ThreadPoolExecutor(SENDERS) as pool,
        closing(Senders(running)) as senders,
    ):
        killed = []

        sending = [pool.submit(senders.send, number) for number in range(MESSAGES)]
        for kill in range(1, KILLS + 1):
            senders.allow(kill * BETWEEN_KILLS)
            eventually(lambda: is_busy(running))
            engine, environments = running.part("engine"), environment_processes(running)
            senders.allow((kill + 1) * BETWEEN_KILLS - HELD_BACK)
            senders.wait_until_acknowledged(kill * BETWEEN_KILLS + 1)
            os.kill(engine.pid, signal.SIGKILL)
            senders.allow((kill + 1) * BETWEEN_KILLS)
            killed += [engine, *environments]
            running.wait_until_said("engine died (killed by SIGKILL)", times=kill)
            running.wait_until_said("again  process", times=kill)
        for sent in sending:
            sent.result()
        eventually(
            lambda: running.depth("work") == 0 and len(written(items(running))) == MESSAGES, within_s=DRAIN_S_MAX
        )

        stored = items(running)
        survivors = [mark for mark in killed if is_running(mark)]
        dead_letters = running.depth("work-dlq")

    assert senders.acknowledged == {f"message {number}" for number in range(MESSAGES)}
    assert senders.refused > 0, "no sender has noticed a kill"
    assert written(stored) == dict.fromkeys(senders.acknowledged, 1)
    deliveries = sum(int(item["deliveries"]["N"]) for item in stored if "deliveries" in item)
    assert deliveries > MESSAGES, "no kill has interrupted a batch"
    assert dead_letters == 0
    assert len(killed) > KILLS, "nobody has seen an environment to survive"
    assert survivors == []

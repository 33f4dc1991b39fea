"""A queue to a function to another queue, while functions fail and processes are killed: every message is accounted."""

import os
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from tests.e2e.running import RUNTIME, Running, bring_up, environment_processes, eventually

MESSAGES = 150
POISON = {f"poison {number}" for number in range(3)}
KILLS_OF_ENVIRONMENTS = 3
DRAIN_S_MAX = 120.0

APP = f"""
[platform]
upstream = {{ dynamodb = "moto" }}

[functions.step]
runtime = "{RUNTIME}"
handler = "step.handle"
code = "code"
timeout_s = 2
memory_mb = 1769
reserved_concurrency = 3

[queues.work]
visibility_timeout_s = 2
redrive = {{ dead_letter_queue = "given-up", receive_count_max = 6 }}

[queues.done]
[queues.given-up]

[[mappings]]
queue = "work"
function = "step"
batch_size = 5
report_batch_item_failures = true
"""

# What goes wrong with a message does so at its first two receives, so that nearly all are done in the end.
STEP = """
import hashlib
import os
import time

import boto3

sqs = boto3.client("sqs")
done = sqs.get_queue_url(QueueName="done")["QueueUrl"]


def handle(batch, context):
    failed = []
    for record in batch["Records"]:
        body, receives = record["body"], int(record["attributes"]["ApproximateReceiveCount"])
        ending = hashlib.sha256(f"{body} {receives}".encode()).digest()[0] % 25 if receives < 3 else 99
        if ending == 0:
            os._exit(9)
        if ending == 1:
            raise ValueError(body)
        if ending == 2:
            time.sleep(60)
        if ending in (3, 4) or body.startswith("poison"):
            failed.append({"itemIdentifier": record["messageId"]})
            continue
        time.sleep(0.01)
        sqs.send_message(QueueUrl=done, MessageBody=body)
    return {"batchItemFailures": failed}
"""


def send(running: Running, bodies: list[str]) -> None:
    sqs = running.client("sqs")
    url = sqs.get_queue_url(QueueName="work")["QueueUrl"]
    for start in range(0, len(bodies), 10):
        entries = [{"Id": str(at), "MessageBody": body} for at, body in enumerate(bodies[start : start + 10])]
        assert "Failed" not in sqs.send_message_batch(QueueUrl=url, Entries=entries)


def receive_all(running: Running, queue: str) -> list[str]:
    sqs, found = running.client("sqs"), []
    url = sqs.get_queue_url(QueueName=queue)["QueueUrl"]
    while messages := sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages"):
        found += [message["Body"] for message in messages]
    return found


def test_every_message_is_done_or_given_up_whoever_is_killed(make_app: Callable[..., Path]) -> None:
    bodies = [f"message {number}" for number in range(MESSAGES)] + sorted(POISON)
    with bring_up(make_app(APP, step__py=STEP), "--no-follow") as running:
        send(running, bodies)
        for _ in range(KILLS_OF_ENVIRONMENTS):
            eventually(lambda: bool(environment_processes(running)))
            for mark in environment_processes(running):
                with suppress(ProcessLookupError):
                    os.kill(mark.pid, signal.SIGKILL)
            time.sleep(0.3)
        assert running.depth("work") > 0, "everything is done already: nothing has been interrupted"
        os.kill(running.part("engine").pid, signal.SIGKILL)
        running.wait_until_said("again  process")
        eventually(lambda: running.depth("work") == 0, within_s=DRAIN_S_MAX)

        done, given_up = receive_all(running, "done"), receive_all(running, "given-up")

    assert set(done) | set(given_up) == set(bodies)
    assert set(given_up) >= POISON
    assert not POISON & set(done)
    assert len(given_up) == len(set(given_up))
    assert len(set(done)) > MESSAGES * 0.8

"""Queues of an app: what is refused, and what becomes of their settings."""

from pathlib import Path

import pytest

from tests.fakes.queue_clock import FakeClock
from workshape.app.model import App, Queue, Redrive, RedriveAllow
from workshape.app.queue_attributes import attributes_of, queue_of
from workshape.app.queue_check import NAME, queue_problems
from workshape.app.toml import parse_app
from workshape.queues.broker import Broker
from workshape.queues.model import DeduplicationScope, QueueAttributes, QueueName, RedrivePermission
from workshape.toml_document import TomlInvalid

REGION, ACCOUNT = "us-east-1", "123456789012"
ORDERS = Queue(
    "orders.fifo",
    visibility_timeout_s=60,
    delay_s=1,
    retention_s=3_600,
    message_bytes_max=2_048,
    receive_wait_s=20,
    fifo=True,
    content_based_deduplication=True,
    deduplication_scope="messageGroup",
    fifo_throughput_limit="perMessageGroupId",
    redrive=Redrive("dead.fifo", 3),
)
DEAD = Queue("dead.fifo", fifo=True, redrive_allow=RedriveAllow("byQueue", ("orders.fifo",)))


def refusals(*queues: Queue) -> list[str]:
    return [
        f"{'.'.join(map(str, problem.place))}: {problem.what}" for problem in queue_problems(App("a", queues=queues))
    ]


def test_fifo_queues_with_their_dead_letter_queue_are_fine() -> None:
    assert refusals(ORDERS, DEAD) == []


@pytest.mark.parametrize(
    ("queues", "place", "what"),
    [
        ([Queue("a.fifo")], "queues.a.fifo", "write fifo = true"),
        ([Queue("a", fifo=True)], "queues.a.fifo", 'write [queues."a.fifo"]'),
        ([Queue("a", content_based_deduplication=True)], "queues.a.content_based_deduplication", "only a FIFO queue"),
        ([Queue("a", deduplication_scope="messageGroup")], "queues.a.deduplication_scope", "only a FIFO queue"),
        (
            [Queue("a.fifo", fifo=True, fifo_throughput_limit="perMessageGroupId")],
            "queues.a.fifo.fifo_throughput_limit",
            'needs deduplication_scope = "messageGroup"',
        ),
        (
            [Queue("a", redrive=Redrive("b.fifo", 1)), Queue("b.fifo", fifo=True)],
            "queues.a.redrive.dead_letter_queue",
            'this is a standard queue, and "b.fifo" is a FIFO queue',
        ),
        (
            [Queue("a", redrive=Redrive("b", 1)), Queue("b", redrive_allow=RedriveAllow("denyAll"))],
            "queues.a.redrive.dead_letter_queue",
            'the redrive_allow of "b" does not let this queue in',
        ),
        ([Queue("a", redrive_allow=RedriveAllow("byQueue"))], "queues.a.redrive_allow", "takes 1 to 10 source_queues"),
        (
            [Queue("a", redrive_allow=RedriveAllow("denyAll", ("a",)))],
            "queues.a.redrive_allow",
            "takes 1 to 10 source_queues",
        ),
        (
            [Queue("orders"), Queue("a", redrive_allow=RedriveAllow("byQueue", ("order",)))],
            "queues.a.redrive_allow.source_queues",
            'there is no [queues.order]; did you mean "orders"?',
        ),
    ],
)
def test_what_does_not_hang_together_is_refused(queues: list[Queue], place: str, what: str) -> None:
    (refusal,) = refusals(*queues)

    assert refusal.startswith(f"{place}: ")
    assert what in refusal


@pytest.mark.parametrize("name", ["a", "a.fifo", "x" * 80, "x" * 75 + ".fifo"])
def test_names_of_both_kinds_are_fine(name: str) -> None:
    assert NAME.pattern.fullmatch(name)


@pytest.mark.parametrize("name", ["", ".fifo", "a.b", "x" * 81, "x" * 76 + ".fifo", "a.fifo.fifo"])
def test_other_names_are_not(name: str) -> None:
    assert not NAME.pattern.fullmatch(name)


def test_a_queue_comes_back_as_it_went_in() -> None:
    for queue in (ORDERS, DEAD, Queue("plain"), Queue("dead", redrive_allow=RedriveAllow("denyAll"))):
        attributes = attributes_of(queue, QueueAttributes(), region=REGION, account=ACCOUNT)

        assert queue_of(queue.name, attributes) == queue


async def test_the_broker_takes_them(tmp_path: Path) -> None:
    broker = await Broker.open(tmp_path, FakeClock(), region=REGION, account=ACCOUNT)

    for queue in (DEAD, ORDERS):
        attributes = attributes_of(queue, QueueAttributes(), region=REGION, account=ACCOUNT)
        await broker.create_queue(QueueName(queue.name), attributes)

    made = broker.queue(QueueName("orders.fifo")).attributes
    assert made.deduplication_scope is DeduplicationScope.MESSAGE_GROUP
    assert made.redrive is not None
    assert made.redrive.dead_letter_queue_arn == "arn:aws:sqs:us-east-1:123456789012:dead.fifo"
    dead = broker.queue(QueueName("dead.fifo")).attributes.redrive_allow
    assert dead is not None
    assert dead.permission is RedrivePermission.BY_QUEUE
    await broker.close()


@pytest.mark.parametrize(
    ("text", "what"),
    [
        (
            '[queues."a.fifo"]\nfifo = true\ndeduplication_scope = "group"\n',
            ", line 3: [queues.a.fifo] deduplication_scope: expected one of queue, messageGroup, got",
        ),
        (
            '[functions.f]\nruntime = "python3.12"\nhandler = "a.b"\ncode = "."\n[queues."a.fifo"]\nfifo = true\n'
            '[[mappings]]\nqueue = "a.fifo"\nfunction = "f"\nbatch_size = 20\nbatch_window_s = 1\n',
            "of a FIFO queue a batch has at most 10 messages",
        ),
    ],
)
def test_the_file_says_where(tmp_path: Path, text: str, what: str) -> None:
    (tmp_path / "a.py").write_text("def b(event, context): ...\n")

    with pytest.raises(TomlInvalid) as raised:
        parse_app(text.encode(), tmp_path / "workshape.toml")

    assert what in str(raised.value)

"""What the app sends by itself: what the file takes, and how it refuses the rest."""

from pathlib import Path

import pytest

from workshape.app.delivery_build import configuration_of, subscription_of
from workshape.app.delivery_model import Asynchronous, Endpoint, Notification, Topic
from workshape.app.toml import parse_app
from workshape.toml_document import TomlInvalid
from workshape.topics.model import FilterScope, Protocol

FILE = Path("/nowhere/workshape.toml")
THINGS = """
[queues.q]
[topics.t]
[buckets.b-1]
event_bridge = true
[buckets.b-2]
"""
FUNCTION = '[functions.f]\npackage_type = "Image"\nimage = "registry.example.com/f:1"\n'


def read(text: str) -> object:
    return parse_app(f"{THINGS}{FUNCTION}{text}".encode(), FILE)[0]


def refusal(text: str) -> str:
    with pytest.raises(TomlInvalid) as refused:
        read(text)
    return str(refused.value)


def test_all_of_it_is_read() -> None:
    app, _ = parse_app(
        f"""{THINGS}{FUNCTION}
        [functions.f.asynchronous]
        retries_max = 0
        on_success = {{ bus = "default" }}
        on_failure = {{ bucket = "b-2" }}
        dead_letter = {{ topic = "t" }}
        [[notifications]]
        bucket = "b-1"
        function = "f"
        events = ["ObjectRemoved:*"]
        prefix = "in/"
        [[notifications]]
        bucket = "b-1"
        queue = "q"
        [[subscriptions]]
        topic = "t"
        queue = "q"
        raw = true
        filter = {{ state = ["paid"] }}
        filter_scope = "MessageBody"
        """.encode(),
        FILE,
    )

    assert app.functions[0].asynchronous == Asynchronous(
        retries_max=0,
        on_success=Endpoint(bus="default"),
        on_failure=Endpoint(bucket="b-2"),
        dead_letter=Endpoint(topic="t"),
    )
    assert app.notifications[0] == Notification("b-1", function="f", events=("ObjectRemoved:*",), prefix="in/")
    assert app.topics == (Topic("t"),)
    configuration = configuration_of(app, "b-1", "us-east-1", "1" * 12)
    assert configuration.to_event_bridge
    assert [(target.arn, target.events) for target in configuration.targets] == [
        ("arn:aws:lambda:us-east-1:111111111111:function:f", ("ObjectRemoved:*",)),
        ("arn:aws:sqs:us-east-1:111111111111:q", ("ObjectCreated:*",)),
    ]
    subscription = subscription_of(app.subscriptions[0], "us-east-1", "1" * 12)
    assert (subscription.protocol, subscription.raw) == (Protocol.SQS, True)
    assert (subscription.filter_policy, subscription.filter_scope) == ('{"state":["paid"]}', FilterScope.BODY)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ('[[notifications]]\nbucket = "b-3"\nqueue = "q"', 'there is no [buckets.b-3]; did you mean "b-'),
        ('[[notifications]]\nbucket = "b-1"', "it names exactly one of: queue, function, topic"),
        ('[[notifications]]\nbucket = "b-1"\nqueue = "q"\ntopic = "t"', "it names exactly one of"),
        ('[[notifications]]\nbucket = "b-1"\nqueue = "p"', "there is no [queues.p]; there are: q"),
        (
            '[[notifications]]\nbucket = "b-1"\nqueue = "q"\nevents = ["Created"]',
            "the bucket b-1: workshape sends no event s3:Created",
        ),
        (
            '[[notifications]]\nbucket = "b-1"\nqueue = "q"\n[[notifications]]\nbucket = "b-1"\ntopic = "t"',
            "Configurations overlap",
        ),
        ('[[subscriptions]]\ntopic = "s"\nqueue = "q"', "there is no [topics.s]; there are: t"),
        ('[[subscriptions]]\ntopic = "t"', "it names exactly one of: queue, function"),
        ('[[subscriptions]]\ntopic = "t"\nfunction = "f"\nraw = true', "does not support raw message delivery"),
        ('[[subscriptions]]\ntopic = "t"\nqueue = "q"\nfilter = { a = 1 }', "FilterPolicy"),
        ('[[subscriptions]]\ntopic = "t"\nqueue = "q"\ndead_letter_queue = "p"', "dead_letter_queue: there is no"),
        ('[[subscriptions]]\ntopic = "t"\nqueue = "q"\n' * 2, "this subscription is there twice"),
        ("[topics.'a b']", "1 to 256 letters"),
        ("[functions.f.asynchronous]\non_success = { bucket = 'b-1' }", "it names exactly one of: queue, function"),
        ("[functions.f.asynchronous]\non_failure = { }", "it names exactly one of"),
        ("[functions.f.asynchronous]\ndead_letter = { function = 'f' }", "it names exactly one of: queue, topic"),
        ("[functions.f.asynchronous]\nretries_max = 3", "retries_max"),
        ("[topics.'o.fifo']\n[functions.f.asynchronous]\ndead_letter = { topic = 'o.fifo' }", "FIFO topics"),
    ],
)
def test_what_does_not_hang_together_is_refused_with_its_place(text: str, why: str) -> None:
    said = refusal(text)

    assert why in said
    assert ", line " in said

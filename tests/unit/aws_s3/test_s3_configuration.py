"""Notification configurations in S3's XML."""

import pytest

from workshape.aws.s3.configuration import MalformedXml, read_configuration, write_configuration
from workshape.buckets.notification import NotificationConfiguration, NotificationInvalid, NotificationTarget

QUEUE = "arn:aws:sqs:us-east-1:123456789012:q"
FUNCTION = "arn:aws:lambda:us-east-1:123456789012:function:f:live"
TOPIC = "arn:aws:sns:us-east-1:123456789012:t"
CONFIGURATION = NotificationConfiguration(
    (
        NotificationTarget(id="1", arn=QUEUE, events=("ObjectCreated:*",), prefix="a&b/", suffix=".jpg"),
        NotificationTarget(id="2", arn=FUNCTION, events=("ObjectRemoved:Delete", "ObjectTagging:*")),
        NotificationTarget(id="3", arn=TOPIC, events=("ObjectAcl:Put",), prefix="x"),
    ),
    to_event_bridge=True,
)


def read(inside: str) -> NotificationConfiguration:
    document = f'<NotificationConfiguration xmlns="http://s3.amazonaws.com/doc/2006-03-01/">{inside}'
    return read_configuration(f"{document}</NotificationConfiguration>".encode(), lambda: "new")


def test_what_is_written_is_read_again() -> None:
    written = write_configuration(CONFIGURATION)

    assert read_configuration(written, lambda: "new") == CONFIGURATION
    assert read("") == NotificationConfiguration()


def test_what_has_no_id_gets_one_and_filters_may_be_written_small() -> None:
    rule = "<FilterRule><Name>suffix</Name><Value>.png</Value></FilterRule>"
    found = read(
        f"<QueueConfiguration><Queue>{QUEUE}</Queue><Event>s3:ObjectCreated:Put</Event>"
        f"<Filter><S3Key>{rule}</S3Key></Filter></QueueConfiguration>"
    )

    assert found.targets == (NotificationTarget(id="new", arn=QUEUE, events=("ObjectCreated:Put",), suffix=".png"),)


@pytest.mark.parametrize(
    "body", [b"", b"<a>", b"<Other/>", b"<NotificationConfiguration><X/></NotificationConfiguration>"]
)
def test_what_is_no_configuration_is_malformed(body: bytes) -> None:
    with pytest.raises(MalformedXml):
        read_configuration(body, lambda: "new")


@pytest.mark.parametrize(
    ("inside", "why"),
    [
        ("<QueueConfiguration><Queue>q</Queue></QueueConfiguration>", "not well formed: 'q'"),
        (f"<TopicConfiguration><Topic>{QUEUE}</Topic></TopicConfiguration>", "one of sqs, not of sns"),
        (
            f"<QueueConfiguration><Queue>{QUEUE}</Queue><Event>Put</Event></QueueConfiguration>",
            "'Put' is not supported",
        ),
        (
            f"<QueueConfiguration><Queue>{QUEUE}</Queue><Filter><S3Key><FilterRule><Name>regex</Name>"
            "</FilterRule></S3Key></Filter></QueueConfiguration>",
            "must be either prefix or suffix",
        ),
        (
            f"<QueueConfiguration><Queue>{QUEUE}</Queue><Filter><S3Key><FilterRule><Name>Prefix</Name></FilterRule>"
            "<FilterRule><Name>prefix</Name></FilterRule></S3Key></Filter></QueueConfiguration>",
            "more than one prefix rule",
        ),
    ],
)
def test_what_s3_would_refuse_is_refused(inside: str, why: str) -> None:
    with pytest.raises(NotificationInvalid, match=why):
        read(inside)

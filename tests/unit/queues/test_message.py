"""What a message may hold, and its digests."""

import pytest

from workshape.errors import Invalid
from workshape.queues.message import (
    check_attempt,
    check_message,
    md5_of_attributes,
    md5_of_system_attributes,
    md5_of_text,
)
from workshape.queues.model import (
    InvalidMessage,
    InvalidMessageContents,
    InvalidParameter,
    MessageAttribute,
    MissingParameter,
    NewMessage,
    QueueAttributes,
)

TEXT = MessageAttribute("String", string_value="attribValue 1")
NUMBER = MessageAttribute("Number.float", string_value="4563442423554324324264524243.32543234")
BINARY = MessageAttribute("Binary", binary_value=b"Hello binary world!")


@pytest.mark.parametrize(
    ("attributes", "digest"),
    [
        ({}, ""),
        ({"attribName1": TEXT}, "19e27d4e946b072f3f58da80d94fd778"),
        ({"customNumberTypeAttrib": NUMBER}, "9fe1b90bbd9965bdf77bac517c7d2495"),
        ({"binaryAttribute": BINARY}, "31a92b15d92f8db860eda32aceb656c3"),
        (
            {"customNumberTypeAttrib": NUMBER, "binaryAttribute": BINARY, "attribName1": TEXT},
            "c932db14a896c663f83c260297d594ff",
        ),
    ],
)
def test_attributes_are_digested_as_clients_check_them(attributes: dict[str, MessageAttribute], digest: str) -> None:
    """The values are those that https://npmjs.com/package/aws-md5-of-message-attributes publishes."""
    assert md5_of_attributes(attributes) == digest


STANDARD = QueueAttributes(message_bytes_max=1024)
FIFO = QueueAttributes(fifo=True)


def test_system_attributes_are_digested_like_the_others() -> None:
    assert md5_of_system_attributes("") == ""
    assert md5_of_system_attributes("Root=1") == md5_of_attributes(
        {"AWSTraceHeader": MessageAttribute("String", string_value="Root=1")}
    )


def text(value: str) -> MessageAttribute:
    return MessageAttribute("String", string_value=value)


FUEL = {
    "City": text("Any City"),
    "Region": text("WA"),
    "PostalCode": text("99065"),
    "SellerName": text("Example Store"),
}


@pytest.mark.parametrize(
    ("attributes", "begin", "end"),
    [
        ({"PostalCode": text("ABC123"), "City": text("Any City")}, "9424c491", "26bc3ae7"),
        ({"PostalCode": text("ABC123")}, "b8e89563", "e088e74f"),
        (
            {
                **FUEL,
                "SellerName": text("Example Store"),
                "PricePerGallon": MessageAttribute("Number", string_value="1.99"),
            },
            "10809b55",
            "baf283ef",
        ),
    ],
)
def test_attributes_are_digested_as_in_awss_examples(
    attributes: dict[str, MessageAttribute], begin: str, end: str
) -> None:
    """Source: https://docs.aws.amazon.com/cli/latest/reference/sqs/receive-message.html (and send-message-batch)"""
    digest = md5_of_attributes(attributes)

    assert (digest[:8], digest[-8:]) == (begin, end)


@pytest.mark.parametrize(
    ("body", "begin", "end"),
    [
        ("Information about the largest city in Any Region.", "51b0a325", "39163aa0"),
        ("Fuel report for account 0001 on 2015-09-16 at 02:07:31 PM.", "203c4a38", "7943237e"),
        ("Fuel report for account 0002 on 2015-09-16 at 02:09:30 PM.", "2cf0159a", "c1980595"),
    ],
)
def test_a_body_is_digested_as_in_awss_examples(body: str, begin: str, end: str) -> None:
    """Source: https://docs.aws.amazon.com/cli/latest/reference/sqs/send-message.html (and send-message-batch)"""
    digest = md5_of_text(body)

    assert (digest[:8], digest[-8:]) == (begin, end)


def test_a_body_is_digested_as_utf8() -> None:
    assert md5_of_text("") == "d41d8cd98f00b204e9800998ecf8427e"
    assert md5_of_text("é") == "66ddcd97cfdeabb2f6fb8a999b4bc76f"


@pytest.mark.parametrize("body", ["tab\tand\r\nnewline", "\ud7ff\ue000\ufffd", "\U00010000\U0010ffff"])
def test_characters_of_xml_are_accepted(body: str) -> None:
    check_message(NewMessage(body), STANDARD)


@pytest.mark.parametrize("character", ["\x00", "\x0b", "\x1f", "\ufffe", "\uffff", "\ud800"])
def test_other_characters_are_refused_wherever_they_are(character: str) -> None:
    for message in (
        NewMessage(f"a{character}"),
        NewMessage("a", {"b": MessageAttribute("String", string_value=character)}),
        NewMessage("a", {"b": MessageAttribute(f"String.{character}", string_value="c")}),
        NewMessage("a", trace_header=character),
    ):
        with pytest.raises(InvalidMessageContents):
            check_message(message, STANDARD)


def test_size_counts_the_body_and_every_part_of_the_attributes() -> None:
    attributes = {"name": MessageAttribute("String", string_value="value")}
    fits = NewMessage("x" * (1024 - len("name") - len("String") - len("value")), attributes)

    check_message(fits, STANDARD)

    with pytest.raises(InvalidMessage, match="shorter than 1024 bytes"):
        check_message(NewMessage(fits.body + "x", attributes), STANDARD)


def test_size_is_in_bytes_not_characters() -> None:
    check_message(NewMessage("é" * 512), STANDARD)

    with pytest.raises(InvalidMessage):
        check_message(NewMessage("é" * 513), STANDARD)


@pytest.mark.parametrize("name", ["", ".a", "a.", "a..b", "AWS.x", "amazon.x", "a b", "ä", "x" * 257])
def test_bad_attribute_names_are_refused(name: str) -> None:
    with pytest.raises(InvalidMessage):
        check_message(NewMessage("a", {name: MessageAttribute("String", string_value="b")}), STANDARD)


@pytest.mark.parametrize(
    "attribute",
    [
        MessageAttribute("Text", string_value="a"),
        MessageAttribute("", string_value="a"),
        MessageAttribute("String", string_value=""),
        MessageAttribute("String"),
        MessageAttribute("String", binary_value=b"a"),
        MessageAttribute("Binary", string_value="a"),
        MessageAttribute("Number", string_value="seven"),
        MessageAttribute("Number", string_value="NaN"),
        MessageAttribute("Number", string_value="1_000"),
        MessageAttribute("Number", string_value="\u0661"),
        MessageAttribute("Number", string_value="1e127"),
        MessageAttribute("Number", string_value="1" * 39),
    ],
)
def test_bad_attributes_are_refused(attribute: MessageAttribute) -> None:
    with pytest.raises(InvalidMessage):
        check_message(NewMessage("a", {"name": attribute}), STANDARD)


@pytest.mark.parametrize("number", ["0", "-0.5", "1e126", "1e-128", "1" * 38, "0" * 50 + "7", "7" + "0" * 60])
def test_numbers_of_38_digits_in_range_are_accepted(number: str) -> None:
    check_message(NewMessage("a", {"name": MessageAttribute("Number", string_value=number)}), STANDARD)


def test_more_than_ten_attributes_are_refused() -> None:
    attributes = {f"name{number}": MessageAttribute("String", string_value="a") for number in range(11)}

    with pytest.raises(InvalidMessage, match="11"):
        check_message(NewMessage("a", attributes), STANDARD)


@pytest.mark.parametrize("delay_s", [-1, 901])
def test_delays_beyond_fifteen_minutes_are_refused(delay_s: int) -> None:
    with pytest.raises(InvalidParameter, match="DelaySeconds"):
        check_message(NewMessage("a", delay_s=delay_s), STANDARD)


@pytest.mark.parametrize("group_id", ["a b", "x" * 129, "ä"])
def test_bad_group_ids_are_refused(group_id: str) -> None:
    with pytest.raises(InvalidParameter, match="MessageGroupId"):
        check_message(NewMessage("a", group_id=group_id), STANDARD)


def test_a_standard_queue_takes_no_deduplication_id() -> None:
    with pytest.raises(InvalidParameter, match=r"MessageDeduplicationId is invalid.*not valid for this queue type"):
        check_message(NewMessage("a", deduplication_id="1"), STANDARD)


def test_a_fifo_queue_wants_a_group() -> None:
    with pytest.raises(MissingParameter, match="The request must contain the parameter MessageGroupId"):
        check_message(NewMessage("a", deduplication_id="1"), FIFO)


def test_a_fifo_queue_wants_a_deduplication_id_unless_it_deduplicates_by_content() -> None:
    by_content = QueueAttributes(fifo=True, content_based_deduplication=True)

    check_message(NewMessage("a", group_id="g"), by_content)
    check_message(NewMessage("a", group_id="g", deduplication_id="1"), FIFO)

    with pytest.raises(Invalid, match="either have ContentBasedDeduplication enabled or MessageDeduplicationId"):
        check_message(NewMessage("a", group_id="g"), FIFO)


def test_a_fifo_queue_takes_no_delay_of_a_single_message() -> None:
    with pytest.raises(InvalidParameter, match="DelaySeconds"):
        check_message(NewMessage("a", group_id="g", deduplication_id="1", delay_s=1), FIFO)


@pytest.mark.parametrize("deduplication_id", ["a b", "x" * 129, "é"])
def test_bad_deduplication_ids_are_refused(deduplication_id: str) -> None:
    with pytest.raises(InvalidParameter, match="MessageDeduplicationId"):
        check_message(NewMessage("a", group_id="g", deduplication_id=deduplication_id), FIFO)


def test_only_fifo_queues_take_a_named_attempt_to_receive() -> None:
    check_attempt("", STANDARD)
    check_attempt("attempt-1", FIFO)

    with pytest.raises(InvalidParameter, match="ReceiveRequestAttemptId"):
        check_attempt("attempt-1", STANDARD)
    with pytest.raises(InvalidParameter, match="1 to 128"):
        check_attempt("x" * 129, FIFO)

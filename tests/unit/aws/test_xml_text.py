"""Text in XML answers: whatever it holds, a client can read the answer."""

from xml.etree import ElementTree

from hypothesis import given
from hypothesis import strategies as st

from workshape.aws.protocol.codec import WireFault
from workshape.aws.protocol.foreign import foreign_fault
from workshape.aws.protocol.xml_text import REPLACEMENT, escaped
from workshape.http1.message import Request


@given(st.text(st.characters(codec="utf-8")))
def test_whatever_a_text_holds_its_xml_can_be_read_and_says_the_same(text: str) -> None:
    read = ElementTree.fromstring(f"<a>{escaped(text)}</a>".encode()).text or ""

    assert len(read) == len(text)
    assert all(one in (other, REPLACEMENT) for one, other in zip(read, text, strict=True))


def test_what_is_no_character_to_xml_is_replaced() -> None:
    assert (
        escaped("a\x00b\ufffec\uffffd\ud800e\r<")
        == f"a{REPLACEMENT}b{REPLACEMENT}c{REPLACEMENT}d{REPLACEMENT}e&#13;&lt;"
    )


def test_an_error_that_tells_such_a_character_can_be_read() -> None:
    answer = foreign_fault(Request("GET", "/"), "s3", WireFault("NoSuchKey", 404, "no \uffff here"), "1")

    assert isinstance(answer.body, bytes)
    assert ElementTree.fromstring(answer.body.decode()).findtext("Message") == f"no {REPLACEMENT} here"

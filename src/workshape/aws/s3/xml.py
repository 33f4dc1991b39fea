"""S3's XML, read without regard to namespaces. A core.

Source: https://docs.aws.amazon.com/AmazonS3/latest/API/API_Operations_Amazon_Simple_Storage_Service.html
"""

from collections.abc import Iterator
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

NAMESPACE = "http://s3.amazonaws.com/doc/2006-03-01/"


def parse(body: bytes) -> Element | None:
    """Read a document; None when it is none."""
    try:
        return ElementTree.fromstring(body.strip())  # noqa: S314 - expat bounds what entities expand to
    except ElementTree.ParseError:
        return None


def name_of(element: Element) -> str:
    """An element's name without its namespace."""
    return element.tag.rpartition("}")[2]


def children(element: Element, name: str) -> Iterator[Element]:
    """The children of that name, in order."""
    return (child for child in element if name_of(child) == name)


def text(element: Element, name: str) -> str:
    """The text of the first child of that name; empty without one."""
    child = next(children(element, name), None)
    return (child.text or "") if child is not None else ""

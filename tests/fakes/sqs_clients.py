"""Two clients of SQS that are called alike: boto3, which speaks JSON, and one of the older query protocol.

`call("SendMessage", QueueUrl=..., ...)` takes and returns what boto3 does; errors are `ClientError`s in both.
"""

import asyncio
from collections.abc import Iterator
from functools import partial
from typing import Any, Protocol
from urllib.parse import urlencode
from xml.etree import ElementTree

import httpx
from botocore import xform_name
from botocore.exceptions import ClientError

NAMESPACE = "{http://queue.amazonaws.com/doc/2012-11-05/}"
CREDENTIAL = "AWS4-HMAC-SHA256 Credential=test/20260101/us-east-1/sqs/aws4_request, SignedHeaders=host, Signature=0"
FORM_NAMES = {
    "Actions": "ActionName",
    "AWSAccountIds": "AWSAccountId",
    "AttributeNames": "AttributeName",
    "MessageSystemAttributeNames": "MessageSystemAttributeName",
    "MessageAttributeNames": "MessageAttributeName",
    "TagKeys": "TagKey",
    "Attributes": "Attribute",
    "MessageAttributes": "MessageAttribute",
    "MessageSystemAttributes": "MessageSystemAttribute",
    "Tags": "Tag",
    "tags": "Tag",
}
"""https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_Operations.html (sample requests)"""
LISTS = {
    "QueueUrl": "QueueUrls",
    "Message": "Messages",
    "SendMessageBatchResultEntry": "Successful",
    "DeleteMessageBatchResultEntry": "Successful",
    "ChangeMessageVisibilityBatchResultEntry": "Successful",
    "BatchResultErrorEntry": "Failed",
    "ListMessageMoveTasksResultEntry": "Results",
}
MAPS = {"Attribute": "Attributes", "MessageAttribute": "MessageAttributes", "Tag": "Tags"}


class SqsClient(Protocol):
    """Calls operations by their names in the API reference."""

    async def call(self, operation: str, **parameters: Any) -> dict[str, Any]:
        """Raise botocore's ClientError for an error."""


class JsonClient:
    """boto3."""

    def __init__(self, boto: Any) -> None:
        self._boto = boto

    async def call(self, operation: str, **parameters: Any) -> dict[str, Any]:
        """Call boto3 in a thread: the door runs on this loop."""
        answer = await asyncio.to_thread(partial(getattr(self._boto, xform_name(operation)), **parameters))
        if "queueUrls" in answer:
            answer["QueueUrls"] = answer.pop("queueUrls")
        del answer["ResponseMetadata"]
        return dict(answer)


class QueryClient:
    """The query protocol as older clients write it."""

    def __init__(self, http: httpx.AsyncClient) -> None:
        self._http = http

    async def call(self, operation: str, **parameters: Any) -> dict[str, Any]:
        """Send a form, read XML."""
        fields = {"Action": operation, "Version": "2012-11-05", **dict(_flat(operation, "", parameters))}
        headers = {"Content-Type": "application/x-www-form-urlencoded; charset=utf-8", "Authorization": CREDENTIAL}
        answer = await self._http.post("/", content=urlencode(fields), headers=headers, timeout=30)
        root = ElementTree.fromstring(answer.content)
        for element in root.iter():
            assert element.tag.startswith(NAMESPACE)
            element.tag = element.tag.removeprefix(NAMESPACE)
        assert root.findtext(".//RequestId")
        if answer.status_code != 200:
            assert root.tag == "ErrorResponse"
            error = {"Code": root.findtext("Error/Code"), "Message": root.findtext("Error/Message")}
            metadata = {"HTTPStatusCode": answer.status_code}
            raise ClientError({"Error": error, "ResponseMetadata": metadata}, operation)  # type: ignore[typeddict-item]
        assert root.tag == f"{operation}Response"
        result = root.find(f"{operation}Result")
        return {} if result is None else _structure(result)


def _flat(operation: str, prefix: str, value: Any) -> Iterator[tuple[str, str]]:
    if isinstance(value, dict):
        for name, item in value.items():
            wire_name = f"{operation}RequestEntry" if name == "Entries" else FORM_NAMES.get(name, name)
            yield from _member(operation, f"{prefix}{wire_name}", name, item)
    else:
        yield prefix, str(value)


def _member(operation: str, place: str, name: str, item: Any) -> Iterator[tuple[str, str]]:
    if isinstance(item, list):
        for number, one in enumerate(item, 1):
            yield from _flat(operation, f"{place}.{number}" + ("." if isinstance(one, dict) else ""), one)
    elif isinstance(item, dict):
        key_name, value_name = ("Key", "Value") if name in ("Tags", "tags") else ("Name", "Value")
        for number, (key, one) in enumerate(item.items(), 1):
            yield f"{place}.{number}.{key_name}", key
            inside = f"{place}.{number}.{value_name}"
            yield from _flat(operation, f"{inside}." if isinstance(one, dict) else inside, one)
    else:
        yield place, str(item)


def _structure(element: ElementTree.Element) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for child in element:
        value: Any = _structure(child) if len(child) else child.text or ""
        is_list = child.tag in LISTS and (child.tag != "QueueUrl" or element.tag.startswith("List"))
        if is_list:
            found.setdefault(LISTS[child.tag], []).append(value)
        elif child.tag in MAPS:
            found.setdefault(MAPS[child.tag], {})[value.get("Name", value.get("Key"))] = value["Value"]
        else:
            found[child.tag] = value
    return found

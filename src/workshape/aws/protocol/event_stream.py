"""Outputs that are streams of events: application/vnd.amazon.eventstream, one message an event.

Source: https://smithy.io/2.0/aws/amazon-eventstream.html (messages)
Source: https://smithy.io/2.0/spec/streaming.html#event-message-serialization (what is in them)
"""

from binascii import crc32
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing
from typing import Any

import msgspec
from botocore.model import StructureShape

from workshape.aws.protocol.json_shapes import JsonWriters

CONTENT_TYPE = "application/vnd.amazon.eventstream"
_STRING = 7  # the type of a header's value
_CRC_BYTES = 4

Event = tuple[str, Mapping[str, Any]]
"""The member of the stream's union that it is, and its members."""


class EventWriter:
    """Writes the events of one operation, by the shape of its stream."""

    def __init__(self, shape: StructureShape, writers: JsonWriters) -> None:
        self._writers: dict[str, Callable[[Mapping[str, Any]], bytes]] = {}
        for name, event in shape.members.items():
            assert isinstance(event, StructureShape), "events are structures"
            self._writers[name] = _event_writer(name, event, writers)

    async def write(self, events: AsyncGenerator[Event, None]) -> AsyncGenerator[bytes, None]:
        """Write each event as it comes; closing this closes `events`."""
        async with aclosing(events):
            async for name, members in events:
                yield self._writers[name](members)


def message(headers: Mapping[str, str], payload: bytes) -> bytes:
    """Frame one message: its lengths and their checksum, headers, payload, the checksum of it all."""
    head = b"".join(_header(name, value) for name, value in headers.items())
    length = 4 + 4 + _CRC_BYTES + len(head) + len(payload) + _CRC_BYTES
    prelude = length.to_bytes(4, "big") + len(head).to_bytes(4, "big")
    framed = b"".join((prelude, crc32(prelude).to_bytes(_CRC_BYTES, "big"), head, payload))
    return framed + crc32(framed).to_bytes(_CRC_BYTES, "big")


def _header(name: str, value: str) -> bytes:
    text = value.encode()
    return bytes([len(name)]) + name.encode() + bytes([_STRING]) + len(text).to_bytes(2, "big") + text


def _event_writer(name: str, event: StructureShape, writers: JsonWriters) -> Callable[[Mapping[str, Any]], bytes]:
    headers = {":message-type": "event", ":event-type": name}
    payload = next((key for key, member in event.members.items() if member.serialization.get("eventpayload")), None)
    if any(member.serialization.get("eventheader") for member in event.members.values()):
        raise NotImplementedError(f"no event of ours has a member in a header: {event.name}")
    if payload is None:
        convert = writers.writer(event)
        as_json = {**headers, ":content-type": "application/json"}
        return lambda members: message(as_json, msgspec.json.encode(convert(members)))
    if event.members[payload].type_name != "blob":
        raise NotImplementedError(f"no event of ours has a payload that is no blob: {event.name}")
    as_bytes = {**headers, ":content-type": "application/octet-stream"}
    return lambda members: message(as_bytes, members[payload])

"""Event streams as botocore's own parser reads them."""

from collections.abc import AsyncGenerator
from typing import Any

from botocore.eventstream import EventStreamBuffer
from botocore.loaders import Loader
from botocore.model import ServiceModel, StructureShape
from hypothesis import given
from hypothesis import strategies as st

from workshape.aws.protocol.event_stream import Event, EventWriter, message
from workshape.aws.protocol.json_shapes import JsonWriters


def parsed(data: bytes) -> list[tuple[dict[str, Any], bytes]]:
    buffer: Any = EventStreamBuffer()
    buffer.add_data(data)
    return [(event.headers, event.payload) for event in buffer]


@given(
    st.dictionaries(st.text(st.characters(codec="ascii"), min_size=1, max_size=255), st.text(max_size=500), max_size=9),
    st.binary(max_size=5_000),
)
def test_a_message_reads_as_it_was_written(headers: dict[str, str], payload: bytes) -> None:
    assert parsed(message(headers, payload)) == [(headers, payload)]


async def test_events_are_written_by_the_model_one_by_one() -> None:
    model = ServiceModel(Loader().load_service_model("lambda", "service-2"), "lambda")
    shape = model.shape_for("InvokeWithResponseStreamResponseEvent")
    assert isinstance(shape, StructureShape)

    async def events() -> AsyncGenerator[Event, None]:
        yield "PayloadChunk", {"Payload": b"\x00\xff"}
        yield "InvokeComplete", {"ErrorCode": "E", "LogResult": None}

    written = [each async for each in EventWriter(shape, JsonWriters()).write(events())]

    event = {":message-type": "event"}
    assert [parsed(each) for each in written] == [
        [({**event, ":event-type": "PayloadChunk", ":content-type": "application/octet-stream"}, b"\x00\xff")],
        [({**event, ":event-type": "InvokeComplete", ":content-type": "application/json"}, b'{"ErrorCode":"E"}')],
    ]

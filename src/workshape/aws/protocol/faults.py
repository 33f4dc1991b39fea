"""How JSON protocols write the members of an error."""

from collections.abc import Callable
from functools import cached_property
from typing import Any

from botocore.model import ServiceModel, StructureShape

from workshape.aws.protocol.codec import WireFault
from workshape.aws.protocol.json_shapes import JsonWriters


class FaultMembers:
    """The modelled exceptions of one service: which members go to the body, which to headers."""

    def __init__(self, model: ServiceModel, writers: JsonWriters) -> None:
        self._model = model
        self._writers = writers

    @cached_property
    def _compiled(self) -> "dict[str, tuple[str, dict[str, str], Callable[[Any], Any]]]":
        compiled = {}
        for shape in self._model.error_shapes:
            assert isinstance(shape, StructureShape), "an exception has members"
            headers = {
                name: member.serialization["name"]
                for name, member in shape.members.items()
                if member.serialization.get("location") == "header"
            }
            names = [name for name in shape.members if name not in headers]
            code = shape.metadata.get("error", {}).get("code", shape.name)
            compiled[code] = (_message_member(shape), headers, self._writers.structure(shape, names))
        return compiled

    def body(self, fault: WireFault) -> dict[str, Any]:
        """The error's body; an exception that is not in the model has a message only."""
        message, headers, write = self._compiled.get(fault.code, ("message", {}, dict))
        members = {name: value for name, value in fault.members.items() if name not in headers}
        written: dict[str, Any] = write(members)
        return {**written, message: fault.message}

    def headers(self, fault: WireFault) -> tuple[tuple[str, str], ...]:
        """The members that the model sends as headers."""
        _, headers, _ = self._compiled.get(fault.code, ("", {}, dict))
        return tuple((headers[name], str(value)) for name, value in fault.members.items() if name in headers)


def _message_member(shape: StructureShape) -> str:
    """Its name on the wire. Models call it `message` or `Message`; what has neither gets the first."""
    names = (str(member.serialization.get("name", name)) for name, member in shape.members.items())
    return next((name for name in names if name.lower() == "message"), "message")

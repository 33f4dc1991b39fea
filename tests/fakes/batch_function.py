"""A function fed by an event source mapping: it answers as told, and remembers every delivery."""

import asyncio
import uuid
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import msgspec

from workshape.functions.model import LATEST, InvocationResult, RequestId

Records = list[dict[str, Any]]
Answer = Callable[[Records], Any]


class FunctionFails(Exception):
    """Raised by an answer: the function's own failure, which is a result."""


def succeed(_records: Records) -> None:
    """Return nothing, as most functions do."""


@dataclass
class BatchFunction:
    """An `InvokeFunction`. `answer` gets the records and returns what the function returns."""

    answer: Answer = succeed
    takes_s: float = 0.0
    held: asyncio.Event | None = None
    """It waits for that."""
    payloads: list[bytes] = field(default_factory=list)
    trace_ids: list[str] = field(default_factory=list)
    deliveries: Counter[str] = field(default_factory=Counter)
    """How often each body came."""
    started: list[str] = field(default_factory=list)
    """The bodies in the order in which they came."""
    side_by_side: list[tuple[list[str], list[str]]] = field(default_factory=list)
    """The bodies of each two batches that were under way at the same time."""
    running: int = 0
    running_max: int = 0
    refuse: Callable[[], Exception | None] = lambda: None
    """Asked before each invocation; what it returns is raised."""
    refused: int = 0
    _under_way: list[list[str]] = field(default_factory=list)

    async def __call__(
        self, name: str, qualifier: str | None, payload: bytes, trigger: str, *, trace_id: str = ""
    ) -> InvocationResult:
        if (refusal := self.refuse()) is not None:
            self.refused += 1
            raise refusal
        self.payloads.append(payload)
        self.trace_ids.append(trace_id)
        records = msgspec.json.decode(payload)["Records"]
        bodies = [record["body"] for record in records]
        self.deliveries.update(bodies)
        self.started += bodies
        self.side_by_side += [(other, bodies) for other in self._under_way]
        self._under_way.append(bodies)
        self.running += 1
        self.running_max = max(self.running_max, self.running)
        try:
            await asyncio.sleep(self.takes_s)
            if self.held is not None:
                await self.held.wait()
            returned = msgspec.json.encode(self.answer(records))
            return InvocationResult(RequestId(str(uuid.uuid4())), returned, LATEST)
        except FunctionFails as error:
            body = msgspec.json.encode({"errorType": "FunctionFails", "errorMessage": str(error)})
            return InvocationResult(RequestId(str(uuid.uuid4())), body, LATEST, "Unhandled")
        finally:
            self.running -= 1
            self._under_way.remove(bodies)


def report(failed: Callable[[str], bool]) -> Answer:
    """Report the records whose body is `failed` as batch item failures."""

    def answer(records: Records) -> Any:
        names = [record["messageId"] for record in records if failed(record["body"])]
        return {"batchItemFailures": [{"itemIdentifier": name} for name in names]}

    return answer

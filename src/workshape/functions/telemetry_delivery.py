"""Sends an environment's telemetry to the extensions that subscribed to it.

Source: https://docs.aws.amazon.com/lambda/latest/dg/telemetry-api.html
"""

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from math import inf
from typing import Any

import httptools

from workshape.clock import Clock
from workshape.functions.log_level import LogLevel
from workshape.functions.runtime_answers import JSON, refusal
from workshape.functions.telemetry import (
    Category,
    InvalidSubscription,
    Subscription,
    TelemetryBuffer,
    read_subscription,
    telemetry_event,
)
from workshape.http1.client import HttpClient
from workshape.http1.message import Request, Response

TELEMETRY_PATH = "/2022-07-01/telemetry"
EARLY_EVENTS_MAX = 1_000  # kept in the init phase for those who subscribe in it
SEND_S_MAX = 900.0  # a frozen listener answers when it is thawed: at the longest after what an invocation may take
RETRY_S_MIN = 0.05
RETRY_S_MAX = 2.0
LISTENER_NAME = "sandbox.localdomain"
"""By it a listener is called. No function's listener is anything else's: what gets this name can tell."""
_HOST = "127.0.0.1"  # what is inside an environment listens there: environments have no network of their own yet

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class LogDetails:
    """The log of a function that logs in JSON."""

    least: LogLevel
    """What it wants of the platform."""
    write: Callable[[bytes, float], None]
    """Takes a line, and when it was written (Unix time)."""


class Telemetry:
    """What one environment tells about itself. Costs next to nothing while nobody listens."""

    def __init__(self, clock: Clock, *, keeps_early: bool, log: LogDetails | None = None) -> None:
        """`keeps_early`: there are extensions that may subscribe, so keep what happens before they do.

        `log` gets those events of the platform that are detailed enough for it.
        """
        self._clock = clock
        self._log = log
        self._early: deque[tuple[Category, bytes]] | None = deque(maxlen=EARLY_EVENTS_MAX) if keeps_early else None
        self._subscribers: dict[str, _Subscriber] = {}
        self.is_heard = keeps_early
        """Somebody listens, or may yet."""

    def __repr__(self) -> str:
        return f"<Telemetry subscribers={list(self._subscribers)}>"

    def hears(self, level: LogLevel) -> bool:
        """Tell whether anybody listens to an event that is as detailed as this in a log."""
        return self.is_heard or (self._log is not None and level >= self._log.least)

    def publish(self, category: Category, kind: str, record: Any, level: LogLevel | None = None) -> None:
        """Tell an event; a log line's record is its bytes. With a `level` it is for the function's log, too."""
        if self._log is not None and level is not None and level >= self._log.least:
            at = self._clock.wall_s()
            self._log.write(telemetry_event(at, kind, record), at)
        if not self.is_heard:
            return
        if isinstance(record, bytes):
            record = record.decode(errors="replace")
        event = telemetry_event(self._clock.wall_s(), kind, record)
        if self._early is not None:
            self._early.append((category, event))
        for subscriber in self._subscribers.values():
            subscriber.offer(category, event)

    def init_ended(self) -> None:
        """Nobody may subscribe any more."""
        self._early = None
        self.is_heard = bool(self._subscribers)

    def subscribe(self, name: str, request: Request) -> Response:
        """Answer PUT /telemetry of an extension; a second one replaces the first."""
        try:
            subscription = read_subscription(request.body)
        except InvalidSubscription as error:
            return refusal(400, "ValidationError", str(error))
        former = self._subscribers.pop(name, None)
        if former is not None:
            former.stop()
        subscriber = _Subscriber(subscription, self._clock)
        self._subscribers[name] = subscriber
        self.is_heard = True
        for category, event in self._early or ():
            subscriber.offer(category, event)
        record = {"name": name, "state": "Subscribed", "types": subscription.types}
        self.publish("platform", "platform.telemetrySubscription", record)
        return Response(200, JSON, b'"OK"\n')

    def flush(self) -> None:
        """Send what waits."""
        for subscriber in self._subscribers.values():
            subscriber.flush()

    async def close(self) -> None:
        """Send no more."""
        await asyncio.gather(*(subscriber.close() for subscriber in self._subscribers.values()))


class _Subscriber:
    """Sends one extension its batches, one after the other."""

    def __init__(self, subscription: Subscription, clock: Clock) -> None:
        self._subscription = subscription
        self._clock = clock
        self._buffer = TelemetryBuffer(subscription.buffering)
        self._arrived = asyncio.Event()
        self._http = HttpClient(_HOST, subscription.port)
        self._stream: asyncio.StreamWriter | None = None
        self._task = asyncio.get_running_loop().create_task(self._run())

    def offer(self, category: Category, event: bytes) -> None:
        """Take an event if it is of those subscribed to."""
        if category in self._subscription.types:
            self._buffer.add(event, self._clock.monotonic_s())
            self._arrived.set()

    def flush(self) -> None:
        self._buffer.flush()
        self._arrived.set()

    def stop(self) -> None:
        self._task.cancel()

    async def close(self) -> None:
        self._task.cancel()
        await asyncio.wait({self._task})

    async def _run(self) -> None:
        try:
            while True:
                await self._until_due()
                await self._deliver(self._buffer.take(self._clock.wall_s()))
        finally:
            if self._stream is not None:
                self._stream.close()
            await self._http.close()

    async def _until_due(self) -> None:
        while (delay_s := self._buffer.due() - self._clock.monotonic_s()) > 0:
            self._arrived.clear()
            try:
                async with asyncio.timeout(delay_s if delay_s < inf else None):
                    await self._arrived.wait()
            except TimeoutError:
                pass  # then it is due

    async def _deliver(self, batch: list[bytes]) -> None:
        """Send a batch, again and again while nobody takes it: the buffer behind it is bounded."""
        delay_s = RETRY_S_MIN
        while True:
            try:
                await (self._post(batch) if self._subscription.protocol == "HTTP" else self._write(batch))
                return
            except (OSError, httptools.HttpParserError) as error:
                _log.debug("telemetry_not_delivered", extra={"port": self._subscription.port, "reason": str(error)})
            await asyncio.sleep(delay_s)
            delay_s = min(2 * delay_s, RETRY_S_MAX)

    async def _post(self, batch: list[bytes]) -> None:
        headers = (("host", f"{LISTENER_NAME}:{self._subscription.port}"), ("content-type", "application/json"))
        request = Request("POST", self._subscription.target, headers, b"[" + b",".join(batch) + b"]")
        answer = await self._http.send(request, SEND_S_MAX)
        if answer.status >= 300:
            raise OSError(f"the listener answered {answer.status}")

    async def _write(self, batch: list[bytes]) -> None:
        if self._stream is None or self._stream.is_closing():
            _, self._stream = await asyncio.open_connection(_HOST, self._subscription.port)
        self._stream.write(b"".join(event + b"\n" for event in batch))
        await self._stream.drain()

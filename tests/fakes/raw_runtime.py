"""A runtime, or an extension, that says exactly what it is told to: bytes on one connection."""

import asyncio
import json
from dataclasses import dataclass
from typing import Any, Self

RUNTIME = "/2018-06-01/runtime/"


@dataclass(frozen=True, slots=True)
class Answer:
    """What the platform answered."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """The body's value."""
        return json.loads(self.body)


class RawRuntime:
    """One connection. Targets are below the Runtime API's path unless they begin with a slash."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    @classmethod
    async def connect(cls, address: str) -> Self:
        """Connect to an environment's API."""
        host, _, port = address.rpartition(":")
        return cls(*await asyncio.open_connection(host, int(port), limit=64 * 1024 * 1024))

    async def send(self, data: bytes) -> None:
        """Send bytes as they are."""
        self._writer.write(data)
        await self._writer.drain()

    async def send_head(self, method: str, target: str, headers: str = "") -> None:
        """Send a request's head; each header line ends with CRLF."""
        path = target if target.startswith("/") else RUNTIME + target
        await self.send(f"{method} {path} HTTP/1.1\r\nHost: x\r\n{headers}\r\n".encode())

    async def send_next(self) -> None:
        """Send GET next and do not wait for its answer."""
        await self.send_head("GET", "invocation/next")

    async def get(self, target: str, headers: str = "") -> Answer:
        """Send a GET and wait."""
        await self.send_head("GET", target, headers)
        return await self.answer()

    async def post(self, target: str, body: bytes, headers: str = "") -> Answer:
        """Send a POST and wait; its length is declared unless `headers` says that it comes in chunks."""
        length = "" if "chunked" in headers else f"Content-Length: {len(body)}\r\n"
        await self.send_head("POST", target, headers + length)
        await self.send(body)
        return await self.answer()

    async def answer(self) -> Answer:
        """Read the next answer."""
        head = (await self._reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        first, *lines = head.rstrip().split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        body = await self._reader.readexactly(int(headers.get("content-length", "0")))
        return Answer(int(first.split()[1]), headers, body)

    async def ended(self) -> bool:
        """Wait until the platform closes the connection; True unless it said something more."""
        try:
            return await self._reader.read(1) == b""
        except ConnectionResetError:
            return True

    async def close(self) -> None:
        """Go away."""
        self._writer.close()

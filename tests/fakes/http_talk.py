"""An HTTP/1.1 server of ours, spoken to in bytes."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from workshape.http1.message import Request, Response
from workshape.http1.server import Handler, HttpServer, Limits, serve_tcp


async def echo(request: Request) -> Response:
    """Answer with what was asked."""
    return Response(200, (), f"{request.method} {request.target} ".encode() + request.body)


@asynccontextmanager
async def talking_to(
    handler: Handler, limits: Limits | None = None
) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter, HttpServer]]:
    """Serve a handler, and connect to it."""
    server = await serve_tcp(handler, "127.0.0.1", 0, limits)
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    try:
        async with asyncio.timeout(10):
            yield reader, writer, server
    finally:
        writer.close()
        await server.close()


async def response(reader: asyncio.StreamReader) -> tuple[int, dict[str, str], bytes]:
    """Read a response whose length its head says: status, headers, body."""
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in head[1:-2])}
    body = await reader.readexactly(int(headers.get("content-length", "0")))
    return int(head[0].split()[1]), headers, body

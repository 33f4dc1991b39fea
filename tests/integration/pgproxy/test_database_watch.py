"""The database watch, before a server that is being shut down."""

import asyncio
import struct
from contextlib import suppress
from pathlib import Path

from workshape.clock import Clock
from workshape.database_watch import DatabaseWatch
from workshape.pgproxy.messages import AUTHENTICATION, ERROR_RESPONSE, PARAMETER_STATUS, READY_FOR_QUERY, message
from workshape.run import DatabaseRun, ProcessMark, RunFile
from workshape.settings import Settings

VERSION = b"server_version\0" + b"17.0\0"
WELCOME = (
    message(AUTHENTICATION, struct.pack("!i", 0)) + message(PARAMETER_STATUS, VERSION) + message(READY_FOR_QUERY, b"I")
)
SHUT_DOWN = message(ERROR_RESPONSE, b"SFATAL\0C57P01\0Mterminating connection due to administrator command\0\0")


class EndingServer:
    """Lets everybody in and says at once that it shuts down; that the connection is closed, nobody hears yet."""

    def __init__(self) -> None:
        self.came = asyncio.Semaphore(0)
        self.over = asyncio.Event()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.came.release()
        with suppress(OSError):
            await reader.read(1_024)
            writer.write(WELCOME + SHUT_DOWN)
            await self.over.wait()
        writer.close()


async def test_a_server_that_ends_between_two_questions_is_asked_again(tmp_path: Path) -> None:
    ending = EndingServer()
    listening = await asyncio.start_server(ending.serve, "127.0.0.1", 0)
    port = listening.sockets[0].getsockname()[1]
    database = DatabaseRun("", "127.0.0.1", port, "shop", "app", "secret", embedded=True)
    run = RunFile(
        str(tmp_path), str(tmp_path / "state"), Settings(), ProcessMark("supervisor", 1, ""), database=database
    )
    watch = asyncio.create_task(DatabaseWatch(run, Clock(), list).run())

    async with listening, asyncio.timeout(30):
        for _ in range(3):
            await ending.came.acquire()  # it has come again
        watch.cancel()
        ending.over.set()
        with suppress(asyncio.CancelledError):
            await watch

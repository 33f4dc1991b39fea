"""What `benchmarks.sqs` measures: the front door with SQS behind it, in a process of its own.

python -m benchmarks.sqs_server PORT FOLDER
"""

import asyncio
import sys
from pathlib import Path

import uvloop

from workshape.aws.door import Door
from workshape.aws.sqs.service import sqs_service
from workshape.aws.upstream import Upstream
from workshape.clock import Clock
from workshape.http1.message import Request, Response
from workshape.queues.broker import Broker
from workshape.settings import Settings


async def serve(port: int, folder: Path) -> None:
    """Answer until killed."""
    settings = Settings()
    broker = await Broker.open(folder, Clock(), region=settings.region, account=settings.account)
    door = Door([sqs_service(broker)], Upstream({}), settings=settings, admin=_nothing, clock=Clock())
    await door.start("127.0.0.1", port)
    await asyncio.Event().wait()


async def _nothing(_request: Request) -> Response:
    return Response(404)


if __name__ == "__main__":
    uvloop.run(serve(int(sys.argv[1]), Path(sys.argv[2])))

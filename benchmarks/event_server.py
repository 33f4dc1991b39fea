"""What `benchmarks.schedules` measures: a whole engine, in a process of its own.

python -m benchmarks.event_server PORT FOLDER
"""

import os
import sys
from pathlib import Path

import uvloop

from workshape.cli.ports import free_ports
from workshape.engine.engine import Engine
from workshape.run import RunFile, mark_process
from workshape.settings import FunctionSettings, Ports, Settings


async def serve(port: int, folder: Path) -> None:
    """Answer until killed."""
    settings = Settings(
        ports=Ports(endpoint=port, console=free_ports("127.0.0.1", 1)[0]),
        functions=FunctionSettings(allow_substitute=True),
    )
    run = RunFile(str(folder), str(folder / ".workshape"), settings, mark_process("supervisor", os.getppid()))
    async with Engine(run, None) as engine:
        await engine.run()


if __name__ == "__main__":
    uvloop.run(serve(int(sys.argv[1]), Path(sys.argv[2])))

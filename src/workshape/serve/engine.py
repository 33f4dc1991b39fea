"""The engine's process: everything but the proxy."""

import sys
from pathlib import Path

from workshape.app.toml import load_app
from workshape.engine.engine import Engine
from workshape.run import RunFile
from workshape.serve.part import Ready, run_part


async def run_engine(run: RunFile, ready: Ready) -> None:
    """Serve everything but the proxy, until cancelled."""
    app = load_app(Path(run.folder))[0] if run.app_file is not None else None
    async with Engine(run, app) as engine:
        await engine.run(ready)


if __name__ == "__main__":
    sys.exit(run_part("engine", run_engine, sys.argv[1:]))

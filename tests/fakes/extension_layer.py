"""Layers with external extensions."""

import json
from pathlib import Path
from typing import Any

from tests.fakes import obedient_extension
from tests.fakes.live_functions import PYTHON


class Layer:
    """An /opt with extensions that do as their plans say."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "extensions").mkdir(parents=True)
        (folder / "plans").mkdir()

    def add(self, name: str, *, executable: bool = True, **plan: Any) -> None:
        """Put an extension there; see `obedient_extension.py` for its plan."""
        program = self.folder / "extensions" / name
        program.write_text(f"#!{PYTHON}\n" + Path(obedient_extension.__file__).read_text())
        program.chmod(0o755 if executable else 0o644)
        (self.folder / "plans" / f"{name}.json").write_text(json.dumps({"events": ["INVOKE", "SHUTDOWN"], **plan}))

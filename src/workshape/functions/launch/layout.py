"""Where a runtime finds what it needs: at Lambda's places in a sandbox, at the host's own without one."""

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from workshape.functions.launch import sandbox
from workshape.functions.launch.runtimes import CLIENTS, RuntimePlan
from workshape.functions.model import FunctionVersion


@dataclass(frozen=True, slots=True)
class Layout:
    """Paths as the environment's processes see them."""

    task: str
    """LAMBDA_TASK_ROOT."""
    runtime: str
    """LAMBDA_RUNTIME_DIR."""
    layers: str
    """What is /opt on Lambda; empty: there are none."""
    home: str
    """The interpreter's folder."""
    client: str
    """The folder of our runtime clients."""
    temporary: str = ""
    """A folder of its own where /tmp is the machine's; empty: /tmp is the environment's own."""

    def place(self, arguments: Iterable[str]) -> list[str]:
        """Put paths in the place of `{task}`, `{runtime}`, `{home}` and `{client}`."""
        return [
            argument.replace("{task}", self.task)
            .replace("{runtime}", self.runtime)
            .replace("{home}", self.home)
            .replace("{client}", self.client)
            for argument in arguments
        ]

    def import_path(self, library: str) -> list[str]:
        """List where Python looks for modules before its own library.

        Source: https://docs.aws.amazon.com/lambda/latest/dg/python-package.html (search path)
        """
        layers = [f"{self.layers}/python/lib/{library}/site-packages", f"{self.layers}/python"] if self.layers else []
        return [self.task, *layers, self.runtime]

    def runtime_variables(self, plan: RuntimePlan) -> dict[str, str]:
        """Return what the runtime's own variables are.

        Source: https://docs.aws.amazon.com/lambda/latest/dg/configuration-envvars.html (NODE_PATH, PYTHONPATH)
        """
        if plan.library:
            own = {} if not self.temporary else dict(plan.variables)
            return {**own, "PYTHONPATH": ":".join(self.import_path(plan.library)[1:])}
        if plan.node_major:
            layers = [f"{self.layers}/nodejs/node{plan.node_major}/node_modules", f"{self.layers}/nodejs/node_modules"]
            return {"NODE_PATH": ":".join([*(layers if self.layers else []), f"{self.runtime}/node_modules"])}
        return {}


def sandboxed(plan: RuntimePlan) -> Layout:
    """Tell where things are in a sandbox: the same for every function."""
    client = sandbox.CLIENTS
    return Layout(sandbox.TASK, sandbox.RUNTIME, sandbox.LAYERS, plan.home.at or plan.home.path, client)


def unconfined(plan: RuntimePlan, function: FunctionVersion, temporary: Path) -> Layout:
    """Tell where things are on the host; `temporary` is a folder of the environment's own."""
    code = os.path.realpath(function.code_folder)
    return Layout(code, plan.folder, function.opt_folder, plan.home.path, str(CLIENTS), str(temporary))

"""How environments of one revision are started: worked out once, so that a start only fills in what is its own."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import msgspec

from workshape.functions.launch.extensions import extension_names
from workshape.functions.launch.layout import Layout, sandboxed, unconfined
from workshape.functions.launch.runtimes import RuntimePlan
from workshape.functions.launch.spawn_channel import SpawnOrder, StemKind
from workshape.functions.launch.variables import Variables
from workshape.functions.model import EnvironmentId, FunctionName, FunctionVersion, InitializationType

_BYTES_PER_MB = 1024 * 1024


@dataclass(frozen=True, slots=True)
class LaunchOrder:
    """What one environment is to run."""

    environment: EnvironmentId
    function: FunctionVersion
    runtime_api_address: str
    initialization_type: InitializationType
    log_group: str
    log_stream: str
    variables: Mapping[str, str]
    """The platform's: region, credentials, AWS_ENDPOINT_URL ... The function's own come from its version."""
    waiting: int = 0
    """How many more environments are about to be started."""
    is_snapshot: bool = False
    """It serves nobody: its version's snapshot is taken of it."""


class Recipe:
    """One revision's, in a sandbox unless it is told otherwise. Paths are looked up once."""

    def __init__(
        self, function: FunctionVersion, plan: RuntimePlan, show: Sequence[str], layout: Layout | None = None
    ) -> None:
        """`show` lists files that functions may read although they are outside of what a sandbox shows.

        Without a `layout` it is that of a sandbox.
        """
        self.plan = plan
        self._function = function
        self._show = show
        layout = layout or sandboxed(plan)
        self.kind = _image_kind(show) if function.image is not None else _stem_kind(plan, layout, show)
        """Of the stems that its environments can be made of."""
        self._variables = Variables(function, plan, layout)
        self._message = _message(function, plan, layout)
        self._code = os.path.realpath(function.code_folder)
        self._layers = os.path.realpath(function.opt_folder) if function.opt_folder else ""
        self._platform: Mapping[str, str] = {}
        self._fitting: SpawnOrder | None = None

    def __repr__(self) -> str:
        return f"<Recipe {self._function.name} {self._function.revision}>"

    @property
    def function(self) -> FunctionName:
        """Whose it is."""
        return self._function.name

    def unconfined(self, temporary: Path) -> "Recipe":
        """Return that of an environment without a sandbox; `temporary` is a folder of its own."""
        return Recipe(self._function, self.plan, self._show, unconfined(self.plan, self._function, temporary))

    def order(self, launch: LaunchOrder, *, copied: bool = False, restore: int = 0) -> SpawnOrder:
        """Tell a spawner to start an environment: one that is to be `copied`, or a copy of the process `restore`."""
        order = self._spawn_order(self._whole(launch, copied=copied), restore)
        return replace(order, waiting=launch.waiting, copied=copied)

    def fitting(self, platform: Mapping[str, str], restore: int = 0) -> SpawnOrder:
        """Tell a spawner to fit a stem for what `order` would start, which then waits for the `rest` of its order."""
        if self._fitting is None or self._fitting.restore != restore or self._platform != platform:
            order = ""
            if self.plan.interpreter and not restore:
                order = _encoded({**self._message, "variables": self._variables.common(platform), "rest": True})
            self._platform, self._fitting = platform, replace(self._spawn_order(order, restore), is_whole=False)
        return self._fitting

    def rest(self, launch: LaunchOrder, fitting: SpawnOrder) -> str:
        """Write what a stem that was fitted so is yet to be told."""
        return _encoded({"variables": self._own(launch)}) if fitting.order else self._whole(launch)

    def _whole(self, launch: LaunchOrder, *, copied: bool = False) -> str:
        variables = self._variables.common(launch.variables) | self._own(launch)
        return _encoded({**self._message, "variables": variables, "copied": copied})

    def _own(self, launch: LaunchOrder) -> dict[str, str]:
        return self._variables.own(
            runtime_api_address=launch.runtime_api_address,
            initialization_type=launch.initialization_type,
            log_group=launch.log_group,
            log_stream=launch.log_stream,
        )

    def _spawn_order(self, order: str, restore: int) -> SpawnOrder:
        function = self._function
        of_image = function.image is not None
        return SpawnOrder(
            self.kind,
            order,
            code="" if of_image else self._code,
            layers="" if of_image else self._layers,
            image=self._code if of_image else "",
            tmp_mb=function.ephemeral_storage_mb,
            memory_bytes=function.memory_mb * _BYTES_PER_MB,
            restore=restore,
        )


def _encoded(message: dict[str, Any]) -> str:
    return msgspec.json.encode(message).decode()


def _message(function: FunctionVersion, plan: RuntimePlan, layout: Layout) -> dict[str, Any]:
    """Return what an order says beside its variables."""
    if function.image is not None:
        return {"arguments": list(plan.arguments), "folder": function.image.working_directory}
    message: dict[str, Any] = {"folder": layout.task}
    if plan.interpreter:
        path = layout.import_path(plan.library)
        message |= {"handler": function.handler, "import_path": path, "runtime_folder": layout.runtime}
    elif plan.boot:
        message |= {"handler": function.handler}
    elif plan.is_custom:
        folders = [layout.task, layout.layers] if layout.layers else [layout.task]
        message |= {"bootstraps": [f"{folder}/bootstrap" for folder in folders]}
    else:
        message |= {"arguments": layout.place(plan.arguments)}
    if extension_names(function.opt_folder):
        message["extensions"] = layout.layers
    return message


def _image_kind(show: Sequence[str]) -> StemKind:
    return StemKind(show=[(path, "") for path in show])


def _stem_kind(plan: RuntimePlan, layout: Layout, show: Sequence[str]) -> StemKind:
    # A spawner that has loaded its runtime shows what that needs from the start.
    needed = () if plan.interpreter else (plan.home, *plan.show)
    return StemKind(
        layout.place(plan.boot),
        layout.runtime_variables(plan) if plan.boot else {},
        [*((each.path, each.at) for each in needed if each.path), *((path, "") for path in show)],
    )

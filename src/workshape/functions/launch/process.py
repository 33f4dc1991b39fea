"""Execution environments as processes of this machine.

What holds: all of an environment's processes end with it, daemons included (see `spawner.py` for what that needs); no
environment outlives the engine; a frozen environment runs nothing; its variables are Lambda's, the platform's and the
function's, none of the host's. On Linux, as root: the sandbox (`sandbox.py`), and the limits of control groups
(`cgroups.py`). A function of an image has the image's root folder for its root, and does not start
without a sandbox. `workshape
doctor` tells which parts hold on a machine, and why others do not.

Without a sandbox /tmp is the machine's (TMPDIR and HOME name a folder of the environment's own, without a quota), the
task root can be written, and the host's files and other processes can be seen.
"""

import asyncio
import logging
import os
import shutil
import stat
import sys
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from workshape.errors import PlatformError
from workshape.functions.launch.cgroups import OUT_OF_MEMORY, CgroupFolders
from workshape.functions.launch.environment_process import EnvironmentProcess
from workshape.functions.launch.exit_words import exit_words
from workshape.functions.launch.fitted import FittedStems
from workshape.functions.launch.interpreters import InterpreterMissing, Interpreters, RuntimeUnknown
from workshape.functions.launch.output import OutputLines
from workshape.functions.launch.recipe import LaunchOrder, Recipe
from workshape.functions.launch.refused_sandbox import NOT_ROOT
from workshape.functions.launch.runtimes import RuntimePlan, Runtimes
from workshape.functions.launch.spawn_channel import Configuration, SpawnChannel, Spawned
from workshape.functions.launch.zygotes import NO_SNAPSHOT
from workshape.functions.model import EnvironmentId, FunctionName, FunctionVersion, InitializationType
from workshape.settings import FunctionSettings

LAST_OUTPUT_S_MAX = 1.0
"""How long `on_exit` waits for the end of the output: only a process that escaped us can hold the pipe longer."""
_OPEN = stat.S_IROTH | stat.S_IXOTH
RECIPES_MAX = 10_000  # how to start a revision is kept for so many of them, then worked out anew

_log = logging.getLogger(__name__)


class EnvironmentStartFailed(PlatformError):
    """No environment of {function} could be started: {reason}"""

    function: str
    reason: str


class ProcessLauncher:
    """Starts environments. One for each engine; made inside its event loop."""

    def __init__(
        self,
        folder: Path,
        settings: FunctionSettings,
        *,
        notify: Callable[[str], None] = lambda _note: None,
        show: Sequence[str] = (),
    ) -> None:
        """`folder` holds scratch space; `notify` hears what the user should know, each thing once.

        `show` lists files that functions may read although they are outside of what a sandbox shows.
        """
        self._folder = folder.absolute()
        self._settings = settings
        self._show = [os.path.realpath(path) for path in show]
        interpreters = Interpreters(allow_substitute=settings.allow_substitute)
        self._runtimes = Runtimes(self._folder / "runtimes", interpreters, notify, stems=settings.start == "stem")
        self._recipes: dict[str, Recipe] = {}
        self._fitted = FittedStems(is_kept=settings.start == "stem" and settings.stems > 0)
        self._channels: dict[str, SpawnChannel] = {}
        self._cgroups: CgroupFolders | None = None
        self._started = 0
        self._cleaning: set[asyncio.Future[None]] = set()
        self._kept: dict[str, _Kept] = {}
        """By their functions' revisions."""
        self.on_missing_snapshot: Callable[[FunctionVersion], None] = lambda _function: None
        """An environment could have been copied of a snapshot, if that were there."""
        self.on_restored: Callable[[FunctionVersion], None] = lambda _function: None

    def __repr__(self) -> str:
        return f"<ProcessLauncher spawners={len(self.spawners())} fitted={len(self._fitted)}>"

    async def prepare(self, function: FunctionVersion) -> None:
        """Have stems ready for a function's runtime, before its first environment is wanted.

        Raises:
            EnvironmentStartFailed: none of its environments will start.
        """
        try:
            recipe = await self._recipe(function)
            channel = self._channel(recipe.plan)
            if not await channel.sandbox and function.image is None:
                channel.stock(recipe.kind)
        except (InterpreterMissing, RuntimeUnknown, OSError) as error:
            raise EnvironmentStartFailed(function=function.name, reason=str(error)) from error

    async def start(
        self,
        order: LaunchOrder,
        *,
        on_output: Callable[[EnvironmentId, bytes], None],
        on_exit: Callable[[EnvironmentId, str], None],
    ) -> EnvironmentProcess:
        """Start an environment; its runtime will speak to `runtime_api_address`, or over the process's `connection`.

        `on_output` gets one line at a time, without its newline. `on_exit` is called once, in Lambda's words:
        `exit status 1`, `signal: killed`.

        Raises:
            EnvironmentStartFailed: no interpreter for the runtime, no code folder, or the machine refuses a process.
        """
        function = order.function
        try:
            _check_code(function)
            recipe = self._recipes.get(function.revision)
            if recipe is None:
                recipe = await self._recipe(function)
            channel = self._channel(recipe.plan)
            if order.initialization_type is InitializationType.SNAP_START and recipe.plan.interpreter:
                process = await self._start_from_snapshot(order, recipe, channel, on_output, on_exit)
                if process is not None:
                    return process
            return await self._start(order, recipe, channel, on_output, on_exit)
        except (InterpreterMissing, RuntimeUnknown, OSError) as error:
            raise EnvironmentStartFailed(function=function.name, reason=str(error)) from error

    async def keep(self, function: FunctionVersion, process: EnvironmentProcess, lost: Callable[[], None]) -> str:
        """Keep a process that has come to its snapshot, for `start` to copy it; return why it cannot be, if so.

        `lost` is called when it ends by itself.
        """

        def gone() -> None:
            self._kept.pop(function.revision, None)
            self._fitted.forget(function.revision)
            lost()

        recipe = self._recipes.get(function.revision) or await self._recipe(function)
        channel = self._channel(recipe.plan)
        reason = await channel.keep(process.pid, gone)
        if not reason:
            self._kept[function.revision] = _Kept(process, channel, lost)
        return reason

    def drop(self, function: FunctionVersion) -> None:
        """Keep the process of a function's snapshot no more. Its copies go on."""
        kept = self._kept.pop(function.revision, None)
        if kept is not None:
            self._fitted.forget(function.revision)
            kept.channel.drop(kept.process.pid)

    def retire(self, name: FunctionName, kept_revisions: Collection[str]) -> None:
        """A function has changed, or is gone: have nothing ready for any other revision of it than these."""
        for revision, recipe in list(self._recipes.items()):
            if recipe.function == name and revision not in kept_revisions:
                del self._recipes[revision]
                self._fitted.forget(revision)

    async def why_no_sandbox(self) -> str:
        """Say why environments have no sandbox on this machine; empty: they have one.

        Raises:
            OSError: the process that starts environments cannot be started.
        """
        return await self._channel(RuntimePlan(())).sandbox

    async def why_no_disks(self) -> str:
        """Say why /tmp of environments is not on disk on this machine; empty: it is.

        Raises:
            OSError: the process that starts environments cannot be started.
        """
        return await self._channel(RuntimePlan(())).why_no_disks()

    def spawners(self) -> list[int]:
        """The process ids of the spawners there are."""
        return [channel.pid for channel in self._channels.values() if channel.alive]

    def cgroups(self) -> CgroupFolders:
        """The control groups that environments get their limits from."""
        if self._cgroups is None:
            mounts = memberships = ""
            if Path("/proc/self/cgroup").exists():
                mounts, memberships = Path("/proc/self/mounts").read_text(), Path("/proc/self/cgroup").read_text()
            self._cgroups = CgroupFolders.open(mounts, memberships, f"workshape-{os.getpid()}")
            for controller, reason in self._cgroups.missing.items():
                _log.info("limit_not_kept", extra={"controller": controller, "reason": reason})
        return self._cgroups

    async def close(self) -> None:
        """Kill every environment still there and remove the scratch space."""
        await self._fitted.close()
        await asyncio.gather(*(channel.close() for channel in self._channels.values()))
        await asyncio.gather(*self._cleaning)
        await self._runtimes.close()
        if self._cgroups is not None:
            self._cgroups.close()
        shutil.rmtree(self._folder / "tmp", ignore_errors=True)
        shutil.rmtree(self._folder / "roots", ignore_errors=True)

    async def _recipe(self, function: FunctionVersion) -> Recipe:
        recipe = Recipe(function, await self._runtimes.plan(function), self._show)
        if len(self._recipes) >= RECIPES_MAX:
            self._recipes.clear()
        self._recipes[function.revision] = recipe
        return recipe

    def _channel(self, plan: RuntimePlan) -> SpawnChannel:
        """Return a runtime's spawner: one for each interpreter that loads something first, one for the rest."""
        key = plan.interpreter
        channel = self._channels.get(key)
        if channel is not None and channel.alive:
            return channel
        if not any(each.alive for each in self._channels.values()):
            # Whatever an engine that was killed has left behind is nobody's now.
            shutil.rmtree(self._folder / "tmp", ignore_errors=True)
            shutil.rmtree(self._folder / "roots", ignore_errors=True)
        reason = plan.why_no_sandbox or _why_no_root()
        root = self._folder / "roots" / str(len(self._channels))
        root.mkdir(parents=True, exist_ok=True)
        configuration = Configuration(
            interpreter=plan.interpreter or sys.executable,
            python_folder=plan.folder if plan.interpreter else "",
            root="" if reason else os.path.realpath(root),
            why_no_root=reason,
            disks=os.path.realpath(self._folder / "disks"),
            show=[(each.path, each.at) for each in plan.show] if plan.interpreter else [],
            cgroups=self.cgroups().folders,
            stems=self._settings.stems if self._settings.start == "stem" else 0,
        )
        channel = self._channels[key] = SpawnChannel(configuration)
        channel.start()
        return channel

    async def _start_from_snapshot(
        self,
        order: LaunchOrder,
        recipe: Recipe,
        channel: SpawnChannel,
        on_output: Callable[[EnvironmentId, bytes], None],
        on_exit: Callable[[EnvironmentId, str], None],
    ) -> EnvironmentProcess | None:
        """Start what is to be copied, or a copy; None: it has to begin from the start, as others do."""
        function = order.function
        kept = self._kept.get(function.revision)
        if await channel.sandbox:
            return None
        if not order.is_snapshot and kept is None:
            self.on_missing_snapshot(function)
            return None
        restore = 0 if order.is_snapshot or kept is None else kept.process.pid
        try:
            process = await self._start(
                order, recipe, channel, on_output, on_exit, copied=order.is_snapshot, restore=restore
            )
        except OSError as error:  # nobody shall see more of it than a slower start
            _log.warning("snapshot_not_used", extra={"function": function.name, "reason": str(error)})
            if kept is not None and str(error) == NO_SNAPSHOT:
                self.drop(function)
                kept.lost()
                self.on_missing_snapshot(function)
            return None
        process.is_copied, process.is_restored = order.is_snapshot, bool(restore)
        if restore:
            self.on_restored(function)
        return process

    async def _start(
        self,
        order: LaunchOrder,
        recipe: Recipe,
        channel: SpawnChannel,
        on_output: Callable[[EnvironmentId, bytes], None],
        on_exit: Callable[[EnvironmentId, str], None],
        *,
        copied: bool = False,
        restore: int = 0,
    ) -> EnvironmentProcess:
        environment = order.environment
        scratch: Path | None = None
        if reason := await channel.sandbox:
            if order.function.image is not None:
                raise OSError(f"functions of images need a sandbox, and there can be none here: {reason}")
            scratch = self._scratch(environment)
            recipe = recipe.unconfined(scratch)
        elif order.function.image is None:
            _check_open(order.function.code_folder)
        ending = _Ending(lambda status: on_exit(environment, exit_words(status & ~OUT_OF_MEMORY)))
        process = EnvironmentProcess(channel.kill)

        def gone(status: int) -> None:
            process.ended(status)
            self._clean(scratch)
            ending.processes_ended(status)
            if process.output is not None:
                asyncio.get_running_loop().call_later(LAST_OUTPUT_S_MAX, process.output.close)

        try:
            if recipe.plan.in_stem and scratch is None and not copied:
                spawned = await self._spawn(order, recipe, channel, restore, gone)
            else:
                spawned = await channel.spawn(recipe.order(order, copied=copied), gone)
        except OSError:
            self._clean(scratch)
            raise
        process.began(spawned)
        if recipe.plan.in_stem:
            process.connection = spawned.connection
        else:
            spawned.connection.close()
        process.output = OutputLines(spawned.output, lambda line: on_output(environment, line), ending.output_ended)
        ending.started()
        return process

    async def _spawn(
        self, order: LaunchOrder, recipe: Recipe, channel: SpawnChannel, restore: int, ended: Callable[[int], None]
    ) -> Spawned:
        """Let a stem that is fitted become it, else any; have others fitted for the next ones."""
        revision, fitting = order.function.revision, recipe.fitting(order.variables, restore)
        spawned, stem = None, self._fitted.take(revision, channel, fitting)
        if stem is not None and (spawned := stem.tell(recipe.rest(order, fitting), ended)) is None:
            stem.end()
        if spawned is None:
            spawned = await channel.spawn(recipe.order(order, restore=restore), ended)
        if revision in self._recipes:  # else the function has changed meanwhile, or is gone
            self._fitted.started(revision, channel, fitting)
        return spawned

    def _scratch(self, environment: EnvironmentId) -> Path:
        self._started += 1
        scratch = self._folder / "tmp" / f"{self._started}-{environment}"
        scratch.mkdir(parents=True)
        return scratch

    def _clean(self, scratch: Path | None) -> None:
        if scratch is not None:
            loop = asyncio.get_running_loop()
            future = loop.run_in_executor(None, lambda: shutil.rmtree(scratch, ignore_errors=True))
            self._cleaning.add(future)
            future.add_done_callback(self._cleaning.discard)


@dataclass(frozen=True, slots=True)
class _Kept:
    """A process that is copied."""

    process: EnvironmentProcess
    channel: SpawnChannel
    lost: Callable[[], None]


def _why_no_root() -> str:
    if sys.platform != "linux":
        return f"there are no namespaces on {sys.platform}"
    return "" if os.geteuid() == 0 else NOT_ROOT


class _Ending:
    """Calls back once: when the processes are gone, their last output has been read (or does not come), and whoever
    started them holds them.
    """

    def __init__(self, ended: Callable[[int], None]) -> None:
        self._ended: Callable[[int], None] | None = ended
        self._status: int | None = None
        self._output_over = False
        self._started = False
        self._loop = asyncio.get_running_loop()

    def started(self) -> None:
        self._started = True
        self._settle()

    def processes_ended(self, status: int) -> None:
        self._status = status
        self._settle()

    def output_ended(self) -> None:
        self._output_over = True
        self._settle()

    def _settle(self) -> None:
        if self._started and self._output_over and self._status is not None and self._ended is not None:
            self._loop.call_soon(self._ended, self._status)
            self._ended = None


def _check_code(function: FunctionVersion) -> None:
    if not Path(function.code_folder).is_dir():
        raise FileNotFoundError(f"the code folder {function.code_folder} is not there")


def _check_open(code_folder: str) -> None:
    """See that a sandbox's user, who is nobody's, may read the code: on AWS, too, that takes the files' own modes.

    Source: https://docs.aws.amazon.com/lambda/latest/dg/troubleshooting-deployment.html (permission denied)
    """
    if os.stat(code_folder).st_mode & _OPEN != _OPEN:
        raise PermissionError(f"{code_folder} may be read by its owner alone: chmod -R a+rX {code_folder}")

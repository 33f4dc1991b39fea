"""The functions there are: durable, with their code unpacked. Everything that runs or shows a function asks here."""

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from workshape.arn import function_arn
from workshape.clock import Clock
from workshape.errors import Conflict, Invalid
from workshape.functions.alias import choose_version
from workshape.functions.aliases import Aliases
from workshape.functions.belongings import Belongings
from workshape.functions.code import Code, CodeStore
from workshape.functions.configuration import FunctionConfiguration, log_level, system_log_level
from workshape.functions.event_invoke import EventInvokeConfig
from workshape.functions.function import Function, PublishedVersion, Runnable, check_package
from workshape.functions.function_name import FunctionNotFound, FunctionReference, parse_function_name
from workshape.functions.function_state import ACTIVE, FunctionNotActive, FunctionState, UpdateInProgress
from workshape.functions.function_url import FunctionUrl
from workshape.functions.images.model import image_process
from workshape.functions.layers import Layers
from workshape.functions.limits import UNRESERVED_CONCURRENCY_MIN
from workshape.functions.model import LATEST, FunctionName, FunctionVersion
from workshape.functions.numbering import Numbering
from workshape.functions.platform_log import own_log_group
from workshape.functions.policy import Policy
from workshape.functions.recursion import RecursionConfig
from workshape.functions.revision import check_revision, new_revision
from workshape.functions.runtime_management import RuntimeManagement
from workshape.functions.snap_start import check_active
from workshape.store.documents import Documents

DOCUMENT_KIND = "function"
VERSION_KIND = "function-version"
NUMBERING_KIND = "function-numbering"
RESOLVED_MAX = 10_000  # answers kept; when names in ever new forms reach this, all are worked out anew
T = TypeVar("T", bound=msgspec.Struct)
OnChange = Callable[[FunctionName, frozenset[str]], None]
"""Takes the function and the revisions of it there are now; none: it is gone."""


class FunctionExists(Conflict):
    """Function already exist: {name}"""

    name: str


class ReservationTooLarge(Invalid):
    """Specified ReservedConcurrentExecutions for function decreases account's UnreservedConcurrentExecution below its
    minimum value of [{minimum}].
    """

    minimum: int


class CodeMismatch(Invalid):
    """CodeSHA256 ({given}) is different from current CodeSHA256 in $LATEST ({present}). Please try again with the
    CodeSHA256 in $LATEST.
    """

    given: str
    present: str


class VersionInUse(Conflict):
    """Unable to delete version because the following aliases reference it: [{aliases}]"""

    aliases: str


class Catalog:
    """Functions by name. Used on the event loop's thread; a change is on disk when its method returns."""

    def __init__(
        self,
        store: Documents,
        code: CodeStore,
        *,
        region: str,
        account: str,
        account_concurrency: int,
        clock: Clock,
        draw: Callable[[], float] = random.random,
    ) -> None:
        """Read what there is; code that no function uses is removed.

        `draw` decides which version of a weighted alias runs: anything from 0 up to 1.
        """
        self.code = code
        self.region = region
        self.account = account
        self.account_concurrency = account_concurrency
        self._store = store
        self._clock = clock
        self._draw = draw
        self._functions: dict[FunctionName, Function] = {}
        self._resolved: dict[tuple[str, str | None], FunctionVersion] = {}
        self._reserved_total: int | None = None
        self._on_change: list[OnChange] = []
        self.unsettled: dict[FunctionName, FunctionState] = {}
        """The functions that are not simply active, kept by `images/deployments.py`."""
        self.unsettled_versions: dict[tuple[FunctionName, str], FunctionState] = {}
        """The published versions that are not, kept by `snapshots.py`."""
        for name, document in store.all(DOCUMENT_KIND):
            self._functions[FunctionName(name)] = msgspec.json.decode(document, type=Function)
        self._versions = Belongings(store, VERSION_KIND, PublishedVersion, self._functions)
        self.aliases = Aliases(store, self._functions, find=self.find, arn=self.arn, changed=self._tell)
        self._numbers = Numbering(store, NUMBERING_KIND)
        self.layers = Layers(store, code, region=region, account=account, clock=clock)
        self._attached: list[Belongings[Any]] = []
        self.policies = self._attach(store, "function-policy", Policy)
        self.event_invoke_configs = self._attach(store, "event-invoke-config", EventInvokeConfig)
        self.recursion_configs = self._attach(store, "function-recursion", RecursionConfig)
        self.runtime_management = self._attach(store, "runtime-management", RuntimeManagement)
        self.urls = self._attach(store, "function-url", FunctionUrl)
        for owner in self._functions:  # a crash can come between the end of an alias and that of what was its
            self._detach_ended(owner)
        runnables: list[Runnable] = [*self._functions.values(), *self._versions.all()]
        code.sweep(
            [
                *(runnable.code.folder for runnable in runnables),
                *(runnable.configuration.layers.folder for runnable in runnables),
                *(version.code.folder for version in self.layers.all()),
            ]
        )

    def __repr__(self) -> str:
        return f"<Catalog functions={len(self._functions)}>"

    def subscribe(self, on_change: OnChange) -> None:
        """Be told of every change of code, configuration or reservation, of every alias, and of every end."""
        self._on_change.append(on_change)

    def resolve(self, name: str, qualifier: str | None) -> FunctionVersion:
        """Find what to run for a name, in any of its forms, and a qualifier; a weighted alias is drawn each time.

        Raises:
            FunctionNotFound: there is no such function, version or alias.
            Invalid: the name is none.
        """
        found = self._resolved.get((name, qualifier))
        if found is not None:
            return found
        reference = self.reference(name, qualifier)
        alias = self.aliases.find(reference)
        if alias is not None and alias.additional_weights:
            return self.resolve(reference.name, choose_version(alias, self._draw()))
        version = self._version(self.find(reference))
        if len(self._resolved) >= RESOLVED_MAX:
            self._resolved.clear()
        self._resolved[name, qualifier] = version
        return version

    def invocable(self, name: str, qualifier: str | None) -> FunctionVersion:
        """Find what to run now, as `resolve` does.

        Raises:
            FunctionNotActive, SnapStartNotReady: it cannot be invoked yet, or never.
        """
        version = self.resolve(name, qualifier)
        if self.unsettled or self.unsettled_versions:  # hardly ever, and this is asked with each invocation
            check_active(self.state(version.name, version.version), snap_start=version.snap_start)
        return version

    def state(self, name: FunctionName, version: str) -> FunctionState:
        """Tell whether a version can be invoked."""
        if version == LATEST:
            return self.unsettled.get(name, ACTIVE)
        return self.unsettled_versions.get((name, version), ACTIVE)

    def reference(self, name: str, qualifier: str | None = None) -> FunctionReference:
        """Read a function's name in any of its forms."""
        return parse_function_name(name, qualifier, region=self.region, account=self.account)

    def find(self, reference: FunctionReference) -> Runnable:
        """Return the version meant: without a qualifier $LATEST, for an alias the one that no weight is given to.

        Raises:
            FunctionNotFound: there is no such function, version or alias.
        """
        alias = self.aliases.find(reference)
        version = reference.qualifier if alias is None else alias.version
        found: Runnable | None = (
            self._functions.get(reference.name)
            if version in (None, LATEST)
            else self._versions.get(reference.name, str(version))
        )
        if found is None:
            raise FunctionNotFound(kind="function", name=reference.arn(self.region, self.account))
        return found

    def get(self, name: FunctionName) -> Function:
        """Return a function.

        Raises:
            FunctionNotFound: there is none.
        """
        if name not in self._functions:
            raise FunctionNotFound(kind="function", name=self.arn(name))
        return self._functions[name]

    def settled(self, name: FunctionName) -> Function:
        """Return a function that may be changed: one with nothing under way.

        Raises:
            FunctionNotFound: there is none. FunctionNotActive, UpdateInProgress: not yet.
        """
        function, state = self.get(name), self.unsettled.get(name, ACTIVE)
        if state.state == "Pending":
            raise FunctionNotActive(state=state.state)
        if state.last_update == "InProgress":
            raise UpdateInProgress(arn=self.arn(name))
        return function

    def versions(self, name: FunctionName) -> "list[Runnable]":
        """Everything of a function that can be run: $LATEST, then its versions by number.

        Raises:
            FunctionNotFound: there is none.
        """
        published = sorted(self._versions.of(name).values(), key=lambda version: version.number)
        return [self.get(name), *published]

    def list(self) -> list[Function]:
        """Every function, by name."""
        return [self._functions[name] for name in sorted(self._functions)]

    def arn(self, name: FunctionName, qualifier: str | None = None) -> str:
        """A function's ARN."""
        return function_arn(self.region, self.account, name, qualifier)

    def create(
        self, name: FunctionName, configuration: FunctionConfiguration, code: Code, tags: dict[str, str] | None = None
    ) -> Function:
        """Add a function.

        Raises:
            FunctionExists: the name is taken.
            Invalid: Lambda would not take the configuration.
        """
        if name in self._functions:
            raise FunctionExists(name=name)
        check_package(configuration, code)
        return self._keep(Function(name, configuration, code, new_revision(), self._clock.wall_s(), tags or {}))

    def update_code(
        self,
        name: FunctionName,
        code: Code,
        *,
        architectures: tuple[str, ...] | None = None,
        expected_revision: str | None = None,
    ) -> Function:
        """Replace a function's code.

        Raises:
            FunctionNotFound, RevisionMismatch: nothing was changed.
            LayersTooLarge: it is, with the function's layers.
        """
        function = self._expected(name, expected_revision)
        configuration = function.configuration
        if architectures is not None:
            configuration = msgspec.structs.replace(configuration, architectures=architectures)
        check_package(configuration, code)
        return self._revise(function, configuration, code)

    def update_configuration(
        self, name: FunctionName, configuration: FunctionConfiguration, *, expected_revision: str | None = None
    ) -> Function:
        """Replace a function's configuration.

        Raises:
            FunctionNotFound, RevisionMismatch: nothing was changed.
            Invalid: Lambda would not take the configuration.
        """
        function = self._expected(name, expected_revision)
        check_package(configuration, function.code)
        return self._revise(function, configuration, function.code)

    async def put_from_app(
        self,
        name: str,
        configuration: FunctionConfiguration,
        code: Path | Code,
        *,
        reserved_concurrency: int | None = None,
    ) -> Function:
        """Create or update a function of the app. A folder is run where it is, an archive is unpacked; code that
        is ready is taken as it is.

        What has not changed keeps its revision, and with it its environments.

        Raises:
            Invalid: Lambda would not take the configuration, or there is no code of use at the path.
        """
        own_name = self.reference(name).name
        ready = code if isinstance(code, Code) else await self.code.from_path(code)
        check_package(configuration, ready)
        function = self._functions.get(own_name)
        if function is None:
            function = self.create(own_name, configuration, ready)
        elif (function.configuration, function.code) != (configuration, ready):
            function = self._revise(function, configuration, ready)
        if function.reserved_concurrency != reserved_concurrency:
            function = self.reserve_concurrency(own_name, reserved_concurrency)
        return function

    async def publish(
        self,
        name: FunctionName,
        *,
        description: str | None = None,
        expected_code_sha256: str | None = None,
        expected_revision: str | None = None,
    ) -> PublishedVersion:
        """Make a version of what is $LATEST now; when nothing has changed since the last one, return that.

        Raises:
            FunctionNotFound, RevisionMismatch, CodeMismatch: nothing was published.
            FunctionNotActive: it cannot be invoked. UpdateInProgress: the function is being changed.
            ArchiveTooLarge: see `CodeStore.settle`.
        """
        self.settled(name)
        self.invocable(name, None)
        function = self._expected(name, expected_revision)
        if expected_code_sha256 not in (None, function.code.sha256):
            raise CodeMismatch(given=expected_code_sha256, present=function.code.sha256)
        code = await self.code.settle(function.code)
        if self.get(name).revision != function.revision:
            raise UpdateInProgress(arn=self.arn(name))
        before = self._versions.get(name, str(self._numbers.last(name)))
        if before is not None and (before.configuration, before.code) == (function.configuration, code):
            return before
        number = self._numbers.advance(name)
        version = PublishedVersion(
            name, number, function.configuration, code, new_revision(), self._clock.wall_s(), description
        )
        self._versions.put(name, version.version, version)
        self._tell(name)
        return version

    def delete(self, name: FunctionName) -> None:
        """Remove a function and all of its versions.

        Raises:
            FunctionNotFound: there is none.
        """
        self.get(name)
        self._store.delete(DOCUMENT_KIND, name)
        del self._functions[name]
        self._versions.drop(name)
        self.aliases.drop(name)
        self._tell(name)

    def delete_version(self, version: PublishedVersion) -> None:
        """Remove one version.

        Raises:
            VersionInUse: an alias may run it.
        """
        users = [alias.name for alias in self.aliases.of(version.name) if version.version in alias.versions]
        if users:
            raise VersionInUse(aliases=", ".join(users))
        self._versions.delete(version.name, version.version)
        self._tell(version.name)

    def set_tags(self, name: FunctionName, tags: dict[str, str]) -> None:
        """Replace a function's tags."""
        self._write(msgspec.structs.replace(self.get(name), tags=tags))

    def reserve_concurrency(self, name: FunctionName, count: int | None) -> Function:
        """Set a function's reserved concurrency, or give it back.

        Raises:
            FunctionNotFound: there is none.
            ReservationTooLarge: too little would be left to everyone else.
        """
        function = self.get(name)
        others = self.reserved_total() - (function.reserved_concurrency or 0)
        if count is not None and others + count > self.account_concurrency - UNRESERVED_CONCURRENCY_MIN:
            raise ReservationTooLarge(minimum=UNRESERVED_CONCURRENCY_MIN)
        return self._keep(msgspec.structs.replace(function, reserved_concurrency=count))

    def reserved_concurrency(self, name: FunctionName) -> int | None:
        """Return a function's reserved concurrency, for the scheduler: None also when the function is gone."""
        function = self._functions.get(name)
        return None if function is None else function.reserved_concurrency

    def log_group_of(self, name: FunctionName) -> str:
        """Name the log group of a function; that of one that is gone is its own."""
        function = self._functions.get(name)
        return (function.configuration.log_group if function is not None else "") or own_log_group(name)

    def reserved_total(self) -> int:
        """Sum up all reservations; asked with each invocation, so the sum is kept until a function changes."""
        if self._reserved_total is None:
            self._reserved_total = sum(function.reserved_concurrency or 0 for function in self._functions.values())
        return self._reserved_total

    def code_bytes(self) -> int:
        """Sum up the packages of all functions, versions and layers."""
        codes = [function.code for function in self._functions.values()]
        codes += [version.code for version in self._versions.all()]
        codes += [version.code for version in self.layers.all()]
        return sum(code.size_bytes for code in codes)

    def find_url(self, url_id: str) -> tuple[FunctionName, str, FunctionUrl] | None:
        """Return the function URL of that id, and the function and qualifier it is of."""
        for name, qualifier, url in self.urls.items():
            if url.id == url_id:
                return FunctionName(name), qualifier, url
        return None

    def now(self) -> float:
        """Return Unix time, for what is kept beside a function."""
        return self._clock.wall_s()

    def _attach(self, store: Documents, kind: str, shape: type[T]) -> Belongings[T]:
        """Open what is kept of functions by qualifier (`$LATEST` for none): it goes when its qualifier does."""
        attached = Belongings(store, kind, shape, self._functions)
        self._attached.append(attached)
        return attached

    def _expected(self, name: FunctionName, revision: str | None) -> Function:
        function = self.get(name)
        check_revision(function.revision, revision)
        return function

    def _revise(self, function: Function, configuration: FunctionConfiguration, code: Code) -> Function:
        changed = msgspec.structs.replace(
            function,
            configuration=configuration,
            code=code,
            revision=new_revision(),
            modified_at=self._clock.wall_s(),
        )
        return self._keep(changed)

    def _keep(self, function: Function) -> Function:
        self._write(function)
        self._tell(function.name)
        return function

    def _write(self, function: Function) -> Function:
        self._store.put(DOCUMENT_KIND, function.name, msgspec.json.encode(function))
        self._functions[function.name] = function
        self._forget_answers()
        return function

    def _tell(self, name: FunctionName) -> None:
        self._forget_answers()
        there = self.versions(name) if name in self._functions else []
        revisions = frozenset(runnable.revision for runnable in there)
        self._detach_ended(name)
        for on_change in self._on_change:
            on_change(name, revisions)

    def _detach_ended(self, name: FunctionName) -> None:
        """Remove what is kept of qualifiers that are no more."""
        there = self.versions(name) if name in self._functions else []
        qualifiers = {*(runnable.version for runnable in there), *(alias.name for alias in self.aliases.of(name))}
        for attached in self._attached:
            for qualifier in attached.of(name).keys() - qualifiers:
                attached.delete(name, qualifier)

    def _forget_answers(self) -> None:
        self._resolved.clear()
        self._reserved_total = None

    def _version(self, function: Runnable) -> FunctionVersion:
        configuration = function.configuration
        return FunctionVersion(
            name=function.name,
            version=function.version,
            arn=self.arn(function.name),
            runtime=configuration.runtime,
            handler=configuration.handler,
            code_folder=function.code.folder,
            memory_mb=configuration.memory_mb,
            timeout_s=configuration.timeout_s,
            revision=function.revision,
            environment=configuration.environment,
            ephemeral_storage_mb=configuration.ephemeral_storage_mb,
            log_format=configuration.log_format,
            log_group=configuration.log_group,
            opt_folder=configuration.layers.folder,
            snap_start=configuration.snap_start and isinstance(function, PublishedVersion),
            log_level=log_level(configuration),
            system_log_level=system_log_level(configuration),
            traces_actively=configuration.tracing_mode == "Active",
            image=image_process(function.code.image, configuration.image_settings),
        )

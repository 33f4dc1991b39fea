"""Which versions and aliases have provisioned concurrency: durable, and kept allocated by the invoker.

Source: https://docs.aws.amazon.com/lambda/latest/dg/provisioned-concurrency.html
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import msgspec

from workshape.clock import Clock
from workshape.errors import Invalid, NotFound
from workshape.functions.belongings import Belongings
from workshape.functions.catalog import Catalog, ReservationTooLarge
from workshape.functions.function import Function
from workshape.functions.function_name import FunctionNotFound, FunctionReference
from workshape.functions.limits import UNRESERVED_CONCURRENCY_MIN
from workshape.functions.model import LATEST, FunctionName, FunctionVersion
from workshape.functions.provisioned import AllocationView, split, together
from workshape.functions.provisioned_metrics import ProvisionedResource
from workshape.store.documents import Documents

DOCUMENT_KIND = "provisioned-concurrency"

# AWS: the messages below are as clients have reported them; its pages have only the rules.


class ProvisionedConfigNotFound(NotFound):
    """The specified configuration does not exist."""


class Unpublished(Invalid):
    """Provisioned Concurrency Configs cannot be applied to unpublished function versions."""


class SnapStartIsOn(Invalid):
    """Provisioned Concurrency is not supported for functions enabled with SnapStart.

    AWS: the rule is documented (https://docs.aws.amazon.com/lambda/latest/dg/snapstart.html); we chose the words.
    """


class WeightedAlias(Invalid):
    """Alias with weights can not be used with Provisioned Concurrency"""


class AlreadyProvisioned(Invalid):
    """Version {version} already has a Provisioned Concurrency config, through {qualifier}."""

    version: str
    qualifier: str


class MoreThanReserved(Invalid):
    """More provisioned concurrency is asked for than the {reserved} that are reserved for the function."""

    # AWS: undocumented; we chose the words.

    reserved: int


class MoreThanUnreserved(Invalid):
    """Specified ConcurrentExecutions for function decreases account's UnreservedConcurrentExecution below its minimum
    value of [{minimum}].
    """

    minimum: int


class LessThanProvisioned(Invalid):
    """ReservedConcurrentExecutions {count} is less than the function's Provisioned Concurrency of {provisioned}: lower
    that first.
    """

    count: int
    provisioned: int


class ProvisionedConfig(msgspec.Struct, frozen=True):
    """What was asked for a version or an alias."""

    qualifier: str
    requested: int
    modified_at: float
    """Unix time."""


@dataclass(frozen=True, slots=True)
class ProvisionedConfigView:
    """A configuration, and how its allocation stands."""

    config: ProvisionedConfig
    allocation: AllocationView


@dataclass(frozen=True, slots=True)
class _Asked:
    function: FunctionVersion
    count: int
    reserved: bool


class Provisioner(Protocol):
    """The invoker, as far as it is needed here."""

    def provision(self, function: FunctionVersion, count: int, *, reserved: bool) -> None:
        """Keep so many environments of a version initialised ahead."""

    def provisioned(self, function: FunctionVersion) -> AllocationView | None:
        """How that stands."""


class ProvisionedConfigs:
    """All configurations. Used on the event loop's thread; a change is on disk when its method returns.

    Nothing is allocated before `begin`: the versions' code may want to reach the front door.
    """

    def __init__(self, store: Documents, catalog: Catalog, provisioner: Provisioner, clock: Clock) -> None:
        """Read what there is."""
        self._catalog = catalog
        self._provisioner = provisioner
        self._clock = clock
        functions = {function.name for function in catalog.list()}
        self._configs = Belongings(store, DOCUMENT_KIND, ProvisionedConfig, functions)
        self._asked: dict[FunctionName, dict[str, _Asked]] = {}
        """What the invoker was asked for last, by version."""
        self._begun = False
        catalog.subscribe(lambda name, _revisions: self._changed(name))

    def __repr__(self) -> str:
        return f"<ProvisionedConfigs {len(self._configs.all())}>"

    def begin(self) -> None:
        """Allocate what is configured, and from now on whenever that changes."""
        self._begun = True
        for function in self._catalog.list():
            self._changed(function.name)

    def put(self, reference: FunctionReference, count: int) -> ProvisionedConfigView:
        """Configure a version or an alias; what failed before begins afresh.

        Raises:
            FunctionNotFound: there is no such version or alias.
            Unpublished, SnapStartIsOn, WeightedAlias, AlreadyProvisioned: it can have none.
            MoreThanReserved, MoreThanUnreserved: there is no room for so much.
        """
        name = reference.name
        qualifier = self._qualifier(reference)
        alias = self._catalog.aliases.find(reference)
        if alias is not None and alias.additional_weights:
            raise WeightedAlias()
        found = self._catalog.find(reference)
        version = found.version
        if version == LATEST:
            raise Unpublished()
        if found.configuration.snap_start:
            raise SnapStartIsOn()
        self._check_room(name, qualifier, count)
        for other in self._configs.of(name):
            if other != qualifier and version in self._shares(name, other, 1):
                raise AlreadyProvisioned(version=version, qualifier=other)
        config = ProvisionedConfig(qualifier, count, self._clock.wall_s())
        self._configs.put(name, qualifier, config)
        self._asked.get(name, {}).pop(version, None)
        self._changed(name)
        return self._view(name, config)

    def get(self, reference: FunctionReference) -> ProvisionedConfigView:
        """Tell how a version's or alias's configuration stands.

        Raises:
            ProvisionedConfigNotFound: it has none. FunctionNotFound, Unpublished: see `put`.
        """
        config = self._configs.get(reference.name, self._qualifier(reference))
        if config is None:
            raise ProvisionedConfigNotFound()
        return self._view(reference.name, config)

    def list(self, name: FunctionName) -> list[ProvisionedConfigView]:
        """A function's configurations, by qualifier.

        Raises:
            FunctionNotFound: there is no such function.
        """
        self._catalog.get(name)
        return [self._view(name, config) for _, config in sorted(self._configs.of(name).items())]

    def resources(self) -> Sequence[ProvisionedResource]:
        """Every version and alias that has a configuration."""
        return [
            ProvisionedResource(FunctionName(name), qualifier, tuple(self._shares(FunctionName(name), qualifier, 1)))
            for name, qualifier, _ in self._configs.items()
        ]

    def views(self) -> Iterator[tuple[FunctionName, ProvisionedConfigView]]:
        """Every configuration, with its function."""
        for name, _, config in self._configs.items():
            yield FunctionName(name), self._view(FunctionName(name), config)

    def delete(self, reference: FunctionReference) -> None:
        """Take a configuration away, if there is one: invocations run on demand again.

        Raises:
            FunctionNotFound, Unpublished: see `put`.
        """
        if self._configs.delete(reference.name, self._qualifier(reference)):
            self._changed(reference.name)

    def reserve(self, name: FunctionName, count: int | None) -> Function:
        """Set a function's reserved concurrency (None: give it back), but not below what is provisioned within it.

        Raises:
            LessThanProvisioned, ReservationTooLarge: there is no room. FunctionNotFound: there is no such function.
        """
        self._catalog.get(name)
        if count is not None:
            provisioned = self._requested(name)
            if count < provisioned:
                raise LessThanProvisioned(count=count, provisioned=provisioned)
            if self._left(without=name) - count < UNRESERVED_CONCURRENCY_MIN:
                raise ReservationTooLarge(minimum=UNRESERVED_CONCURRENCY_MIN)
        return self._catalog.reserve_concurrency(name, count)

    def _qualifier(self, reference: FunctionReference) -> str:
        """Check that there is a published version or an alias by it."""
        if reference.qualifier in (None, LATEST):
            raise Unpublished()
        self._catalog.find(reference)
        return str(reference.qualifier)

    def _check_room(self, name: FunctionName, qualifier: str, count: int) -> None:
        present = self._configs.get(name, qualifier)
        requested = self._requested(name) - (present.requested if present is not None else 0) + count
        reserved = self._catalog.reserved_concurrency(name)
        if reserved is not None and requested > reserved:
            raise MoreThanReserved(reserved=reserved)
        if reserved is None and self._left(without=name) - requested < UNRESERVED_CONCURRENCY_MIN:
            raise MoreThanUnreserved(minimum=UNRESERVED_CONCURRENCY_MIN)

    def _requested(self, name: FunctionName) -> int:
        return sum(config.requested for config in self._configs.of(name).values())

    def _left(self, without: FunctionName) -> int:
        """What the reservations and provisioned concurrency of all other functions leave of the account's."""
        left = self._catalog.account_concurrency
        for function in self._catalog.list():
            if function.name != without:
                reserved = function.reserved_concurrency
                left -= self._requested(function.name) if reserved is None else reserved
        return left

    def _changed(self, name: FunctionName) -> None:
        """Ask the invoker for what differs from what it was asked for last."""
        reserved = self._catalog.reserved_concurrency(name) is not None
        wanted: Counter[str] = Counter()
        for qualifier, config in self._configs.of(name).items():
            try:
                wanted.update(self._shares(name, qualifier, config.requested))
            except FunctionNotFound:
                self._configs.delete(name, qualifier)  # the version or alias is gone, and its configuration with it
        if not self._begun:
            return
        # AWS: undocumented what an alias's becomes when the alias is moved to $LATEST; we chose none.
        del wanted[LATEST]
        asked = self._asked.setdefault(name, {})
        for version in [version for version in asked if not wanted[version]]:
            self._provisioner.provision(asked.pop(version).function, 0, reserved=reserved)
        for version, count in wanted.items():
            ask = _Asked(self._catalog.resolve(name, version), count, reserved)
            if count and asked.get(version) != ask:
                asked[version] = ask
                self._provisioner.provision(ask.function, count, reserved=reserved)

    def _shares(self, name: FunctionName, qualifier: str, count: int) -> dict[str, int]:
        reference = FunctionReference(name, qualifier)
        version = self._catalog.find(reference).version
        alias = self._catalog.aliases.find(reference)
        return split(count, version, alias.additional_weights if alias is not None else {})

    def _view(self, name: FunctionName, config: ProvisionedConfig) -> ProvisionedConfigView:
        shares = self._shares(name, config.qualifier, config.requested)
        views = [self._provisioner.provisioned(self._catalog.resolve(name, version)) for version in shares]
        return ProvisionedConfigView(config, together(config.requested, [view for view in views if view is not None]))

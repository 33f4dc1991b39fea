"""The layers there are: numbered versions, each an unpacked archive, and what functions use of them.

A layer version that is deleted stays in use where it is used: functions have a folder of their own in which their
layers are merged.

Source: https://docs.aws.amazon.com/lambda/latest/dg/chapter-layers.html
"""

import re
from collections.abc import Sequence
from pathlib import Path

import msgspec

from workshape.clock import Clock
from workshape.errors import Invalid, NotFound
from workshape.functions.belongings import Belongings
from workshape.functions.code import Code, CodeStore
from workshape.functions.configuration import LayersInUse, LayerUse
from workshape.functions.numbering import Numbering
from workshape.functions.policy import Policy
from workshape.store.documents import Documents

VERSION_KIND = "layer-version"
NUMBERING_KIND = "layer-numbering"
LAYERS_MAX = 5
"""Of a function. Source: https://docs.aws.amazon.com/lambda/latest/dg/chapter-layers.html"""
_NAME = re.compile(
    r"(?:arn:aws[a-zA-Z-]*:lambda:(?P<region>[a-z0-9-]+):(?P<account>\d{12}):layer:)?(?P<name>[a-zA-Z0-9-_]{1,140})"
    r"(?::(?P<number>\d{1,18}))?"
)


class LayerVersionNotFound(NotFound):
    """The resource you requested does not exist."""


class LayerVersionMissing(Invalid):
    """Layer version {arn} does not exist."""

    # AWS: undocumented; we chose the words.

    arn: str


class LayerUnreachable(Invalid):
    """Layers of {owner} cannot be reached from here: this is {here}."""

    owner: str
    here: str


class InvalidLayerName(Invalid):
    """{name!r} is not a layer's name: letters, digits, hyphens and underscores, or an ARN."""

    name: str


class TooManyLayers(Invalid):
    """Cannot reference more than {count_max} layers."""

    # AWS: undocumented; we chose the words.

    count_max: int


class LayerTwice(Invalid):
    """Two different versions of the same layer are not allowed to be referenced in the same function. {first} and
    {second} are versions of the same layer.
    """

    first: str
    second: str


class LayerVersion(msgspec.Struct, frozen=True):
    """One version of a layer."""

    layer: str
    number: int
    code: Code
    created_at: float
    """Unix time."""
    description: str = ""
    runtimes: tuple[str, ...] = ()
    architectures: tuple[str, ...] = ()
    license: str = ""
    policy: Policy | None = None


class Layers:
    """Layers by name. Used on the event loop's thread; a change is on disk when its method returns."""

    def __init__(self, store: Documents, code: CodeStore, *, region: str, account: str, clock: Clock) -> None:
        self._code = code
        self._region = region
        self._account = account
        self._clock = clock
        self._numbers = Numbering(store, NUMBERING_KIND)
        self._versions = Belongings(store, VERSION_KIND, LayerVersion, self._numbers)

    def __repr__(self) -> str:
        return f"<Layers versions={len(self._versions.all())}>"

    def arn(self, name: str, number: int | None = None) -> str:
        """A layer's ARN, or a version's."""
        suffix = "" if number is None else f":{number}"
        return f"arn:aws:lambda:{self._region}:{self._account}:layer:{name}{suffix}"

    def parse(self, text: str) -> tuple[str, int | None]:
        """Read a layer's name or ARN, with or without a version.

        Raises:
            InvalidLayerName: it is none. LayerUnreachable: it is another region's or account's.
        """
        found = _NAME.fullmatch(text)
        if found is None:
            raise InvalidLayerName(name=text)
        for here, owner in ((self._region, found["region"]), (self._account, found["account"])):
            if owner not in (None, here):
                raise LayerUnreachable(owner=owner, here=here)
        return found["name"], None if found["number"] is None else int(found["number"])

    def all(self) -> list[LayerVersion]:
        """Every version there is."""
        return self._versions.all()

    def names(self) -> list[str]:
        """Every layer that has versions."""
        return [name for name in self._numbers if self._versions.of(name)]

    def versions(self, name: str) -> list[LayerVersion]:
        """A layer's versions, the newest first."""
        return sorted(self._versions.of(name).values(), key=lambda version: -version.number)

    def get(self, name: str, number: int) -> LayerVersion:
        """Return a version.

        Raises:
            LayerVersionNotFound: there is none.
        """
        version = self._versions.get(name, str(number))
        if version is None:
            raise LayerVersionNotFound(kind="layer version", name=self.arn(name, number))
        return version

    def publish(
        self,
        name: str,
        code: Code,
        *,
        description: str = "",
        runtimes: tuple[str, ...] = (),
        architectures: tuple[str, ...] = (),
        license: str = "",  # noqa: A002 - AWS's word
    ) -> LayerVersion:
        """Add a version."""
        number = self._numbers.advance(name)
        now = self._clock.wall_s()
        version = LayerVersion(name, number, code, now, description, runtimes, architectures, license)
        return self._versions.put(name, str(number), version)

    async def put_from_app(self, name: str, path: Path) -> LayerVersion:
        """Make what is at a path, a folder or an archive, the layer's newest version; the one it replaces goes.

        Raises:
            Invalid: there is no code of use at the path.
        """
        code = await self._code.settle(await self._code.from_path(path))
        newest = next(iter(self.versions(name)), None)
        if newest is not None and newest.code == code:
            return newest
        made = self.publish(name, code)
        if newest is not None:
            self.delete(name, newest.number)
        return made

    def set_policy(self, version: LayerVersion, policy: Policy | None) -> None:
        """Replace a version's policy."""
        changed = msgspec.structs.replace(version, policy=policy)
        self._versions.put(version.layer, str(version.number), changed)

    def delete(self, name: str, number: int) -> None:
        """Remove a version; functions that use it still do.

        Raises:
            LayerVersionNotFound: there is none.
        """
        self.get(name, number)
        self._versions.delete(name, str(number))

    async def in_use(self, arns: Sequence[str]) -> LayersInUse:
        """Merge the layers of a function, by the ARNs of their versions.

        Raises:
            TooManyLayers, LayerTwice, LayerVersionMissing: they are no function's.
            InvalidLayerName, LayerUnreachable: see `parse`.
        """
        if len(arns) > LAYERS_MAX:
            raise TooManyLayers(count_max=LAYERS_MAX)
        versions: dict[str, LayerVersion] = {}
        for arn in arns:
            name, number = self.parse(arn)
            version = self._versions.get(name, str(number))
            if version is None:
                raise LayerVersionMissing(arn=arn)
            if name in versions:
                raise LayerTwice(first=self.arn(name, versions[name].number), second=arn)
            versions[name] = version
        if not versions:
            return LayersInUse()
        uses = tuple(
            LayerUse(self.arn(version.layer, version.number), version.code.size_bytes) for version in versions.values()
        )
        merged = await self._code.merge([version.code for version in versions.values()])
        return LayersInUse(uses, merged.folder, merged.unpacked_bytes)

"""A function as the catalogue keeps it: what can still be changed of it, and the versions published from that."""

import msgspec

from workshape.errors import Invalid
from workshape.functions.code import Code
from workshape.functions.configuration import FunctionConfiguration, check_configuration
from workshape.functions.limits import UNPACKED_BYTES_MAX
from workshape.functions.model import LATEST, FunctionName


class Function(msgspec.Struct, frozen=True):
    """One function: its newest, unpublished version ($LATEST), and what belongs to all versions."""

    name: FunctionName
    configuration: FunctionConfiguration
    code: Code
    revision: str
    """RevisionId: new whenever code or configuration changes."""
    modified_at: float
    """Unix time."""
    tags: dict[str, str] = {}
    reserved_concurrency: int | None = None

    @property
    def version(self) -> str:
        """What a qualifier would have to be to mean this."""
        return LATEST

    @property
    def description(self) -> str:
        """What it says of itself."""
        return self.configuration.description


class PublishedVersion(msgspec.Struct, frozen=True):
    """A numbered version: code and configuration as they were, for good.

    Source: https://docs.aws.amazon.com/lambda/latest/dg/configuration-versions.html
    """

    name: FunctionName
    number: int
    configuration: FunctionConfiguration
    code: Code
    revision: str
    modified_at: float
    """Unix time."""
    own_description: str | None = None
    """What was given when it was published; None: the configuration's."""

    @property
    def version(self) -> str:
        """What a qualifier would have to be to mean this."""
        return str(self.number)

    @property
    def description(self) -> str:
        """What it says of itself."""
        return self.configuration.description if self.own_description is None else self.own_description


Runnable = Function | PublishedVersion
"""What an invocation can be for."""


class LayersTooLarge(Invalid):
    """Function code combined with layers exceeds the maximum allowed size of {bytes_max} bytes. The actual size is
    {size} bytes.
    """

    bytes_max: int
    size: int


def check_package(configuration: FunctionConfiguration, code: Code) -> None:
    """Check a function's configuration, and its code against it.

    Raises:
        LayersTooLarge: together they are too large. Else see `check_configuration`.
    """
    check_configuration(configuration)
    size = code.unpacked_bytes + configuration.layers.unpacked_bytes
    if configuration.layers.uses and size > UNPACKED_BYTES_MAX:
        raise LayersTooLarge(bytes_max=UNPACKED_BYTES_MAX, size=size)

"""An image as a function has it. A core: values only."""

from collections.abc import Mapping
from dataclasses import dataclass

import msgspec


class ImageSettings(msgspec.Struct, frozen=True):
    """What to execute in an image: its own settings, or what a function puts in their place (ImageConfig).

    Source: https://docs.aws.amazon.com/lambda/latest/api/API_ImageConfig.html
    """

    entry_point: tuple[str, ...] = ()
    command: tuple[str, ...] = ()
    working_directory: str = ""

    def overridden(self, by: "ImageSettings | None") -> "ImageSettings":
        """These settings, with another's in the place of those it has.

        AWS: undocumented whether an image's CMD outlives an EntryPoint of ImageConfig; we chose that each setting
        stands alone.
        """
        if by is None:
            return self
        return ImageSettings(
            by.entry_point or self.entry_point,
            by.command or self.command,
            by.working_directory or self.working_directory,
        )


class Image(msgspec.Struct, frozen=True):
    """A function's image, pinned to the content it had when it was deployed."""

    uri: str
    """As it was named."""
    resolved_uri: str
    """With its digest."""
    digest: str
    architecture: str
    """`amd64`, `arm64`: the images' words."""
    settings: ImageSettings
    variables: dict[str, str]


@dataclass(frozen=True, slots=True)
class ImageProcess:
    """What an environment of a function is to execute, and in which root."""

    arguments: tuple[str, ...]
    """ENTRYPOINT and CMD; the first is a path in the image, or a name that is looked up in its PATH."""
    working_directory: str
    variables: Mapping[str, str]
    """The image's; the function's go before them."""
    architecture: str


def image_process(image: Image | None, by: ImageSettings | None) -> ImageProcess | None:
    """Say what to execute for a function's image and its own settings; None: it has no image."""
    if image is None:
        return None
    settings = image.settings.overridden(by)
    return ImageProcess(
        (*settings.entry_point, *settings.command),
        settings.working_directory or "/",
        image.variables,
        image.architecture,
    )

"""Functions of package type Image, between the service model's members and the catalogue's values.

Source: https://docs.aws.amazon.com/lambda/latest/api/API_CreateFunction.html (PackageType, ImageConfig),
https://docs.aws.amazon.com/lambda/latest/api/API_FunctionCodeLocation.html
"""

from typing import Any

from workshape.errors import Invalid
from workshape.functions.function import Runnable
from workshape.functions.function_state import FunctionState
from workshape.functions.images.model import ImageSettings

Members = dict[str, Any]

_OF_ARCHIVES = ("Runtime", "Handler", "Layers")


class MembersOfArchives(Invalid):
    """Please don't provide Handler or Runtime or Layer when the intended function PackageType is Image."""


class MissingImage(Invalid):
    """Please provide ImageUri when {doing} a function with packageType Image."""

    doing: str


class ImageForArchive(Invalid):
    """Please don't provide ImageUri when {doing} a function with packageType Zip."""

    doing: str


class ImageConfigForArchive(Invalid):
    """Please don't provide ImageConfig when the intended function PackageType is Zip.

    AWS: undocumented; these are the words it has for the contrary.
    """


def is_image(parameters: Members) -> bool:
    """Tell whether CreateFunction is to make a function of an image."""
    return bool(parameters.get("PackageType") == "Image")


def image_uri(code: Members, doing: str) -> str:
    """Return the name of the image that is to be the code.

    Raises:
        MissingImage: there is none.
    """
    if not code.get("ImageUri"):
        raise MissingImage(doing=doing)
    return str(code["ImageUri"])


def refuse_image(code: Members, doing: str) -> None:
    """Refuse an image for a function that is not of one.

    Raises:
        ImageForArchive: there is one.
    """
    if code.get("ImageUri"):
        raise ImageForArchive(doing=doing)


def check_package_type(parameters: Members, *, image: bool) -> None:
    """Refuse what only the other package type has.

    Raises:
        MembersOfArchives, ImageConfigForArchive: names it.
    """
    if image and any(parameters.get(name) for name in _OF_ARCHIVES):
        raise MembersOfArchives()
    if not image and any((parameters.get("ImageConfig") or {}).values()):
        raise ImageConfigForArchive()


def read_image_config(config: Members) -> ImageSettings | None:
    """Read ImageConfig; what is empty is the image's own."""
    settings = ImageSettings(
        tuple(config.get("EntryPoint") or ()), tuple(config.get("Command") or ()), config.get("WorkingDirectory") or ""
    )
    return None if settings == ImageSettings() else settings


def package_members(function: Runnable) -> Members:
    """Write what a function of its package type has, and the other has not."""
    configuration = function.configuration
    if function.code.image is None:
        return {"PackageType": "Zip", "Runtime": configuration.runtime, "Handler": configuration.handler}
    members: Members = {"PackageType": "Image"}
    if (settings := configuration.image_settings) is not None:
        config = {
            "EntryPoint": list(settings.entry_point) or None,
            "Command": list(settings.command) or None,
            "WorkingDirectory": settings.working_directory or None,
        }
        members["ImageConfigResponse"] = {"ImageConfig": config}
    return members


def code_location(function: Runnable) -> Members:
    """Write where a function's code is: `Code` of GetFunction."""
    code = function.code
    if code.image is not None:
        uris = {"ImageUri": code.image.uri, "ResolvedImageUri": code.image.resolved_uri}
        return {"RepositoryType": "ECR", **uris}
    return {"RepositoryType": "S3", "Location": f"file://{code.archive or code.folder}"}


def state_members(state: FunctionState) -> Members:
    """Write a function's state; what is None is left out."""
    return {
        "State": state.state,
        "StateReason": state.reason,
        "StateReasonCode": state.reason_code,
        "LastUpdateStatus": state.last_update,
        "LastUpdateStatusReason": state.last_update_reason,
        "LastUpdateStatusReasonCode": state.last_update_reason_code,
    }

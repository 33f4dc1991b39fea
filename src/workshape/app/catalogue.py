"""The functions' catalogue, given to `apply.py` the way it needs it."""

import contextlib
import platform
from collections.abc import Callable, Mapping
from pathlib import Path

from msgspec.structs import astuple, replace

from workshape.app.apply import FunctionCatalogue
from workshape.app.delivery_build import endpoint_arn
from workshape.app.model import Function, Layer
from workshape.functions.catalog import Catalog
from workshape.functions.configuration import FunctionConfiguration
from workshape.functions.function_name import FunctionNotFound
from workshape.functions.images.deployments import Deployments
from workshape.functions.images.model import ImageSettings
from workshape.functions.model import FunctionName

ROLE_NAME = "workshape"  # every function has a role; here it opens and closes nothing


def function_catalogue(
    catalog: Catalog,
    images: Deployments,
    builds: Mapping[str, str],
    variables: Callable[[Function], Mapping[str, str]],
) -> FunctionCatalogue:
    """Apply functions to a catalogue.

    `builds` tells where each function's code is ready to run (`RunFile.builds`); `variables` what its environment gets
    beside what the app says, which goes before them.
    """

    async def put(function: Function) -> None:
        newest = [catalog.layers.versions(name)[0] for name in function.layers]
        reserved = function.reserved_concurrency
        configuration = FunctionConfiguration(
            runtime=function.runtime,
            handler=function.handler,
            role=f"arn:aws:iam::{catalog.account}:role/{ROLE_NAME}",
            memory_mb=function.memory_mb,
            tracing_mode=function.tracing,
            timeout_s=function.timeout_s,
            layers=await catalog.layers.in_use([catalog.layers.arn(one.layer, one.number) for one in newest]),
            environment={**variables(function), **function.environment},
            dead_letter_arn=_dead_letter_arn(function, catalog),
        )
        if function.image is None:
            code = Path(builds.get(function.name, function.code))
            await catalog.put_from_app(function.name, configuration, code, reserved_concurrency=reserved)
            return
        config = function.image_config
        settings = ImageSettings(*astuple(config)) if config is not None else None
        # What runs here is this machine's, whatever the default is on AWS.
        architecture = "arm64" if platform.machine() in ("aarch64", "arm64") else "x86_64"
        configuration = replace(configuration, architectures=(architecture,), image_settings=settings)
        await images.put_from_app(function.name, configuration, function.image, reserved_concurrency=reserved)

    async def remove(name: str) -> None:
        with contextlib.suppress(FunctionNotFound):  # somebody deleted it over the API: that is what was wanted
            catalog.delete(FunctionName(name))

    async def put_layer(layer: Layer) -> None:
        await catalog.layers.put_from_app(layer.name, Path(layer.code))

    async def remove_layer(name: str) -> None:
        for version in catalog.layers.versions(name):
            catalog.layers.delete(name, version.number)

    return FunctionCatalogue(put, remove, put_layer, remove_layer)


def _dead_letter_arn(function: Function, catalog: Catalog) -> str:
    settings = function.asynchronous
    if settings is None or settings.dead_letter is None:
        return ""
    return endpoint_arn(settings.dead_letter, catalog.region, catalog.account)

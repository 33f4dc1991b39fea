"""A function's configuration between the service model's members and the catalogue's values.

Source: https://docs.aws.amazon.com/lambda/latest/api/API_FunctionConfiguration.html
"""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

import msgspec

from workshape.aws.lambda_.errors import MissingRuntimeOrHandler, NotBuilt
from workshape.aws.lambda_.images import (
    is_image,
    package_members,
    read_image_config,
    state_members,
)
from workshape.functions.catalog import Catalog
from workshape.functions.configuration import FunctionConfiguration, LayersInUse
from workshape.functions.function import PublishedVersion, Runnable
from workshape.functions.model import LogFormat
from workshape.functions.platform_log import own_log_group

Members = dict[str, Any]

SNAP_START = "PublishedVersions"
"""Source: https://docs.aws.amazon.com/lambda/latest/api/API_SnapStart.html"""

_SCALARS = {
    "Runtime": "runtime",
    "Handler": "handler",
    "Role": "role",
    "Description": "description",
    "MemorySize": "memory_mb",
    "Timeout": "timeout_s",
    "KMSKeyArn": "kms_key_arn",
}
_WRITTEN_APART = ("KMSKeyArn", "Runtime", "Handler")
_NOT_BUILT: Mapping[str, Callable[[Any], bool]] = {
    "FileSystemConfigs": bool,
    "CodeSigningConfigArn": bool,
    "CapacityProviderConfig": bool,
    "DurableConfig": bool,
    "TenancyConfig": bool,
    "RuntimeConfig": bool,
    "AcceleratorConfig": bool,
    "PublishTo": bool,
}
"""Members that would change what a function does, and when they do: refused rather than passed over."""


def refuse_not_built(parameters: Members) -> None:
    """Refuse what would silently not happen.

    Raises:
        NotBuilt: names the member.
    """
    for name, matters in _NOT_BUILT.items():
        if name in parameters and matters(parameters[name]):
            raise NotBuilt(feature=f"{name} of functions")


def new_configuration(parameters: Members, layers: LayersInUse | None) -> FunctionConfiguration:
    """Read what CreateFunction was given; what was not has Lambda's defaults. `layers` are those it names, if any.

    Raises:
        MissingRuntimeOrHandler, NotBuilt: the function cannot be made.
    """
    image = is_image(parameters)
    refuse_not_built(parameters)
    if not image and not (parameters.get("Runtime") and parameters.get("Handler")):
        raise MissingRuntimeOrHandler()
    start = FunctionConfiguration(parameters.get("Runtime", ""), parameters.get("Handler", ""), parameters["Role"])
    return msgspec.structs.replace(start, **_changes(parameters, start), layers=layers or start.layers)


def changed_configuration(
    parameters: Members, present: FunctionConfiguration, layers: LayersInUse | None
) -> FunctionConfiguration:
    """Read what UpdateFunctionConfiguration was given; what was not stays. `layers` are those it names, if any.

    Raises:
        NotBuilt: the change would silently not happen.
    """
    refuse_not_built(parameters)
    return msgspec.structs.replace(present, **_changes(parameters, present), layers=layers or present.layers)


def _changes(parameters: Members, present: FunctionConfiguration) -> Members:
    changes = {field: parameters[member] for member, field in _SCALARS.items() if member in parameters}
    if "DeadLetterConfig" in parameters:
        changes["dead_letter_arn"] = parameters["DeadLetterConfig"].get("TargetArn", "")
    if "Environment" in parameters:
        changes["environment"] = parameters["Environment"].get("Variables") or {}
    if "EphemeralStorage" in parameters:
        changes["ephemeral_storage_mb"] = parameters["EphemeralStorage"]["Size"]
    if "ImageConfig" in parameters:
        changes["image_settings"] = read_image_config(parameters["ImageConfig"])
    if "Architectures" in parameters:
        changes["architectures"] = tuple(parameters["Architectures"])
    if "SnapStart" in parameters:
        changes["snap_start"] = parameters["SnapStart"].get("ApplyOn") == SNAP_START
    if "TracingConfig" in parameters:
        changes["tracing_mode"] = parameters["TracingConfig"].get("Mode", present.tracing_mode)
    if "VpcConfig" in parameters:
        changes["subnet_ids"] = tuple(parameters["VpcConfig"].get("SubnetIds") or ())
        changes["security_group_ids"] = tuple(parameters["VpcConfig"].get("SecurityGroupIds") or ())
        changes["ipv6_for_dual_stack"] = bool(parameters["VpcConfig"].get("Ipv6AllowedForDualStack"))
    if "LoggingConfig" in parameters:
        logging = parameters["LoggingConfig"]
        changes["log_format"] = LogFormat(logging.get("LogFormat", present.log_format))
        changes["log_group"] = logging.get("LogGroup", present.log_group)
        changes["application_log_level"] = logging.get("ApplicationLogLevel", present.application_log_level)
        changes["system_log_level"] = logging.get("SystemLogLevel", present.system_log_level)
    return changes


def write_function(catalog: Catalog, function: Runnable, qualifier: str | None = None) -> Members:
    """Write a version's configuration; its ARN carries the qualifier it was asked for by."""
    configuration, code = function.configuration, function.code
    arn = catalog.arn(function.name)
    members: Members = {
        "FunctionName": function.name,
        "FunctionArn": f"{arn}:{qualifier}" if qualifier else arn,
        **{member: getattr(configuration, field) for member, field in _SCALARS.items() if member not in _WRITTEN_APART},
        **package_members(function),
        **state_members(catalog.state(function.name, function.version)),
        "KMSKeyArn": configuration.kms_key_arn or None,
        "CodeSize": code.size_bytes,
        "CodeSha256": code.sha256,
        "LastModified": write_time(function.modified_at),
        "Version": function.version,
        "Description": function.description,
        "TracingConfig": {"Mode": configuration.tracing_mode},
        "RevisionId": function.revision,
        "Architectures": list(configuration.architectures),
        "EphemeralStorage": {"Size": configuration.ephemeral_storage_mb},
        "SnapStart": {
            "ApplyOn": SNAP_START if configuration.snap_start else "None",
            "OptimizationStatus": "On"
            if configuration.snap_start and isinstance(function, PublishedVersion)
            else "Off",
        },
        "LoggingConfig": {
            "LogFormat": configuration.log_format.value,
            "LogGroup": configuration.log_group or own_log_group(function.name),
            "ApplicationLogLevel": configuration.application_log_level or None,
            "SystemLogLevel": configuration.system_log_level or None,
        },
    }
    if configuration.layers.uses:
        members["Layers"] = [{"Arn": use.arn, "CodeSize": use.size_bytes} for use in configuration.layers.uses]
    if configuration.dead_letter_arn:
        members["DeadLetterConfig"] = {"TargetArn": configuration.dead_letter_arn}
    if configuration.environment:
        members["Environment"] = {"Variables": configuration.environment}
    if configuration.subnet_ids:
        members["VpcConfig"] = {
            "SubnetIds": list(configuration.subnet_ids),
            "SecurityGroupIds": list(configuration.security_group_ids),
            "VpcId": "",
            "Ipv6AllowedForDualStack": configuration.ipv6_for_dual_stack,
        }
    return members


def write_time(at: float) -> str:
    """Write Unix time as `2026-10-08T06:53:49.256+0000`."""
    moment = datetime.fromtimestamp(at, UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{moment.microsecond // 1_000:03d}+0000"

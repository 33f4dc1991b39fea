"""What one can set about a function, and the bounds of it. A core.

Source: https://docs.aws.amazon.com/lambda/latest/api/API_CreateFunction.html
"""

import re

import msgspec

from workshape.errors import Invalid
from workshape.functions.images.model import ImageSettings
from workshape.functions.limits import (
    ENVIRONMENT_VARIABLES_BYTES_MAX,
    EPHEMERAL_STORAGE_MB_MAX,
    EPHEMERAL_STORAGE_MB_MIN,
    IMAGE_SETTINGS_BYTES_MAX,
    MEMORY_MB_MAX,
    MEMORY_MB_MIN,
    TIMEOUT_S_MAX,
)
from workshape.functions.log_level import LogLevel
from workshape.functions.model import LogFormat

RESERVED_VARIABLES = frozenset(
    {
        "_HANDLER",
        "_X_AMZN_TRACE_ID",
        "AWS_ACCESS_KEY",
        "AWS_ACCESS_KEY_ID",
        "AWS_DEFAULT_REGION",
        "AWS_EXECUTION_ENV",
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE",
        "AWS_LAMBDA_FUNCTION_NAME",
        "AWS_LAMBDA_FUNCTION_VERSION",
        "AWS_LAMBDA_INITIALIZATION_TYPE",
        "AWS_LAMBDA_LOG_GROUP_NAME",
        "AWS_LAMBDA_LOG_STREAM_NAME",
        "AWS_LAMBDA_RUNTIME_API",
        "AWS_REGION",
        "AWS_SECRET_ACCESS_KEY",
        "AWS_SESSION_TOKEN",
        "LAMBDA_RUNTIME_DIR",
        "LAMBDA_TASK_ROOT",
    }
)
"""Source: https://docs.aws.amazon.com/lambda/latest/dg/configuration-envvars.html (reserved environment variables)"""


SNAP_START_SINCE = {"java": 11, "python3.": 12, "dotnet": 8}
"""The first version of each managed runtime that SnapStart is for.

Source: https://docs.aws.amazon.com/lambda/latest/dg/snapstart.html (supported features and limitations)
"""
SNAP_START_STORAGE_MB_MAX = 512
"""Source: the same."""
_RUNTIME = re.compile(r"(java|python3\.|dotnet)(\d+)(\.al\d+)?")


class OutOfBounds(Invalid):
    """1 validation error detected: Value '{value}' at '{member}' failed to satisfy constraint: Member must have value
    {rule} than or equal to {bound}
    """

    value: int
    member: str
    rule: str
    bound: int


class ReservedVariables(Invalid):
    """Lambda was unable to configure your environment variables because the environment variables you have provided
    contains reserved keys that are currently not supported for modification. Reserved keys used in this request:
    {names}
    """

    names: str


class VariablesTooLarge(Invalid):
    """Lambda was unable to configure your environment variables because the environment variables you have provided
    exceeded the 4KB limit. String measured: {text}
    """

    text: str


class SnapStartUnavailable(Invalid):
    """SnapStart is not supported for {what}."""

    what: str


class LayerUse(msgspec.Struct, frozen=True):
    """A layer version a function was configured with."""

    arn: str
    size_bytes: int


class LayersInUse(msgspec.Struct, frozen=True):
    """A function's layers, merged."""

    uses: tuple[LayerUse, ...] = ()
    folder: str = ""
    """What environments see as /opt; empty without layers."""
    unpacked_bytes: int = 0


class ImageSettingsTooLarge(Invalid):
    """The container image settings exceed the limit of {bytes_max} bytes

    AWS: the limit is documented, the words are not.
    """

    bytes_max: int


class FunctionConfiguration(msgspec.Struct, frozen=True):
    """Everything about a function but its code and what is not part of a version."""

    runtime: str
    handler: str
    role: str
    description: str = ""
    memory_mb: int = 128
    timeout_s: int = 3
    environment: dict[str, str] = {}
    ephemeral_storage_mb: int = 512
    architectures: tuple[str, ...] = ("x86_64",)
    tracing_mode: str = "PassThrough"
    log_format: LogFormat = LogFormat.TEXT
    log_group: str = ""
    """Empty: `/aws/lambda/NAME`."""
    application_log_level: str = ""
    system_log_level: str = ""
    subnet_ids: tuple[str, ...] = ()
    """Kept and shown; there is one network here."""
    security_group_ids: tuple[str, ...] = ()
    ipv6_for_dual_stack: bool = False
    kms_key_arn: str = ""
    snap_start: bool = False
    """Of versions published from now on."""
    layers: LayersInUse = LayersInUse()
    image_settings: ImageSettings | None = None
    """What goes before an image's own settings: ImageConfig."""
    dead_letter_arn: str = ""
    """Queue or topic that gets the asynchronous events that are given up; empty: there is none."""


def log_level(configuration: FunctionConfiguration) -> LogLevel | None:
    """The least level of a function's own log lines; only JSON has one, and there INFO is the default."""
    if configuration.log_format is LogFormat.TEXT:
        return None
    return LogLevel[configuration.application_log_level or LogLevel.INFO.name]


def system_log_level(configuration: FunctionConfiguration) -> LogLevel | None:
    """The least level of the platform's lines in its log; only JSON has one, and there INFO is the default."""
    if configuration.log_format is LogFormat.TEXT:
        return None
    return LogLevel[configuration.system_log_level or LogLevel.INFO.name]


def check_configuration(configuration: FunctionConfiguration) -> None:
    """Check what a service model does not know.

    Raises:
        OutOfBounds, ReservedVariables, VariablesTooLarge, SnapStartUnavailable, ImageSettingsTooLarge: Lambda would
            not take it.
    """
    _check_bounds("memorySize", configuration.memory_mb, MEMORY_MB_MIN, MEMORY_MB_MAX)
    _check_bounds("timeout", configuration.timeout_s, 1, TIMEOUT_S_MAX)
    size_mb = configuration.ephemeral_storage_mb
    _check_bounds("ephemeralStorage.size", size_mb, EPHEMERAL_STORAGE_MB_MIN, EPHEMERAL_STORAGE_MB_MAX)
    reserved = sorted(RESERVED_VARIABLES & configuration.environment.keys())
    if reserved:
        raise ReservedVariables(names=", ".join(reserved))
    text = msgspec.json.encode(configuration.environment)
    if len(text) > ENVIRONMENT_VARIABLES_BYTES_MAX:
        raise VariablesTooLarge(text=text.decode())
    if len(msgspec.json.encode(configuration.image_settings)) > IMAGE_SETTINGS_BYTES_MAX:
        raise ImageSettingsTooLarge(bytes_max=IMAGE_SETTINGS_BYTES_MAX)
    if configuration.snap_start:
        _check_snap_start(configuration.runtime, configuration.ephemeral_storage_mb)


def _check_snap_start(runtime: str, storage_mb: int) -> None:
    # AWS: the messages are undocumented; the rules are the page's.
    found = _RUNTIME.fullmatch(runtime)
    if found is None or int(found[2]) < SNAP_START_SINCE[found[1]]:
        raise SnapStartUnavailable(what=f"the runtime {runtime}")
    if storage_mb > SNAP_START_STORAGE_MB_MAX:
        what = f"more than {SNAP_START_STORAGE_MB_MAX} MB of ephemeral storage ({storage_mb} MB)"
        raise SnapStartUnavailable(what=what)


def _check_bounds(member: str, value: int, least: int, most: int) -> None:
    if value < least:
        raise OutOfBounds(value=value, member=member, rule="greater", bound=least)
    if value > most:
        raise OutOfBounds(value=value, member=member, rule="less", bound=most)

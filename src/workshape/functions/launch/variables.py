"""The environment variables of an execution environment: Lambda's, the platform's, the function's own, and no others.

Source: https://docs.aws.amazon.com/lambda/latest/dg/configuration-envvars.html#configuration-envvars-runtime
"""

from collections.abc import Mapping
from pathlib import Path

from workshape.functions.launch.runtimes import RuntimeCommand
from workshape.functions.model import FunctionVersion, InitializationType, LogFormat


def environment_variables(
    function: FunctionVersion,
    command: RuntimeCommand,
    *,
    runtime_api_address: str,
    initialization_type: InitializationType,
    log_group: str,
    log_stream: str,
    platform: Mapping[str, str],
    temporary_folder: str,
) -> dict[str, str]:
    """Compose the whole environment. What Lambda reserves wins over the function's own, which wins over the rest."""
    task = function.code_folder
    runtime = command.runtime_folder
    unreserved = {
        "LANG": "en_US.UTF-8",
        "PATH": f"{Path(command.arguments[0]).parent}:/usr/local/bin:/usr/bin:/bin:/opt/bin",
        "LD_LIBRARY_PATH": f"{runtime}:{runtime}/lib:{task}:{task}/lib:/opt/lib",
        "AWS_XRAY_CONTEXT_MISSING": "LOG_ERROR",
        # /tmp is the machine's here; TMPDIR is where well-behaved programs look for their own.
        "TMPDIR": temporary_folder,
        # Without it programs would ask the password file and read the host's ~/.aws.
        "HOME": temporary_folder,
    }
    reserved = {
        "_HANDLER": function.handler,
        "TZ": ":UTC",
        "AWS_EXECUTION_ENV": f"AWS_Lambda_{function.runtime}",
        "AWS_LAMBDA_FUNCTION_NAME": function.name,
        "AWS_LAMBDA_FUNCTION_VERSION": function.version,
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(function.memory_mb),
        "AWS_LAMBDA_INITIALIZATION_TYPE": initialization_type.value,
        "AWS_LAMBDA_LOG_GROUP_NAME": log_group,
        "AWS_LAMBDA_LOG_STREAM_NAME": log_stream,
        "AWS_LAMBDA_RUNTIME_API": runtime_api_address,
        "LAMBDA_TASK_ROOT": task,
        "LAMBDA_RUNTIME_DIR": runtime,
    }
    if function.log_format is LogFormat.JSON:
        reserved["AWS_LAMBDA_LOG_FORMAT"] = "JSON"
    return {**unreserved, **command.variables, **platform, **function.environment, **reserved}

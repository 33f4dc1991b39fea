"""The environment variables of an execution environment: Lambda's, the platform's, the function's own, and no others.

Source: https://docs.aws.amazon.com/lambda/latest/dg/configuration-envvars.html#configuration-envvars-runtime
"""

from collections.abc import Mapping
from pathlib import Path

from workshape.functions.launch.layout import Layout
from workshape.functions.launch.runtimes import RuntimePlan
from workshape.functions.launch.stem import LOG_DESCRIPTOR
from workshape.functions.model import FunctionVersion, InitializationType, LogFormat

STANDARD_OUTPUT = "1"
PYTHON_PATH = "PYTHONPATH"
_IMAGE_DEFAULTS: Mapping[str, str] = {
    "LANG": "en_US.UTF-8",
    "TZ": ":UTC",
    "PATH": "/usr/local/bin:/usr/bin:/bin:/opt/bin",
    "AWS_XRAY_CONTEXT_MISSING": "LOG_ERROR",
    "HOME": "/tmp",  # noqa: S108 - its own; the image's password file knows nothing of the environment's user
}
"""What an image finds where it says nothing itself.

AWS: undocumented which of the variables of managed runtimes an image gets; we chose those that do not speak of a
runtime, of a handler or of folders, which are the image's own.
"""


class Variables:
    """Those of a revision's environments: what they have `common`, and what is one environment's `own`."""

    def __init__(self, function: FunctionVersion, plan: RuntimePlan, layout: Layout) -> None:
        """What Lambda reserves wins over the function's own, that over the platform's, and they over the rest."""
        reserved = {
            "AWS_LAMBDA_FUNCTION_NAME": function.name,
            "AWS_LAMBDA_FUNCTION_VERSION": function.version,
            "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(function.memory_mb),
        }
        if plan.library and (own := function.environment.get(PYTHON_PATH)):
            # The runtime's client is found by it, and so is the SDK.
            reserved[PYTHON_PATH] = ":".join([own, *layout.import_path(plan.library)[1:]])
        if plan.frames_logs:
            reserved[LOG_DESCRIPTOR] = STANDARD_OUTPUT
        if function.log_format is LogFormat.JSON:
            reserved["AWS_LAMBDA_LOG_FORMAT"] = "JSON"
        if function.log_level is not None:
            reserved["AWS_LAMBDA_LOG_LEVEL"] = function.log_level.name
        if function.image is not None:
            self._below = {**_IMAGE_DEFAULTS, **function.image.variables}
        else:
            self._below = {**_unreserved(plan, layout), **layout.runtime_variables(plan)}
            reserved |= {
                "_HANDLER": function.handler,
                "TZ": ":UTC",
                "AWS_EXECUTION_ENV": f"AWS_Lambda_{function.runtime}",
                "LAMBDA_TASK_ROOT": layout.task,
                "LAMBDA_RUNTIME_DIR": layout.runtime,
            }
        self._above = {**function.environment, **reserved}

    def common(self, platform: Mapping[str, str]) -> dict[str, str]:
        """Return what does not change from one environment to the next; `platform` are the platform's."""
        return {**self._below, **platform, **self._above}

    def own(
        self, *, runtime_api_address: str, initialization_type: InitializationType, log_group: str, log_stream: str
    ) -> dict[str, str]:
        """Return what is one environment's, and wins over all others.

        Source: https://docs.aws.amazon.com/lambda/latest/dg/snapstart-monitoring.html (SnapStart has no names of logs)
        """
        logs = {"AWS_LAMBDA_LOG_GROUP_NAME": log_group, "AWS_LAMBDA_LOG_STREAM_NAME": log_stream}
        return {
            "AWS_LAMBDA_INITIALIZATION_TYPE": initialization_type.value,
            "AWS_LAMBDA_RUNTIME_API": runtime_api_address,
            **(logs if initialization_type is not InitializationType.SNAP_START else {}),
        }


def _unreserved(plan: RuntimePlan, layout: Layout) -> dict[str, str]:
    task, runtime = layout.task, layout.runtime
    [program] = layout.place(plan.arguments[:1])
    layers = layout.layers or "/opt"
    variables = {
        "LANG": "en_US.UTF-8",
        "PATH": f"{Path(program).parent}:/usr/local/bin:/usr/bin:/bin:{layers}/bin",
        "LD_LIBRARY_PATH": f"{runtime}:{runtime}/lib:{task}:{task}/lib:{layers}/lib",
        "AWS_XRAY_CONTEXT_MISSING": "LOG_ERROR",
    }
    if layout.temporary:
        # /tmp is the machine's here; TMPDIR is where well-behaved programs look for their own.
        variables["TMPDIR"] = layout.temporary
        # Without it programs would ask the password file and read the host's ~/.aws.
        variables["HOME"] = layout.temporary
    return variables

"""Lambda's quotas, in one place.

Source: https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html unless a line says otherwise.
"""

KIB = 1024
MIB = 1024 * KIB

SYNC_PAYLOAD_BYTES_MAX = 6 * MIB
ASYNC_PAYLOAD_BYTES_MAX = 1 * MIB
INVOKE_ASYNC_PAYLOAD_BYTES_MAX = 256 * KIB
"""Source: https://docs.aws.amazon.com/lambda/latest/api/API_InvokeAsync.html"""
MEMORY_MB_MIN = 128
MEMORY_MB_MAX = 10_240
TIMEOUT_S_MAX = 900
EPHEMERAL_STORAGE_MB_MIN = 512
EPHEMERAL_STORAGE_MB_MAX = 10_240
ENVIRONMENT_VARIABLES_BYTES_MAX = 4 * KIB
ZIP_BYTES_MAX = 50 * MIB
UNPACKED_BYTES_MAX = 250 * MIB
IMAGE_BYTES_MAX = 10 * 1024 * MIB
"""Of an image, uncompressed, all its layers together."""
IMAGE_SETTINGS_BYTES_MAX = 16 * KIB
UNRESERVED_CONCURRENCY_MIN = 100
"""What reservations must leave to everyone else.

Source: https://docs.aws.amazon.com/lambda/latest/dg/configuration-concurrency.html
"""
SCALING_ENVIRONMENTS = 1_000
SCALING_PERIOD_S = 10.0
"""New environments a function may get in each period.

Source: https://docs.aws.amazon.com/lambda/latest/dg/scaling-behavior.html
"""
INIT_S_MAX = 10.0
"""Source: https://docs.aws.amazon.com/lambda/latest/dg/lambda-runtime-environment.html"""
PROVISIONED_INIT_S_MIN = 130.0
"""With provisioned concurrency or SnapStart the init phase may take this long, or the function's timeout if longer.

Source: https://docs.aws.amazon.com/lambda/latest/dg/lambda-runtime-environment.html
"""
RESTORE_S_MAX = 10.0
"""From the snapshot's state to the end of the hooks that run after it.

Source: https://docs.aws.amazon.com/lambda/latest/dg/snapstart-runtime-hooks-python.html
"""
LOG_TAIL_BYTES = 4 * KIB
"""Source: https://docs.aws.amazon.com/lambda/latest/api/API_Invoke.html (LogType)"""

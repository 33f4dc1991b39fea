"""The shutdown phase: the runtime ends, the extensions are told why and get time to finish, then all is killed.

Source: https://docs.aws.amazon.com/lambda/latest/dg/runtimes-extensions-api.html#runtimes-lifecycle-shutdown
"""

import asyncio
import contextlib

from workshape.clock import Clock
from workshape.functions.actions import StopReason
from workshape.functions.environment_api import EnvironmentApi
from workshape.functions.extension_sessions import ShutdownReason
from workshape.functions.launch.environment_process import EnvironmentProcess

EXTERNAL_S_MAX = 2.0  # of which the runtime gets at most the next line, or the one after it
RUNTIME_S_MAX = 0.3
INTERNAL_S_MAX = 0.5
_REASONS = {
    StopReason.TIMED_OUT: ShutdownReason.TIMEOUT,
    StopReason.INIT_TIMED_OUT: ShutdownReason.TIMEOUT,
    StopReason.EXITED: ShutdownReason.FAILURE,
    StopReason.INIT_FAILED: ShutdownReason.FAILURE,
}


async def shut_down(process: EnvironmentProcess, api: EnvironmentApi, reason: StopReason, clock: Clock) -> None:
    """Let an environment that has extensions end; what is still there afterwards is the caller's to kill.

    An environment without extensions gets no time, as on Lambda.
    """
    extensions = api.extensions
    if not extensions.has_external and not extensions.has_internal:
        return
    api.begin_shutdown()
    process.thaw()
    started_at = clock.monotonic_s()
    runtime_s_max = INTERNAL_S_MAX if extensions.has_internal else RUNTIME_S_MAX
    api.telemetry.flush()
    process.terminate()
    if not extensions.has_external:
        await process.ended_within(runtime_s_max)
        return
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(runtime_s_max):
            await api.runtime_ended.wait()
    process.terminate()
    api.telemetry.flush()
    remaining_s = EXTERNAL_S_MAX - (clock.monotonic_s() - started_at)
    why = _REASONS.get(reason, ShutdownReason.SPINDOWN)
    if api.shut_down(why, int((clock.wall_s() + remaining_s) * 1_000)):
        await process.ended_within(remaining_s)

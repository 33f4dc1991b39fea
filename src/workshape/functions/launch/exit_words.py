"""How a process ended, in Lambda's words."""

import os
import signal

_STATUS_MAX = 0xFFFF


def exit_words(status: int) -> str:
    """Say a wait status as Lambda does in `Runtime exited with error: ...`.

    Raises:
        ValueError: it is none.
    """
    if not 0 <= status <= _STATUS_MAX:
        raise ValueError(f"{status} is no wait status")
    code = os.waitstatus_to_exitcode(status)
    if code >= 0:
        return f"exit status {code}"
    names = {
        signal.SIGSEGV: "segmentation fault",
        signal.SIGFPE: "floating point exception",
        signal.SIGBUS: "bus error",
    }
    number = signal.Signals(-code) if -code in set(signal.Signals) else None
    return f"signal: {names.get(number) or _signal_words(number)}" if number else f"signal: signal {-code}"


def _signal_words(number: signal.Signals) -> str:
    return (signal.strsignal(number) or number.name).lower()

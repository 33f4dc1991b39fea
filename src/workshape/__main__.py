"""The command `workshape`, and `python -m workshape`."""

import signal

IS_INTERRUPTIBLE = signal.getsignal(signal.SIGINT) is signal.default_int_handler
if IS_INTERRUPTIBLE:  # reading the whole program takes a moment: Ctrl-C ends that, too, without a traceback
    signal.signal(signal.SIGINT, signal.SIG_DFL)

from workshape.cli.main import app  # noqa: E402 - that is the moment


def main() -> None:
    """Run the command that the arguments name."""
    if IS_INTERRUPTIBLE:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    app(prog_name="workshape")


if __name__ == "__main__":
    main()

"""What an environment of an image runs: the image's entry point, in its working directory.

What is wrong with either is the image's own fault, and told to the Runtime API, as a runtime tells it that its init
phase has failed.

Standard library only, Python 3.10: the processes that fork environments load this file.
"""

import os

from workshape.functions.entry_errors import INVALID_ENTRY_POINT, INVALID_WORKING_DIRECTORY
from workshape.functions.launch import stem
from workshape.functions.launch.init_failure import fail_init, words


def become(descriptor: int) -> None:
    """Be a `stem.Become` that runs an image's entry point, which is looked for in the order's PATH."""
    order = stem.read_order(descriptor)
    if order is None:
        return
    folder, arguments, variables = order["folder"], order["arguments"], order["variables"]
    try:
        os.chdir(folder)
    except OSError as error:
        fail_init(descriptor, variables, INVALID_WORKING_DIRECTORY, f"chdir {folder}: {words(error)}")
    for each in (descriptor, stem.API_DESCRIPTOR):
        os.set_inheritable(each, False)  # the end of the first tells the spawner that the program runs
    try:
        os.execvpe(arguments[0], arguments, variables)  # noqa: S606 - no shell is wanted
    except OSError as error:
        fail_init(descriptor, variables, INVALID_ENTRY_POINT, f"fork/exec {arguments[0]}: {words(error)}")

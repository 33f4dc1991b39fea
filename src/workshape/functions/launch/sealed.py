"""What the engine tells an environment, on its way through the spawner: a file without a name that nobody there reads.

A spawner's memory is in every process that it forks, and a function can read all of its own memory. So what is meant
for one environment (the variables of its function, with their passwords) must never be in the spawner's: it gets a
descriptor, and has the kernel copy what that holds to the one process that it is for.

Standard library only, Python 3.10: every interpreter that runs functions loads this file.

Source: https://man7.org/linux/man-pages/man2/memfd_create.2.html, https://man7.org/linux/man-pages/man2/sendfile.2.html
"""

import os
import socket
import sys
import tempfile

from workshape.functions.launch import wire


def seal(order: str) -> int:
    """Write an order, framed, where only who holds the returned descriptor can read it."""
    body = wire.frame(order.encode())
    if sys.platform == "linux":
        descriptor = os.memfd_create("order", os.MFD_CLOEXEC)
    else:
        descriptor, name = tempfile.mkstemp()
        os.unlink(name)
    while body:
        body = body[os.write(descriptor, body) :]
    return descriptor


class SealedOrder:
    """One that the spawner holds. Its file closes with it."""

    def __init__(self, descriptor: int) -> None:
        """Take ownership of the descriptor."""
        self._file = open(descriptor, "rb", buffering=0)  # noqa: SIM115 - it is held as long as this is

    def hand_on(self, control: socket.socket) -> None:
        """Send it to the process that it is for; then it is gone.

        Raises:
            OSError: that has died.
        """
        with self._file:
            size, sent = os.fstat(self._file.fileno()).st_size, 0
            if sys.platform != "linux":  # where there is no sandbox, functions see each other as it is
                control.sendall(os.pread(self._file.fileno(), size, 0))
                return
            while sent < size:
                sent += os.sendfile(control.fileno(), self._file.fileno(), sent, size - sent)

"""How a program of ours tells whoever started it that it is ready, or why it cannot be: over a pipe of its own.

Asking at its port is no proof: somebody else may listen there, and then it never will.

    WORKSHAPE_READY_DESCRIPTOR=N    the descriptor to write to: `ready`, or `failed: REASON`; then it is closed

The same as systemd's readiness protocol in its simplest form, and nothing that anybody else could write to.

Source: https://www.freedesktop.org/software/systemd/man/latest/sd_notify.html
"""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager

from workshape.errors import PortInUse

VARIABLE = "WORKSHAPE_READY_DESCRIPTOR"
READY = b"ready"
FAILED = b"failed: "
WORDS_BYTES_MAX = 4096  # what a pipe takes at once; a reason is a sentence


class Readiness:
    """The program's end. Without anybody to tell, nothing is told."""

    def __init__(self, descriptor: int | None = None) -> None:
        self._descriptor = descriptor

    def __repr__(self) -> str:
        return f"<Readiness {'told' if self._descriptor is None else 'to be told'}>"

    @classmethod
    def inherited(cls) -> "Readiness":
        """Take the pipe that whoever started this process left for it; programs that it starts do not get it."""
        said = os.environ.pop(VARIABLE, "")
        if not said:
            return cls()
        descriptor = int(said)
        os.set_inheritable(descriptor, False)
        return cls(descriptor)

    def tell(self) -> None:
        """Everything is there. Only the first word counts."""
        self._write(READY)

    def fail(self, reason: str) -> None:
        """It will not come to that."""
        self._write(FAILED + reason.encode()[: WORDS_BYTES_MAX - len(FAILED)])

    def _write(self, words: bytes) -> None:
        if self._descriptor is not None:
            descriptor, self._descriptor = self._descriptor, None
            try:
                os.write(descriptor, words)
            except BrokenPipeError:  # whoever wanted to know has gone
                pass
            finally:
                os.close(descriptor)


class Told:
    """The other end: what has been said so far."""

    def __init__(self) -> None:
        self._read, self.descriptor = os.pipe()
        os.set_blocking(self._read, False)
        self._words = b""

    def __repr__(self) -> str:
        return f"<Told {self._words!r}>"

    def started(self) -> None:
        """The program has its end now: ours is closed."""
        os.close(self.descriptor)

    def close(self) -> None:
        """Hear no more."""
        os.close(self._read)

    @property
    def is_ready(self) -> bool:
        """Whether it has said so."""
        self._hear()
        return self._words == READY

    @property
    def reason(self) -> str:
        """Why it cannot be; empty: it has not said."""
        self._hear()
        return self._words.removeprefix(FAILED).decode(errors="replace") if self._words.startswith(FAILED) else ""

    def _hear(self) -> None:
        try:
            self._words += os.read(self._read, WORDS_BYTES_MAX)
        except BlockingIOError:
            return


@contextmanager
def names_taken_port(host: str, port: int, setting: str) -> Iterator[None]:
    """Say which setting it is, when what is listened on here is taken.

    Raises:
        PortInUse: it is.
    """
    try:
        yield
    except OSError as error:
        if error.errno != errno.EADDRINUSE:
            raise
        raise PortInUse(host=host, port=port, setting=setting) from error

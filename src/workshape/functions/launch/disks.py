"""What /tmp of environments is on: a file system of its own for each, in a sparse file that has no name any more.

Lambda's ephemeral storage is not memory, and is full at its size to the block. A tmpfs is full at its size, too, but
counts as its function's memory. So each /tmp is an ext4 with exactly that room on a loop device: a copy, made in a
fraction of a millisecond, of one in which nothing has been written yet. The file is unlinked as soon as the device has
it: when the last process that sees the mount is gone, however it ended, the kernel gives all of it back.

To mount one takes the kernel milliseconds, most of them waiting, and to end one takes longer. Both are done by a
process of the spawner's (`disk_maker.py`), some at a time and some ahead: whoever starts an environment takes one that
is ready. Where none can be had (no loop devices, no mkfs.ext4) /tmp is a tmpfs.

Standard library only, Python 3.10: every interpreter that runs functions loads this file. Linux, as root.

Source: https://docs.aws.amazon.com/lambda/latest/dg/configuration-ephemeral-storage.html
"""

import contextlib
import os
import select
import socket
import time
from collections import OrderedDict, deque

from workshape.functions.launch import disk_maker, linux

AHEAD = 4  # of the size that every environment begins with: what is taken while the next ones are made
AHEAD_OF_OTHERS = 1
SIZES_MAX = 4  # of which some are ahead; one machine's functions have few sizes of their own
TAKE_S_MAX = 2.0  # for one that is not ready: some hundred times what it takes. Then the environment does without


class Disk:
    """One file system, mounted at `place` until it is moved elsewhere."""

    def __init__(self, disks: "Disks", number: int) -> None:
        self._disks = disks
        self._number = number
        self.place = disk_maker.place_of(number)

    def move(self, place: str) -> None:
        """Mount it there instead; what is mounted on it after that appears wherever it does.

        Raises:
            OSError: the kernel does not let us.
        """
        linux.mount(self.place, place, "", linux.MS_MOVE)
        self.place = ""
        linux.mount("", place, "", linux.MS_SHARED)

    def release(self) -> None:
        """Give it back, once its environment is gone and it is mounted nowhere but here."""
        if self.place:
            with contextlib.suppress(OSError):
                linux.umount(self.place)
        self._disks.gone(self._number)


class Disks:
    """The spawner's: those that are ready, and who makes them."""

    def __init__(self, folder: str, host: str, usual_mib: int) -> None:
        """Begin to make those of the usual size. `folder` is on the host's disk, whose files are seen at `host`.

        Raises:
            OSError: this machine cannot; the message says why.
        """
        disk_maker.check_means(host)
        disk_maker.make_places()
        self._folder = folder
        self._host = host
        self._usual_mib = usual_mib
        self._last_number = 0
        self._ready: OrderedDict[int, deque[Disk]] = OrderedDict()
        """By size, the one wanted last at the end."""
        self._why_not = ""
        """Why one could not be made, the last time that happened."""
        self._begin()

    def __repr__(self) -> str:
        return f"<Disks maker={self._pid} ready={ {mib: len(ready) for mib, ready in self._ready.items()} }>"

    def take(self, mib: int) -> Disk | None:
        """Return one of that size, and have the next one made; None: there is none to be had."""
        deadline = time.monotonic() + TAKE_S_MAX
        self._hear()  # if it was killed, those that were ready are gone with it
        ready = self._ready.get(mib)
        if ready is None:
            ready = self._want(mib, AHEAD_OF_OTHERS)
        self._ready.move_to_end(mib)
        self._order(mib)
        while not ready and (left_s := deadline - time.monotonic()) > 0:
            if select.select([self._maker], [], [], left_s)[0] and not self._hear():
                break
        return ready.popleft() if ready else None

    def attempt(self) -> str:
        """Make one for nobody, and say why there is none; empty: there is."""
        disk = self.take(self._usual_mib)
        if disk is None:
            return self._why_not or f"none was ready within {TAKE_S_MAX:g} s"
        disk.release()
        return ""

    def close(self) -> None:
        """Have no more made, when none has been given to anybody; return when nothing makes them any more."""
        self._maker.close()
        os.waitpid(self._pid, 0)

    def gone(self, number: int) -> None:
        """Hear that nobody has that one any more."""
        self._say(f"end 0 {number}")

    def _hear(self) -> bool:
        """Take in what has been made; False: something could not be, or there is nobody who makes them."""
        while True:
            try:
                said = self._maker.recv(disk_maker.MESSAGE_BYTES_MAX, socket.MSG_DONTWAIT).decode()
            except BlockingIOError:
                return True
            except OSError:
                said = ""
            if not said:
                self._begin_again()
                return False
            what, mib, detail = said.split(" ", 2)
            if what != disk_maker.READY:
                self._why_not = detail
                return False
            if int(mib) in self._ready:
                self._ready[int(mib)].append(Disk(self, int(detail)))
            else:
                Disk(self, int(detail)).release()  # its size is not wanted any more

    def _begin(self) -> None:
        self._maker, self._pid = disk_maker.fork_maker(self._folder, self._host)
        self._want(self._usual_mib, AHEAD)

    def _begin_again(self) -> None:
        """Whoever made them was killed: those that are ready are of no use without it, those in use go on."""
        self._maker.close()
        for ready in self._ready.values():
            for disk in ready:
                with contextlib.suppress(OSError):
                    linux.umount(disk.place)
            ready.clear()  # whoever waits for one of them holds this
        self._ready.clear()
        self._begin()

    def _want(self, mib: int, ahead: int) -> deque[Disk]:
        if len(self._ready) >= SIZES_MAX:
            oldest = next(size for size in self._ready if size != self._usual_mib)
            for disk in self._ready.pop(oldest):
                disk.release()
        ready = self._ready[mib] = deque()
        for _ in range(ahead):
            self._order(mib)
        return ready

    def _order(self, mib: int) -> None:
        self._last_number += 1
        self._say(f"{disk_maker.MAKE} {mib} {self._last_number}")

    def _say(self, message: str) -> None:
        with contextlib.suppress(OSError):  # it was killed: `hear` finds out
            self._maker.send(message.encode())


def begin_disks(folder: str, host: str, usual_mib: int) -> tuple[Disks | None, str]:
    """Begin to make disks; None, and why, where this machine cannot."""
    try:
        return Disks(folder, host, usual_mib), ""
    except OSError as error:
        return None, str(error)

"""A spawner's channel without a spawner: the test holds the other ends of what is given away."""

import os
import socket
from collections.abc import Callable

from workshape.functions.launch.spawn_channel import Configuration, SpawnChannel, Spawned, SpawnOrder


class FakeChannel(SpawnChannel):
    """Notes what is ordered and killed. Made inside an event loop; `close_all` closes what nobody has closed."""

    def __init__(self) -> None:
        super().__init__(Configuration("/nowhere"))
        self.ordered: list[SpawnOrder] = []
        self.killed: list[int] = []
        self.refuses = False
        self.ends: dict[int, socket.socket] = {}
        """Where each process would read its order."""
        self._ended_by_pid: dict[int, Callable[[int], None]] = {}

    async def spawn(self, order: SpawnOrder, ended: Callable[[int], None]) -> Spawned:
        if self.refuses:
            raise OSError("no process can be made")
        self.ordered.append(order)
        pid = len(self.ordered)
        control, self.ends[pid] = socket.socketpair()
        connection, _ = socket.socketpair()
        output, writable = os.pipe()
        os.close(writable)
        self._ended_by_pid[pid] = ended
        return Spawned(pid, -1, {}, output, connection, None if order.is_whole else control)

    def kill(self, pid: int) -> None:
        self.killed.append(pid)

    def end(self, pid: int) -> None:
        """Let a process end by itself."""
        self.ends[pid].close()
        self._ended_by_pid.pop(pid)(9)

    def close_all(self) -> None:
        for end in self.ends.values():
            end.close()

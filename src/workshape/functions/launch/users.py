"""Which user each environment runs as: by it the Runtime API's listeners know who speaks (`peer.py`).

Standard library only, Python 3.10: every interpreter that runs functions loads this file.
"""

import os
from collections import deque

USERS_FROM = 0x20000000
USERS_OF_A_SPAWNER = 0x1000
"""User ids: far above any real user's, apart for each spawner. So many environments can one spawner have."""
ZYGOTE_USERS_FROM = 0x40000000
"""Those of what is copied, and of its copies: as many for each spawner."""


def first_user(users_from: int) -> int:
    """Return the first of this process's own."""
    return users_from + os.getpid() % (USERS_FROM // USERS_OF_A_SPAWNER) * USERS_OF_A_SPAWNER


class Users:
    """One spawner's. An environment's is nobody else's while it is there; then all others come before it again."""

    def __init__(self, first: int, count: int = USERS_OF_A_SPAWNER) -> None:
        """Have `count` of them, from `first` on."""
        self._range = range(first, first + count)
        self._free = deque(self._range)

    def __repr__(self) -> str:
        return f"<Users free={len(self._free)} of={len(self._range)}>"

    def first(self) -> int:
        """Return the one that is to be taken next.

        Raises:
            OSError: none is left.
        """
        if not self._free:
            raise OSError(f"one interpreter has {len(self._range)} environments already")
        return self._free[0]

    def took(self, user: int) -> None:
        """Hear whom an environment is to run as: if not as the first of these, as somebody of others."""
        if self._free[0] == user:
            self._free.popleft()

    def left(self, user: int) -> None:
        """Hear that an environment, and all that ran as this user, is gone."""
        if user in self._range:
            self._free.append(user)

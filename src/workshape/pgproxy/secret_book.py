"""When each secret is read from Secrets Manager: at first, when it has grown old, when somebody doubts it. A core.

AWS does not say how long RDS Proxy goes by a secret that it has read.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from math import inf

SECRET_S_MAX = 300.0  # AWS: undocumented; we chose five minutes: a password that was taken from somebody ends by then
READ_AGAIN_S_MIN = 0.5  # whoever guesses passwords makes us ask twice a second, not more, and waits for it
RETRY_S_MIN, RETRY_S_MAX = 1.0, 30.0  # doubled from one failure to the next
DOUBLINGS_MAX = 5
ROTATION_S_MAX = 10.0
"""Rotation changes the password of the database first, and tests it, before the secret says it.

Source: https://docs.aws.amazon.com/secretsmanager/latest/userguide/rotate-secrets_lambda-functions.html
"""


@dataclass(slots=True)
class _Page:
    """What is known of one secret's readings."""

    due_at: float = -inf
    read_at: float = -inf
    """When it was last asked for, well or in vain."""
    is_being_read: bool = False
    failures: int = 0
    refused_at: float | None = None
    """Since when the database has not taken what it says."""


class SecretBook:
    """All secrets that a proxy goes by."""

    def __init__(self, names: Iterable[str] = ()) -> None:
        self._pages = {name: _Page() for name in names}

    def __repr__(self) -> str:
        reading = sum(page.is_being_read for page in self._pages.values())
        return f"<SecretBook secrets={len(self._pages)} reading={reading}>"

    def apply(self, names: Iterable[str]) -> None:
        """Go by these secrets, and read each of them again."""
        before = self._pages
        self._pages = {name: before.get(name) or _Page() for name in names}
        for page in self._pages.values():
            page.due_at, page.failures = -inf, 0

    def due(self, now: float) -> list[str]:
        """Those that are to be read now; each must be begun."""
        return [name for name, page in self._pages.items() if page.due_at <= now and not page.is_being_read]

    def may_read_at(self, name: str, now: float) -> float | None:
        """Tell when it may be read because somebody doubts it; None: not at all, or somebody does already."""
        page = self._pages.get(name)
        if page is None or page.is_being_read:
            return None
        return max(now, page.read_at + READ_AGAIN_S_MIN)

    def began(self, name: str, now: float) -> None:
        """Somebody reads it, from `now` on; nobody else does meanwhile."""
        page = self._pages[name]
        assert not page.is_being_read, f"{name} is being read already"
        page.is_being_read, page.read_at = True, now

    def succeeded(self, name: str, now: float, *, is_news: bool) -> None:
        """It has been read; `is_news` when it says something else than before."""
        page = self._pages.get(name)
        if page is not None:
            page.is_being_read, page.failures, page.due_at = False, 0, now + SECRET_S_MAX
            if is_news:
                page.refused_at = None

    def failed(self, name: str, now: float) -> None:
        """It could not be read; what it said before stays true."""
        page = self._pages.get(name)
        if page is not None:
            page.is_being_read = False
            page.due_at = now + min(RETRY_S_MIN * 2.0 ** min(page.failures, DOUBLINGS_MAX), RETRY_S_MAX)
            page.failures += 1

    def refused(self, name: str, now: float) -> float:
        """The database does not take what it says; return until when there is hope that it soon says something else."""
        page = self._pages.get(name)
        if page is None:
            return now
        if page.refused_at is None:
            page.refused_at = now
        return page.refused_at + ROTATION_S_MAX

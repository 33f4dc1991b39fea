"""What can go wrong, in two families: the caller's doing, and ours.

The first paragraph of an error's class docstring is its message, with the facts filled in; the facts are
keyword arguments and become attributes. Wire codes are not here: only `aws/`, `gateway/` and
`pgproxy/sqlstate.py` know those.
"""

import inspect
from typing import Any, ClassVar


class WorkshapeError(Exception):
    """Something went wrong: {reason}."""

    retryable: ClassVar[bool] = False

    def __init__(self, **facts: Any) -> None:
        self.__dict__.update(facts)
        template = inspect.cleandoc(type(self).__doc__ or "").split("\n\n")[0].replace("\n", " ")
        super().__init__(template.format(**facts))


class CallerError(WorkshapeError):
    """The request cannot be carried out: {reason}."""


class NotFound(CallerError):
    """There is no {kind} named {name}."""

    kind: str
    name: str


class Invalid(CallerError):
    """{reason}"""

    reason: str


class Conflict(CallerError):
    """{reason}"""

    reason: str


class PortInUse(Conflict):
    """Port {port} of {host} is in use: stop what uses it, or set [platform] ports.{setting}
    (0 picks any free port; `workshape up --port 0` does so for all)
    """

    host: str
    port: int
    setting: str


class Throttled(CallerError):
    """{reason}"""

    retryable = True
    reason: str


class Denied(CallerError):
    """{reason}"""

    reason: str


class PlatformError(WorkshapeError):
    """workshape could not do its part: {reason}."""


class BackendUnavailable(PlatformError):
    """{backend} does not answer at {address}: {reason}."""

    retryable = True
    backend: str
    address: str
    reason: str

"""The file that `workshape proxy --settings` reads: settings, users, administrators."""

from pathlib import Path

import msgspec

from workshape.errors import Invalid, NotFound
from workshape.settings import ProxySettings


class ProxyFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """All that may be in it."""

    proxy: ProxySettings = ProxySettings()
    """As `[platform.proxy]` in an app file."""
    users: dict[str, str] = {}
    """Passwords by name: clients log in with them, and so does the proxy at the database."""
    administrators: tuple[str, ...] = ()
    """Users who may do more than look, on the admin console."""


NO_FILE = ProxyFile()


def read_proxy_file(path: Path) -> ProxyFile:
    """Read it.

    Raises:
        NotFound: there is none. Invalid: it is wrong; says where.
    """
    try:
        text = path.read_bytes()
    except FileNotFoundError as error:
        raise NotFound(kind="settings file", name=str(path)) from error
    except OSError as error:
        raise Invalid(reason=f"{path} cannot be read: {error.strerror}") from error
    try:
        return msgspec.toml.decode(text, type=ProxyFile)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Invalid(reason=f"{path}: {error}") from error

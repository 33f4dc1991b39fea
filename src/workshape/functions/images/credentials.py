"""Who we are to a registry: what `docker login` has written.

Source: https://docs.docker.com/reference/cli/docker/login/ (credential stores),
https://github.com/docker/cli/blob/master/cli/config/configfile/file.go (the file's members)
"""

import base64
import binascii
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from workshape.errors import Invalid
from workshape.functions.images.reference import DOCKER_HUB_REGISTRY

_DOCKER_HUB_KEYS = ("https://index.docker.io/v1/", "index.docker.io", "docker.io")


class CredentialsUnreadable(Invalid):
    """{path} cannot be read for the credentials of {registry}: {reason}"""

    path: str
    registry: str
    reason: str


@dataclass(frozen=True, slots=True)
class Credential:
    """A user and a password; or a token that stands for both, when the user is empty."""

    user: str
    password: str = field(repr=False)


class _Entry(msgspec.Struct):
    auth: str = ""
    username: str = ""
    password: str = ""
    identitytoken: str = ""


class _File(msgspec.Struct, rename="camel"):
    auths: dict[str, _Entry] = {}
    creds_store: str = ""
    cred_helpers: dict[str, str] = {}


class CredentialFile:
    """Docker's configuration file, read anew at every question: a login counts at once."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __repr__(self) -> str:
        return f"<CredentialFile {self._path}>"

    def find(self, registry: str) -> Credential | None:
        """Return the credential for a registry; None: there is none.

        Raises:
            CredentialsUnreadable: the file is damaged, or a program keeps the credential.
        """
        try:
            file = msgspec.json.decode(self._path.read_bytes(), type=_File)
        except FileNotFoundError:
            return None
        except (OSError, msgspec.DecodeError) as error:
            raise self._unreadable(registry, str(error)) from error
        keys = [registry, f"https://{registry}", f"https://{registry}/", f"https://{registry}/v2/"]
        if registry == DOCKER_HUB_REGISTRY:
            keys += _DOCKER_HUB_KEYS
        entry = next((file.auths[key] for key in keys if key in file.auths), None)
        if entry is not None and (credential := self._credential(entry, registry)) is not None:
            return credential
        helper = next((file.cred_helpers[key] for key in keys if key in file.cred_helpers), file.creds_store)
        if helper and (entry is not None or registry in file.cred_helpers):
            reason = (
                f"the credential is kept by docker-credential-{helper}, which workshape does not ask; take "
                f"credsStore and credHelpers out and log in again"
            )
            raise self._unreadable(registry, reason)
        return None

    def _credential(self, entry: _Entry, registry: str) -> Credential | None:
        if entry.identitytoken:
            return Credential("", entry.identitytoken)
        if not entry.auth:
            return Credential(entry.username, entry.password) if entry.username else None
        try:
            user, colon, password = base64.b64decode(entry.auth, validate=True).decode().partition(":")
        except (binascii.Error, UnicodeDecodeError) as error:
            raise self._unreadable(registry, f"auth is not base64 of USER:PASSWORD: {error}") from error
        if not colon:
            raise self._unreadable(registry, "auth is not base64 of USER:PASSWORD")
        return Credential(user, password)

    def _unreadable(self, registry: str, reason: str) -> CredentialsUnreadable:
        return CredentialsUnreadable(path=str(self._path), registry=registry, reason=reason)

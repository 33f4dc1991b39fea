"""Images in a registry, by the OCI distribution protocol. A download that breaks is gone on with.

Source: https://github.com/opencontainers/distribution-spec/blob/main/spec.md,
https://distribution.github.io/distribution/spec/auth/token/
"""

import asyncio
import base64
import hashlib
import re
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, MutableMapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TypeVar
from urllib.parse import urljoin, urlsplit

import httpx
import msgspec

from workshape.errors import BackendUnavailable, Invalid
from workshape.functions.images.blob import Blob, ImageNotFound
from workshape.functions.images.credentials import Credential, CredentialFile
from workshape.functions.images.manifest import (
    INDEX_TYPES,
    MANIFEST_BYTES_MAX,
    MANIFEST_TYPES,
    Descriptor,
    DigestMismatch,
    ImageUnsupported,
    verify,
)
from workshape.functions.images.reference import DEFAULT_TAG, RegistryImage, hexadecimal, is_loopback

ANSWER_S_MAX = 60.0  # without a byte from the registry; not of a whole download, whose size is bounded
CONNECT_S_MAX = 10.0
ATTEMPTS_MAX = 5
BACKOFF_S = 0.25  # doubles from attempt to attempt: about 4 s in all, a short failure's length
REDIRECTS_MAX = 5  # registries send to their storage once
TOKEN_BYTES_MAX = 1024 * 1024
_ACCEPT = ", ".join((*MANIFEST_TYPES, *INDEX_TYPES))
_PARAMETER = re.compile(r'([a-zA-Z_]+)="([^"]*)"')
_PIECE_BYTES = 1024 * 1024
_BROKEN = (httpx.TransportError, ssl.SSLError)

DownloadLocks = MutableMapping[str, asyncio.Lock]
"""By layer: images that share one, and come at the same time, download it once."""
T = TypeVar("T")


class ImageAccessDenied(Invalid):
    """Source image {uri} cannot be read: {registry} {reason}"""

    uri: str
    registry: str
    reason: str


class _Token(msgspec.Struct):
    token: str = ""
    access_token: str = ""


class _Busy(Exception):
    """The registry asks to come back later, or the connection broke: try again."""


class RegistrySource:
    """One image of one registry. Layers are kept in `folder` by their digests."""

    def __init__(
        self, image: RegistryImage, uri: str, folder: Path, credentials: CredentialFile, locks: DownloadLocks
    ) -> None:
        self._image = image
        self._uri = uri
        self._folder = folder
        self._credentials = credentials
        self._locks = locks
        scheme = "http" if image.is_plain else "https"
        self._base = f"{scheme}://{image.host}/v2/{image.repository}"
        self._authorization = ""
        timeout = httpx.Timeout(ANSWER_S_MAX, connect=CONNECT_S_MAX)
        # Proxies of the environment are for the world outside.
        self._client = httpx.AsyncClient(timeout=timeout, trust_env=not image.is_plain)

    def __repr__(self) -> str:
        return f"<RegistrySource {self._base}>"

    async def top(self) -> bytes:
        """Read the manifest or index that the reference names."""
        reference = self._image.digest or self._image.tag or DEFAULT_TAG
        content = await self._small(f"manifests/{reference}", reference)
        return content if self._image.digest is None else verify(content, self._image.digest, "the manifest")

    async def content(self, descriptor: Descriptor) -> bytes:
        """Read a manifest or a configuration."""
        kind = "manifests" if descriptor.media_type in (*MANIFEST_TYPES, *INDEX_TYPES) else "blobs"
        content = await self._small(f"{kind}/{descriptor.digest}", descriptor.digest)
        return verify(content, descriptor.digest, "a manifest or configuration")

    async def layer(self, descriptor: Descriptor) -> Blob:
        """Download a layer, unless it is here; go on where an earlier attempt broke off."""
        path = self._folder / hexadecimal(descriptor.digest)
        self._folder.mkdir(parents=True, exist_ok=True)
        async with self._locks.setdefault(path.name, asyncio.Lock()):
            if not path.exists():
                await self._attempt(lambda: self._download(descriptor, path))
        return Blob(path, 0, descriptor.size)

    async def aclose(self) -> None:
        """Close its connections."""
        await self._client.aclose()

    async def _small(self, target: str, name: str) -> bytes:
        async def read() -> bytes:
            async with self._get(f"{self._base}/{target}", name, {"accept": _ACCEPT}) as answer:
                return await _at_most(answer, MANIFEST_BYTES_MAX, self._uri)

        return await self._attempt(read)

    async def _download(self, descriptor: Descriptor, path: Path) -> None:
        part = path.with_suffix(".part")
        digest, start = await asyncio.to_thread(_hash_so_far, part, descriptor.size)
        headers = {"range": f"bytes={start}-"} if start else {}
        if start < descriptor.size or descriptor.size == 0:
            async with self._get(f"{self._base}/blobs/{descriptor.digest}", descriptor.digest, headers) as answer:
                if answer.status_code != httpx.codes.PARTIAL_CONTENT:
                    digest, start = hashlib.sha256(), 0  # it does not know ranges: from the beginning
                with part.open("ab" if start else "wb") as opened:
                    async for piece in answer.aiter_raw():
                        start += len(piece)
                        if start > descriptor.size:
                            break
                        digest.update(piece)
                        opened.write(piece)
        if start < descriptor.size:
            raise _Busy(f"the connection ended after {start} of {descriptor.size} bytes")
        if f"sha256:{digest.hexdigest()}" != descriptor.digest or start > descriptor.size:
            part.unlink()
            raise DigestMismatch(what="a layer", digest=descriptor.digest)
        part.rename(path)

    async def _attempt(self, work: Callable[[], Awaitable[T]]) -> T:
        """Do something again while the registry fails for no fault of ours.

        Raises:
            BackendUnavailable: it does not stop failing.
        """
        for attempt in range(1, ATTEMPTS_MAX + 1):
            try:
                return await work()
            except (httpx.InvalidURL, ValueError) as error:  # it has sent us to an address that is none
                raise self._unavailable(str(error)) from error
            except (_Busy, *_BROKEN) as error:
                if attempt == ATTEMPTS_MAX:
                    raise self._unavailable(str(error) or type(error).__name__) from error
                await asyncio.sleep(BACKOFF_S * 2 ** (attempt - 1))
        raise AssertionError("the last attempt returns or raises")

    @asynccontextmanager
    async def _get(self, url: str, name: str, headers: Mapping[str, str]) -> AsyncIterator[httpx.Response]:
        """Ask for something and follow redirects, with our authorization to the registry alone."""
        authorized = False
        for _ in range(REDIRECTS_MAX + 1):
            own = _origin(url) == _origin(self._base)
            sent = {**headers, **({"authorization": self._authorization} if own and self._authorization else {})}
            # Layers are wanted as they are stored, by whose bytes their digests are made.
            async with self._client.stream("GET", url, headers={"accept-encoding": "identity", **sent}) as answer:
                if answer.status_code == httpx.codes.UNAUTHORIZED and own and not authorized:
                    challenge, authorized = answer.headers.get("www-authenticate", ""), True
                    next_url = url
                elif answer.is_redirect:
                    challenge, next_url = "", self._followed(url, answer.headers.get("location", ""))
                else:
                    self._check(answer, name)
                    yield answer
                    return
            if challenge or next_url == url:
                await self._authorize(challenge)
            url = next_url
        raise self._unavailable("it redirects without end")

    def _followed(self, url: str, location: str) -> str:
        target = urljoin(url, location)
        parts = urlsplit(target)
        if parts.scheme != "https" and not (parts.scheme == "http" and is_loopback(parts.netloc)):
            reason = f"redirects to {parts.scheme}://{parts.netloc}, which is not encrypted"
            raise ImageAccessDenied(uri=self._uri, registry=self._image.host, reason=reason)
        return target

    def _check(self, answer: httpx.Response, name: str) -> None:
        status = answer.status_code
        if status in (httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN):
            reason = f"refuses it ({status}); is the name right, and has `docker login {self._image.host}` been done?"
            raise ImageAccessDenied(uri=self._uri, registry=self._image.host, reason=reason)
        if status == httpx.codes.NOT_FOUND:
            reason = f"{self._image.host} has no {name} in {self._image.repository}"
            raise ImageNotFound(uri=self._uri, reason=reason)
        if status == httpx.codes.TOO_MANY_REQUESTS or status >= httpx.codes.INTERNAL_SERVER_ERROR:
            raise _Busy(f"it answers {status}")
        if status not in (httpx.codes.OK, httpx.codes.PARTIAL_CONTENT):
            raise self._unavailable(f"it answers {status}")

    def _unavailable(self, reason: str) -> BackendUnavailable:
        return BackendUnavailable(backend="the registry", address=self._base, reason=reason)

    async def _authorize(self, challenge: str) -> None:
        """Answer a challenge: with a token, which somebody else may have to be asked for, or with the password."""
        host = self._image.host
        credential = await asyncio.to_thread(self._credentials.find, host)
        scheme, _, rest = challenge.partition(" ")
        if scheme.lower() == "basic" and credential is not None and credential.user:
            self._authorization = _basic(credential)
        elif scheme.lower() == "bearer":
            self._authorization = f"Bearer {await self._token(dict(_PARAMETER.findall(rest)), credential)}"
        else:
            reason = f"wants to know who asks; `docker login {host}` makes that known (~/.docker/config.json)"
            raise ImageAccessDenied(uri=self._uri, registry=host, reason=reason)

    async def _token(self, asked: dict[str, str], credential: Credential | None) -> str:
        realm = self._followed(self._base, asked.get("realm", ""))
        scope = asked.get("scope", f"repository:{self._image.repository}:pull")
        question = {"service": asked.get("service", ""), "scope": scope}
        if credential is not None and not credential.user:
            form = {**question, "grant_type": "refresh_token", "client_id": "workshape"}
            request = self._client.build_request("POST", realm, data={**form, "refresh_token": credential.password})
        else:
            headers = {"authorization": _basic(credential)} if credential is not None else {}
            url = httpx.URL(realm).copy_merge_params(question)
            request = self._client.build_request("GET", url, headers=headers)
        answer = await self._client.send(request, stream=True)
        try:
            if answer.status_code >= httpx.codes.INTERNAL_SERVER_ERROR:
                raise _Busy(f"{realm} answers {answer.status_code}")
            body = await _at_most(answer, TOKEN_BYTES_MAX, self._uri)
        finally:
            await answer.aclose()
        try:
            token = msgspec.json.decode(body, type=_Token) if answer.is_success else _Token()
        except msgspec.DecodeError:
            token = _Token()
        if not (token.token or token.access_token):
            reason = f"gives no token for it ({answer.status_code} from {realm}); see `docker login {self._image.host}`"
            raise ImageAccessDenied(uri=self._uri, registry=self._image.host, reason=reason)
        return token.token or token.access_token


async def _at_most(answer: httpx.Response, bytes_max: int, uri: str) -> bytes:
    body = bytearray()
    async for piece in answer.aiter_raw():
        body += piece
        if len(body) > bytes_max:
            raise ImageUnsupported(uri=uri, reason=f"an answer of more than {bytes_max} bytes about it")
    return bytes(body)


def _hash_so_far(part: Path, size_bytes: int) -> "tuple[hashlib._Hash, int]":
    """Hash what an earlier attempt has left, if it can be the beginning of the whole."""
    digest = hashlib.sha256()
    if not part.exists() or part.stat().st_size > size_bytes:
        return digest, 0
    with part.open("rb") as opened:
        while piece := opened.read(_PIECE_BYTES):
            digest.update(piece)
        return digest, opened.tell()


def _basic(credential: Credential) -> str:
    return f"Basic {base64.b64encode(f'{credential.user}:{credential.password}'.encode()).decode()}"


def _origin(url: str) -> tuple[str, str]:
    parts = urlsplit(url)
    return parts.scheme, parts.netloc

"""A registry on 127.0.0.1 that speaks the OCI distribution protocol, with tokens or passwords if wanted."""

import base64
import json
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import cast
from urllib.parse import parse_qs, urlsplit

from tests.fakes.images import BuiltImage, digest

RELEASE_S_MAX = 30.0
TOKEN = "a-token-for-this-test"


class FakeRegistry:
    """Starts when it is made; `close` it. Holds one repository, `app`."""

    def __init__(self, *, auth: str = "", user: str = "me", password: str = "secret") -> None:
        self.auth = auth
        """`bearer`, `basic`, or nothing."""
        self.login = f"{user}:{password}"
        self.manifests: dict[str, bytes] = {}
        self.blobs: dict[str, bytes] = {}
        self.asked: list[tuple[str, str]] = []
        """Paths, and the ranges asked for."""
        self.authorizations: set[str | None] = set()
        self.break_after: dict[str, list[int]] = {}
        """By digest: after how many bytes each of the next answers breaks off."""
        self.held: set[str] = set()
        """Digests of blobs that are not given before `release` is set."""
        self.release = threading.Event()
        self.busy = 0
        """So many of the next requests are answered 503."""
        self.redirect_blobs = ""
        """Where blobs are said to be."""
        self._server = _Server(self)
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02})
        self._thread.start()

    @property
    def host(self) -> str:
        """HOST:PORT."""
        return f"127.0.0.1:{self._server.server_port}"

    def push(self, tag: str, *images: BuiltImage, index: bytes | None = None) -> None:
        """Hold images; the tag names the index, or the one image."""
        for image in images:
            self.blobs |= image.blobs
            self.manifests[image.digest] = image.manifest
        top = images[0].manifest if index is None else index
        self.manifests[tag] = self.manifests[digest(top)] = top

    def close(self) -> None:
        """End it."""
        self.release.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


class _Server(ThreadingHTTPServer):
    def __init__(self, registry: FakeRegistry) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.registry = registry


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    @property
    def registry(self) -> FakeRegistry:
        return cast(_Server, self.server).registry

    def do_GET(self) -> None:
        self.registry.asked.append((self.path, self.headers.get("range", "")))
        self.registry.authorizations.add(self.headers.get("authorization"))
        if self.registry.busy > 0:
            self.registry.busy -= 1
            self._answer(503)
        elif self.path.startswith("/token"):
            self._give_token()
        elif self._is_allowed():
            self._give()

    def _is_allowed(self) -> bool:
        given = self.headers.get("authorization", "")
        if self.registry.auth == "bearer" and given != f"Bearer {TOKEN}":
            realm = f'Bearer realm="http://{self.registry.host}/token",service="r",scope="repository:app:pull"'
            self._answer(401, headers={"www-authenticate": realm})
            return False
        if self.registry.auth == "basic" and given != f"Basic {_encoded(self.registry.login)}":
            self._answer(401, headers={"www-authenticate": 'Basic realm="r"'})
            return False
        return True

    def _give_token(self) -> None:
        asked = parse_qs(urlsplit(self.path).query)
        allowed = self.headers.get("authorization") == f"Basic {_encoded(self.registry.login)}"
        if allowed and asked.get("scope") == ["repository:app:pull"] and asked.get("service") == ["r"]:
            self._answer(200, json.dumps({"token": TOKEN}).encode())
        else:
            self._answer(401)

    def _give(self) -> None:
        found = re.fullmatch(r"/v2/app/(manifests|blobs)/(.+)", self.path)
        held = self.registry.manifests if found and found[1] == "manifests" else self.registry.blobs
        content = held.get(found[2]) if found else None
        if found is None or content is None:
            self._answer(404, b'{"errors":[{"code":"MANIFEST_UNKNOWN"}]}')
        elif found[1] == "blobs" and self.registry.redirect_blobs:
            self._answer(307, headers={"location": f"{self.registry.redirect_blobs}{self.path}"})
        else:
            self._give_content(found[2], content)

    def _give_content(self, name: str, content: bytes) -> None:
        if name in self.registry.held:
            self.registry.release.wait(RELEASE_S_MAX)
        status, start = 200, 0
        if asked := re.fullmatch(r"bytes=(\d+)-", self.headers.get("range", "")):
            status, start = 206, int(asked[1])
        body = content[start:]
        breaks = self.registry.break_after.get(name) or []
        cut = breaks.pop(0) if breaks else None
        self.send_response(status)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body[:cut])
        if cut is not None:
            self.close_connection = True

    def _answer(self, status: int, body: bytes = b"", headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for header, value in (headers or {}).items():
            self.send_header(header, value)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


def _encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()

"""HTTP requests and responses as values."""

from collections.abc import AsyncIterable
from dataclasses import dataclass, field
from urllib.parse import unquote

HeaderPairs = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Request:
    """One request, its body whole. Header names are lower case; values and repetitions are as sent."""

    method: str
    target: str
    headers: HeaderPairs = ()
    body: bytes = b""
    peer: str = ""
    """Address of the client, without its port; empty on a Unix socket."""

    @property
    def raw_path(self) -> str:
        """The target up to its question mark, still percent-encoded."""
        return self.target.partition("?")[0]

    @property
    def path(self) -> str:
        """The path, percent-decoded."""
        return unquote(self.raw_path)

    @property
    def query(self) -> str:
        """The target after its question mark, still percent-encoded; may be empty."""
        return self.target.partition("?")[2]

    def header(self, name: str, default: str = "") -> str:
        """Return the first header of that (lower-case) name."""
        for key, value in self.headers:
            if key == name:
                return value
        return default


@dataclass(frozen=True, slots=True)
class Response:
    """One response. The server adds `content-length` (or, for a stream, chunked coding), `date` and `connection`."""

    status: int
    headers: HeaderPairs = ()
    body: bytes | AsyncIterable[bytes] = field(default=b"", repr=False)

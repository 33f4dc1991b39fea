"""Cross-origin resource sharing as a function URL or an HTTP API is configured to: preflights, headers of answers.

A core.

Source: https://fetch.spec.whatwg.org/#http-cors-protocol (the headers)
Source: https://docs.aws.amazon.com/lambda/latest/dg/urls-configuration.html (how they are configured)
Source: https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-cors.html (the same for HTTP APIs)
"""

from typing import Protocol

from workshape.http1.message import HeaderPairs, Request, Response

ANY = "*"
ANY_OF_A_SCHEME = "://*"
PREFIX = "access-control-"


class Cors(Protocol):
    """How a function URL, or an HTTP API, is configured."""

    @property
    def allow_credentials(self) -> bool: ...
    @property
    def allow_headers(self) -> tuple[str, ...]: ...
    @property
    def allow_methods(self) -> tuple[str, ...]: ...
    @property
    def allow_origins(self) -> tuple[str, ...]: ...
    @property
    def expose_headers(self) -> tuple[str, ...]: ...
    @property
    def max_age_s(self) -> int: ...


def preflight(cors: Cors, request: Request, status: int = 200) -> Response:
    """Answer a browser that asks before it sends its request."""
    allowed = _allowed_origin(cors, request)
    if not allowed:
        return Response(status)  # AWS: undocumented; without the headers a browser sends nothing more
    headers = [*allowed]
    if cors.allow_methods:
        headers.append(("access-control-allow-methods", ",".join(cors.allow_methods)))
    if cors.allow_headers:
        headers.append(("access-control-allow-headers", ",".join(cors.allow_headers)))
    if cors.max_age_s:
        headers.append(("access-control-max-age", str(cors.max_age_s)))
    return Response(status, tuple(headers))


def with_cors(cors: Cors, request: Request, response: Response) -> Response:
    """Write the configuration's headers on an answer."""
    # HTTP APIs ignore a backend's headers of this kind, as documented. AWS: undocumented for function URLs; we chose
    # the same, because browsers refuse an answer that has one of them twice.
    headers: HeaderPairs = tuple((name, value) for name, value in response.headers if not name.startswith(PREFIX))
    headers += _allowed_origin(cors, request)
    if cors.expose_headers:
        headers += (("access-control-expose-headers", ",".join(cors.expose_headers)),)
    return Response(response.status, headers, response.body)


def _allowed_origin(cors: Cors, request: Request) -> HeaderPairs:
    """Say whose scripts may read the answer; empty: not those of this origin."""
    origin = request.header("origin")
    listed = bool(origin) and any(_lists(allowed, origin) for allowed in cors.allow_origins)
    if not listed and ANY not in cors.allow_origins:
        return ()
    # With credentials a browser takes no asterisk for an origin.
    named = origin if origin and (listed or cors.allow_credentials) else ANY
    headers: HeaderPairs = (("access-control-allow-origin", named),)
    if named != ANY:
        headers += (("vary", "Origin"),)
    if cors.allow_credentials:
        headers += (("access-control-allow-credentials", "true"),)
    return headers


def _lists(allowed: str, origin: str) -> bool:
    return allowed == origin or (allowed.endswith(ANY_OF_A_SCHEME) and origin.startswith(allowed.removesuffix(ANY)))

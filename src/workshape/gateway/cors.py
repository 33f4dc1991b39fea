"""Cross-origin resource sharing as a function URL is configured to: preflights, and headers of answers. A core.

Source: https://fetch.spec.whatwg.org/#http-cors-protocol (the headers)
Source: https://docs.aws.amazon.com/lambda/latest/dg/urls-configuration.html (how they are configured)
"""

from workshape.functions.function_url import Cors
from workshape.http1.message import HeaderPairs, Request, Response

ANY = "*"
PREFIX = "access-control-"


def preflight(cors: Cors, request: Request) -> Response | None:
    """Answer a browser that asks before it sends its request; None: it is not asking, the function answers."""
    if request.method != "OPTIONS" or not request.header("access-control-request-method"):
        return None
    allowed = _allowed_origin(cors, request)
    if not allowed:
        return Response(200)  # AWS: undocumented; without the headers a browser sends nothing more
    headers = [*allowed]
    if cors.allow_methods:
        headers.append(("access-control-allow-methods", ",".join(cors.allow_methods)))
    if cors.allow_headers:
        headers.append(("access-control-allow-headers", ",".join(cors.allow_headers)))
    if cors.max_age_s:
        headers.append(("access-control-max-age", str(cors.max_age_s)))
    return Response(200, tuple(headers))


def with_cors(cors: Cors, request: Request, response: Response) -> Response:
    """Write the configuration's headers on an answer."""
    # AWS: undocumented what becomes of a function's own headers of this kind; we chose that the configuration's stand
    # alone, because browsers refuse an answer that has one of them twice.
    headers: HeaderPairs = tuple((name, value) for name, value in response.headers if not name.startswith(PREFIX))
    headers += _allowed_origin(cors, request)
    if cors.expose_headers:
        headers += (("access-control-expose-headers", ",".join(cors.expose_headers)),)
    return Response(response.status, headers, response.body)


def _allowed_origin(cors: Cors, request: Request) -> HeaderPairs:
    """Say whose scripts may read the answer; empty: not those of this origin."""
    origin = request.header("origin")
    listed = bool(origin) and origin in cors.allow_origins
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

"""Whether an app's HTTP API hangs together: routes, authorizers, limits. A core."""

import re
from collections.abc import Iterator

from workshape.apis.routes import RouteTable, SameRequests, check_route_key
from workshape.app.model import App, Authorizer, Route
from workshape.app.problem import Naming, Problem, no_function
from workshape.errors import Invalid
from workshape.toml_document import Place, did_you_mean

AUTHORIZER_NAME = Naming(
    "an authorizer", re.compile(r"(?!iam$)[a-zA-Z0-9_-]{1,128}"), "1 to 128 letters, digits, - and _, not iam"
)
"""https://docs.aws.amazon.com/apigatewayv2/latest/api-reference/apis-apiid-authorizers.html"""
AUTHORIZERS_MAX = 10
"""https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-quotas.html"""
IAM = "iam"
_IDENTITY = re.compile(r"\$(request\.(header|querystring)|context|stageVariables)\.\S+")


def http_problems(app: App) -> Iterator[Problem]:
    """Everything that is wrong with it, in the order of the app."""
    http = app.http
    if http.cors is not None and http.cors.allow_credentials and "*" in http.cors.allow_origins:
        what = 'with allow_credentials browsers take no "*" in allow_origins; name the origins'
        yield Problem(("http", "cors", "allow_credentials"), what)
    for authorizer in app.authorizers:
        yield from _authorizer_problems(app, authorizer)
    for index, route in enumerate(app.routes):
        yield from _route_problems(app, index, route)


def _authorizer_problems(app: App, authorizer: Authorizer) -> Iterator[Problem]:
    place: Place = ("authorizers", authorizer.name)
    if not AUTHORIZER_NAME.allows(authorizer.name):
        yield Problem(place, AUTHORIZER_NAME.refusal(authorizer.name))
    if len(app.authorizers) > AUTHORIZERS_MAX and authorizer is app.authorizers[AUTHORIZERS_MAX]:
        yield Problem(place, f"an API has at most {AUTHORIZERS_MAX} authorizers")
    if (authorizer.issuer is None) == (authorizer.function is None):
        yield Problem(place, "it has an issuer (of JSON Web Tokens) or a function, one of the two")
        return
    if authorizer.issuer is not None and not authorizer.issuer.startswith(("https://", "http://")):
        yield Problem((*place, "issuer"), f'"{authorizer.issuer}" is not the URL of an issuer')
    if authorizer.function is not None:
        yield from _function_problems(app, authorizer, authorizer.function)
    if authorizer.ttl_s and not authorizer.identity:
        yield Problem((*place, "ttl_s"), "keeping answers needs an identity to keep them by")
    for source in authorizer.identity:
        if not _IDENTITY.fullmatch(source):
            what = f'"{source}" is none of $request.header.X, $request.querystring.X, $context.X, $stageVariables.X'
            yield Problem((*place, "identity"), what)


def _function_problems(app: App, authorizer: Authorizer, function: str) -> Iterator[Problem]:
    place: Place = ("authorizers", authorizer.name)
    if app.function(function) is None:
        yield no_function(app, (*place, "function"), function)
    if authorizer.audience:
        yield Problem((*place, "audience"), "only an issuer's tokens have an audience")
    if authorizer.simple and authorizer.payload != "2.0":
        yield Problem((*place, "simple"), 'simple answers need payload = "2.0"; write simple = false')


def _route_problems(app: App, index: int, route: Route) -> Iterator[Problem]:
    place: Place = ("routes", index)
    try:
        check_route_key(route.route)
    except Invalid as error:
        yield Problem((*place, "route"), f'"{route.route}" is no route key: {error}')
        return
    if app.function(route.function) is None:
        yield no_function(app, (*place, "function"), route.function)
    if route.route in [earlier.route for earlier in app.routes[:index]]:
        yield Problem((*place, "route"), f'"{route.route}" is there twice')
        return
    try:
        RouteTable([(one.route, None) for one in app.routes[: index + 1]])
    except SameRequests as error:
        yield Problem((*place, "route"), str(error))
    except Invalid:
        pass  # one before this is no route key, which was said
    authorizer = next((one for one in app.authorizers if one.name == route.authorizer), None)
    if route.authorizer not in (None, IAM) and authorizer is None:
        known = did_you_mean(route.authorizer or "", [IAM, *(one.name for one in app.authorizers)])
        yield Problem((*place, "authorizer"), f"there is no [authorizers.{route.authorizer}]; {known}")
    elif route.scopes and (authorizer is None or authorizer.issuer is None):
        yield Problem((*place, "scopes"), "only the tokens of an authorizer with an issuer have scopes")

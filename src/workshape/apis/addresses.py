"""Where APIs are reached: at hosts of their own, as on AWS, or below a path for those who cannot name hosts. A core.

`{api}.execute-api.{region}.…/{stage}/…` and `/_workshape/apis/{api}/{stage}/…` mean the same.

Source: https://docs.aws.amazon.com/apigateway/latest/developerguide/how-to-call-api.html
"""

from msgspec.structs import replace

from workshape.http1.message import Request

MARK = ".execute-api."
PATH = "/_workshape/apis/"


def is_for_an_api(request: Request) -> bool:
    """Tell whether a request to the front door is one to an API."""
    return MARK in request.header("host") or request.target.startswith(PATH)


def read_address(request: Request) -> tuple[str, Request]:
    """Return the API's id, and the request as its host would get it."""
    api_id, mark, _ = request.header("host").partition(MARK)
    if mark:
        return api_id, request
    api_id, slash, rest = request.target.removeprefix(PATH).partition("/")
    if not slash:
        api_id, question, rest = api_id.partition("?")
        return api_id, replace(request, target=f"/{question}{rest}")
    return api_id, replace(request, target=f"/{rest}")


def stage_in(request: Request) -> str:
    """The first segment of the path: the name of the stage, if there is one by that name."""
    return request.raw_path.removeprefix("/").partition("/")[0]


def api_host(api_id: str, region: str) -> str:
    """Name the host of an API: one that resolves to this machine wherever `localhost` and what is below it does.

    Source: https://www.rfc-editor.org/rfc/rfc6761#section-6.3
    """
    return f"{api_id}{MARK}{region}.localhost"

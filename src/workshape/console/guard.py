"""Who may ask the console: a browser on this machine that shows the console's own page. A core.

Any web page may have its reader's browser send requests to this machine. Three things keep such requests out. The name
they are sent to has to be this machine's: a page that has pointed a name of its own at 127.0.0.1 (DNS rebinding) still
has that name in `Host`. What changes something has to come from the console's own origin, which browsers state in
`Origin` and `Sec-Fetch-Site`, and pages cannot write. And it has to be JSON, which no page may send elsewhere unasked.

Source: https://developer.mozilla.org/en-US/docs/Web/HTTP/Reference/Headers/Sec-Fetch-Site
Source: https://cheatsheetseries.owasp.org/cheatsheets/Cross-Site_Request_Forgery_Prevention_Cheat_Sheet.html
"""

from collections.abc import Collection
from dataclasses import dataclass

from workshape.http1.message import Request
from workshape.http1.origins import BY_HAND, SAME_ORIGIN, THIS_MACHINE, host_name, is_link_followed

JSON_TYPE = "application/json"


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a request is not answered."""

    status: int
    message: str


def refusal(request: Request, hosts: Collection[str] = THIS_MACHINE) -> Refusal | None:
    """Say why a request is not to be answered; None: it is. `hosts` are the names this machine goes by."""
    given = [value for name, value in request.headers if name == "host"]
    if len(given) != 1 or host_name(given[0]) not in hosts:
        asked = " and ".join(given) or "nobody"
        return Refusal(403, f"the console answers to {', '.join(sorted(hosts))}, and this was sent to {asked}")
    if request.method == "GET":
        return _reading(request)
    if request.method != "POST":
        return Refusal(405, "the console takes GET and POST")
    return _doing(request, given[0])


def _reading(request: Request) -> Refusal | None:
    """Whoever follows a link here gets the page; no page of somebody else's gets what is in it."""
    site = request.header("sec-fetch-site")
    if site in (*SAME_ORIGIN, BY_HAND) or is_link_followed(request):
        return None
    return Refusal(403, f"this was asked for by another page ({site})")


def _doing(request: Request, host: str) -> Refusal | None:
    site, origin = request.header("sec-fetch-site"), request.header("origin")
    if site not in SAME_ORIGIN or origin != f"http://{host}":
        return Refusal(403, f"only the console's own page may do this, and it was asked by {origin or 'none'}")
    kind = request.header("content-type").partition(";")[0].strip().lower()
    if kind != JSON_TYPE:
        return Refusal(415, f"this takes {JSON_TYPE}, not {kind or 'nothing'}")
    return None

"""MOCK integrations: the API answers by itself, with what was written down. What CORS is made of in REST APIs. A core.

Templates are taken as they are written; those with directives or references (VTL) are refused when they are put.

Source: https://docs.aws.amazon.com/apigateway/latest/developerguide/how-to-mock-integration.html
"""

import re

from workshape.apis.rest_api import Integration, IntegrationResponse
from workshape.gateway.bodies import latin1
from workshape.http1.message import Response

HEADER_PREFIX = "method.response.header."
_STATUS = re.compile(r"""["']?statusCode["']?\s*:\s*["']?(\d{3})\b""")
_JSON_TYPE = "application/json"


def mock_response(integration: Integration) -> Response | None:
    """Answer; None: no integration response is for the status that the request template asks for."""
    found = _STATUS.search(integration.request_templates.get(_JSON_TYPE, ""))
    if found is None:
        return None
    chosen = _choose(integration, found[1])
    if chosen is None:
        return None
    headers = [
        (name.removeprefix(HEADER_PREFIX).lower(), latin1(value.strip("'")))
        for name, value in chosen.response_parameters.items()
    ]
    if not any(name == "content-type" for name, _ in headers):
        headers.append(("content-type", _JSON_TYPE))
    body = chosen.response_templates.get(_JSON_TYPE, "")
    status = int(chosen.status_code)
    return Response(status, tuple(headers), b"" if status == 204 else body.encode())


def _choose(integration: Integration, status: str) -> IntegrationResponse | None:
    """Take the response whose pattern matches the status, else the one without a pattern."""
    responses = integration.integration_responses.values()
    for response in responses:
        if response.selection_pattern and re.fullmatch(response.selection_pattern, status):
            return response
    return next((response for response in responses if not response.selection_pattern), None)

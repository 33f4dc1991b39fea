"""Where an integration's URI leads: a function, or an address; with stage variables put in. A core.

Source: https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-stages.html#http-api-stages.stage-variables
"""

import re
from collections.abc import Mapping
from functools import lru_cache

from workshape.errors import Invalid

_URIS_MAX = 1_024  # of the integrations in use
_VARIABLE = re.compile(r"\$\{stageVariables\.([A-Za-z0-9_]+)\}")
_FUNCTION = re.compile(r"arn:[\w-]+:apigateway:[\w-]+:lambda:path/2015-03-31/functions/(.+)/invocations")
_FUNCTION_ARN = re.compile(r"arn:[\w-]+:lambda:[\w-]*:\d*:function:.+")


def with_variables(uri: str, variables: Mapping[str, str] | None) -> str:
    """Put a stage's variables in; one that is not set becomes nothing."""
    if "${" not in uri:
        return uri
    return _VARIABLE.sub(lambda found: (variables or {}).get(found[1], ""), uri)


@lru_cache(maxsize=_URIS_MAX)
def function_of(uri: str) -> str:
    """Read the function's ARN out of an integration's URI: the ARN itself, or Lambda's path to invoke it.

    Raises:
        Invalid: it is neither.
    """
    found = _FUNCTION.fullmatch(uri)
    arn = found[1] if found is not None else uri
    if not _FUNCTION_ARN.fullmatch(arn):
        # AWS: undocumented; we chose the words.
        raise Invalid(
            reason=f"{uri!r} does not name a function: it is the function's ARN, or "
            "arn:aws:apigateway:REGION:lambda:path/2015-03-31/functions/ARN/invocations"
        )
    return arn

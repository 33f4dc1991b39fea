"""How CloudWatch's errors read on the wire.

Source: https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_GetMetricStatistics.html#API_GetMetricStatistics_Errors
"""

from collections.abc import Mapping

from workshape.aws.operation import WireError
from workshape.errors import Denied, Invalid, WorkshapeError


class InvalidParameter(Invalid):
    """The value {value} for parameter {parameter} is not supported: {reason}"""

    parameter: str
    value: object


class InvalidCombination(Invalid):
    """{reason}"""


class InvalidQuery(Invalid):
    """{reason}"""


class InvalidNextToken(Invalid):
    """The next token is invalid: it is not one of an earlier answer."""


class NotBuilt(Denied):
    """workshape does not do {feature} yet."""

    feature: str


ERRORS: Mapping[type[WorkshapeError], WireError] = {
    InvalidParameter: WireError("InvalidParameterValueException", 400, query_code="InvalidParameterValue"),
    InvalidCombination: WireError(
        "InvalidParameterCombinationException", 400, query_code="InvalidParameterCombination"
    ),
    # GetMetricData names no error but this one for what is wrong with its queries.
    InvalidQuery: WireError("ValidationException", 400, query_code="ValidationError"),
    InvalidNextToken: WireError("InvalidNextToken", 400),
    NotBuilt: WireError("InvalidParameterValueException", 400, query_code="InvalidParameterValue"),
}

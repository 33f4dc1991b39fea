"""API Gateway's second API as the front door finds it: HTTP APIs.

Source: https://docs.aws.amazon.com/apigatewayv2/latest/api-reference/operations.html
"""

from workshape.apis.http_apis import HttpApis
from workshape.aws.apigatewayv2.apis import api_operations
from workshape.aws.apigatewayv2.errors import ERRORS
from workshape.aws.apigatewayv2.routes import route_operations
from workshape.aws.apigatewayv2.stages import Forget, stage_operations
from workshape.aws.operation import Service


def http_api_service(apis: HttpApis, forget_authorizers: Forget) -> Service:
    """Offer the HTTP APIs; `forget_authorizers` drops what is kept of authorizers' answers, by API and stage."""
    operations = {**api_operations(apis), **route_operations(apis), **stage_operations(apis, forget_authorizers)}
    return Service("apigatewayv2", operations, ERRORS)

"""API Gateway's first API as the front door finds it: REST APIs, API keys and usage plans.

Source: https://docs.aws.amazon.com/apigateway/latest/api/API_Operations.html
"""

from workshape.apis.rest_apis import RestApis
from workshape.apis.usage_plans import UsagePlans
from workshape.aws.apigateway.apis import api_operations, gateway_response_operations
from workshape.aws.apigateway.errors import ERRORS
from workshape.aws.apigateway.keys import key_operations
from workshape.aws.apigateway.resources import resource_operations
from workshape.aws.apigateway.stages import Forget, stage_operations
from workshape.aws.operation import Service


def rest_api_service(apis: RestApis, plans: UsagePlans, forget_authorizers: Forget) -> Service:
    """Offer the REST APIs; `forget_authorizers` drops what is kept of authorizers' answers, by API and stage."""
    operations = {
        **api_operations(apis, plans),
        **gateway_response_operations(apis),
        **resource_operations(apis),
        **stage_operations(apis, forget_authorizers),
        **key_operations(plans, apis),
    }
    return Service("apigateway", operations, ERRORS)

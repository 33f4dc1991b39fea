"""Requests to APIs that were made over API Gateway's own API: finds the API and its stage.

Source: https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-develop-routes.html (stages)
"""

from workshape.apis.addresses import read_address, stage_in
from workshape.apis.http_api import DEFAULT_STAGE, HttpApi
from workshape.apis.http_apis import HttpApis
from workshape.apis.rest_api import RestApi
from workshape.apis.rest_apis import RestApis
from workshape.gateway.http_front import HttpFront, message
from workshape.gateway.http_stage import HttpStage
from workshape.gateway.rest_front import RestFront
from workshape.gateway.rest_stage import RestStage
from workshape.http1.message import Request, Response

STAGES_MAX = 10_000  # made ready and kept; ten an API


class ApiDoor:
    """Answers requests to all of them."""

    def __init__(self, http_apis: HttpApis, rest_apis: RestApis, http: HttpFront, rest: RestFront) -> None:
        self._http_apis = http_apis
        self._rest_apis = rest_apis
        self._http = http
        self._rest = rest
        self._http_stages: dict[tuple[str, str], HttpStage] = {}
        self._rest_stages: dict[tuple[str, str], RestStage] = {}

    def __repr__(self) -> str:
        return f"<ApiDoor {self._http_apis!r} {self._rest_apis!r}>"

    async def answer(self, sent: Request) -> Response:
        """Answer one request."""
        api_id, request = read_address(sent)
        http_api = self._http_apis.find(api_id)
        if http_api is not None:
            stage = self._http_stage(http_api, stage_in(request))
            if stage is None:
                return message(404, "Not Found")
            return (await self._http.answer(stage, request, sent)).response
        rest_api = self._rest_apis.find(api_id)
        rest_stage = self._rest_stage(rest_api, stage_in(request)) if rest_api is not None else None
        if rest_stage is None:
            # AWS: an API that is not there has no host there, and an unknown stage answers so.
            return message(403, "Forbidden", (("x-amzn-errortype", "ForbiddenException"),))
        return await self._rest.answer(rest_stage, request, sent)

    def _http_stage(self, api: HttpApi, named: str) -> HttpStage | None:
        """The stage that the path names, else the default one; made ready anew when anything of it has changed."""
        if api.properties.disable_execute_api_endpoint:
            return None
        settings = api.stages.get(named) or api.stages.get(DEFAULT_STAGE)
        if settings is None:
            return None
        definition = self._http_apis.served(api, settings)
        if definition is None:
            return None
        api_id = api.properties.api_id
        key = (api_id, settings.stage_name)
        ready = self._http_stages.get(key)
        if ready is None or ready.stage is not settings or ready.definition is not definition:
            if len(self._http_stages) >= STAGES_MAX:
                self._http_stages.clear()
            ready = self._http_stages[key] = HttpStage(api_id, settings, definition)
        return ready

    def _rest_stage(self, api: RestApi, named: str) -> RestStage | None:
        settings = api.stages.get(named)
        if settings is None or api.properties.disable_execute_api_endpoint:
            return None
        definition = self._rest_apis.served(api, settings)
        if definition is None:
            return None
        properties = api.properties
        key = (properties.id, named)
        ready = self._rest_stages.get(key)
        if ready is None or ready.stage is not settings or ready.definition is not definition:
            if len(self._rest_stages) >= STAGES_MAX:
                self._rest_stages.clear()
            ready = self._rest_stages[key] = RestStage(properties.id, properties.name, settings, definition)
        return ready

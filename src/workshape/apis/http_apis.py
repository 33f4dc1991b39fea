"""The HTTP APIs there are: kept durably, changed member by member, deployed to stages.

Source: https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-stages.html
"""

from collections.abc import Callable

from msgspec.structs import replace

from workshape.apis.http_api import (
    STAGE_VARIABLES_MAX,
    STAGES_MAX,
    Definition,
    Deployment,
    HttpApi,
    NoSuchMember,
    Properties,
    Stage,
    StageExists,
    StillInUse,
    TooMany,
)
from workshape.apis.ids import new_api_id, new_member_id
from workshape.apis.shelf import Shelf
from workshape.clock import Clock
from workshape.errors import Invalid, NotFound
from workshape.store.documents import Documents


class NoSuchApi(NotFound):
    """Invalid API identifier specified {name}"""


class HttpApis:
    """Their catalogue."""

    def __init__(self, store: Documents, clock: Clock) -> None:
        self._apis = Shelf(store, "http-api", HttpApi, NoSuchApi)
        self._deployments = Shelf(store, "http-api-deployment", Deployment, NotFound)
        """By `API/DEPLOYMENT`."""
        self._clock = clock

    def __repr__(self) -> str:
        return f"<HttpApis {len(self._apis)}>"

    def find(self, api_id: str) -> HttpApi | None:
        """Find an API, if it is there."""
        return self._apis.find(api_id)

    def get(self, api_id: str) -> HttpApi:
        """Find an API.

        Raises:
            NoSuchApi: it is not there.
        """
        return self._apis.get(api_id)

    def all(self) -> list[HttpApi]:
        """All of them, the oldest first."""
        return sorted(self._apis, key=lambda api: api.properties.created_date)

    def now(self) -> float:
        """Unix time, for what is made now."""
        return self._clock.wall_s()

    def create(self, name: str, definition: Definition, **properties: object) -> HttpApi:
        """Make one; `properties` are fields of `Properties`."""
        api_id = new_api_id()
        made = Properties(api_id=api_id, name=name, created_date=self.now(), **properties)  # type: ignore[arg-type]  # its fields
        return self._apis.put(api_id, HttpApi(made, definition))

    def set_properties(self, api_id: str, properties: Properties) -> HttpApi:
        """Change what is shown of an API."""
        return self._apis.put(api_id, replace(self.get(api_id), properties=properties))

    def define(self, api_id: str, change: Callable[[Definition], Definition]) -> HttpApi:
        """Change what is worked on; stages that deploy by themselves serve it at once."""
        api = self.get(api_id)
        changed = replace(api, definition=change(api.definition))
        if any(stage.auto_deploy for stage in api.stages.values()):
            changed = self._deploy_automatically(changed)
        return self._apis.put(api_id, changed)

    def delete(self, api_id: str) -> None:
        """Remove an API and its deployments."""
        self._apis.delete(api_id)
        for deployment in self._deployments.below(f"{api_id}/"):
            self._deployments.delete(f"{api_id}/{deployment.id}")

    # deployments

    def deploy(self, api_id: str, description: str | None, stage_name: str | None) -> Deployment:
        """Take a snapshot, and let a stage serve it.

        Raises:
            NoSuchMember: there is no such stage.
            Invalid: there are no routes to deploy.
        """
        api = self.get(api_id)
        if not api.definition.routes:
            raise Invalid(reason="At least one route is required before deploying the Api.")
        if stage_name is not None:
            self.stage(api_id, stage_name)
        deployment = self._snapshot(api, description, is_automatic=False)
        if stage_name is not None:
            self.put_stage(api_id, replace(self.stage(api_id, stage_name), deployment_id=deployment.id))
        return deployment

    def deployments(self, api_id: str) -> list[Deployment]:
        """An API's, the newest first."""
        self.get(api_id)
        return sorted(self._deployments.below(f"{api_id}/"), key=lambda item: item.created_at, reverse=True)

    def deployment(self, api_id: str, deployment_id: str) -> Deployment:
        """Find one.

        Raises:
            NoSuchMember: it is not there.
        """
        self.get(api_id)
        found = self._deployments.find(f"{api_id}/{deployment_id}")
        if found is None:
            raise NoSuchMember(kind="Deployment", name=deployment_id)
        return found

    def put_deployment(self, api_id: str, deployment: Deployment) -> Deployment:
        """Change one's description."""
        return self._deployments.put(f"{api_id}/{deployment.id}", deployment)

    def delete_deployment(self, api_id: str, deployment_id: str) -> None:
        """Remove one that no stage serves."""
        self.deployment(api_id, deployment_id)
        for stage in self.get(api_id).stages.values():
            if stage.deployment_id == deployment_id:
                raise StillInUse(kind="deployment", id=deployment_id, by=f"the stage {stage.stage_name}")
        self._deployments.delete(f"{api_id}/{deployment_id}")

    # stages

    def stage(self, api_id: str, name: str) -> Stage:
        """Find one.

        Raises:
            NoSuchMember: it is not there.
        """
        found = self.get(api_id).stages.get(name)
        if found is None:
            raise NoSuchMember(kind="stage", name=name)
        return found

    def create_stage(self, api_id: str, stage: Stage) -> Stage:
        """Make one.

        Raises:
            StageExists: its name is taken.
            TooMany: an API has ten.
        """
        api = self.get(api_id)
        if stage.stage_name in api.stages:
            raise StageExists(reason="")
        if len(api.stages) >= STAGES_MAX:
            raise TooMany(count_max=STAGES_MAX, kind="stages")
        return self.put_stage(api_id, stage)

    def put_stage(self, api_id: str, stage: Stage) -> Stage:
        """Change one.

        Raises:
            NoSuchMember: its deployment is not there.
        """
        api = self.get(api_id)
        if len(stage.stage_variables) > STAGE_VARIABLES_MAX:
            raise Invalid(reason=f"A stage has at most {STAGE_VARIABLES_MAX} variables")
        if stage.deployment_id is not None:
            self.deployment(api_id, stage.deployment_id)
        stage = replace(stage, last_updated_date=self.now())
        changed = replace(api, stages={**api.stages, stage.stage_name: stage})
        if stage.auto_deploy:
            changed = self._deploy_automatically(changed)
        return self._apis.put(api_id, changed).stages[stage.stage_name]

    def delete_stage(self, api_id: str, name: str) -> None:
        """Remove one."""
        self.stage(api_id, name)
        api = self.get(api_id)
        left = {other: stage for other, stage in api.stages.items() if other != name}
        self._apis.put(api_id, replace(api, stages=left))

    def served(self, api: HttpApi, stage: Stage) -> Definition | None:
        """What a stage serves; None: nothing was deployed to it."""
        if stage.auto_deploy:
            return api.definition
        found = self._deployments.find(f"{api.properties.api_id}/{stage.deployment_id}")
        return found.definition if found is not None else None

    def _deploy_automatically(self, api: HttpApi) -> HttpApi:
        """Give the stages that deploy by themselves a new deployment, in the place of their last automatic one."""
        api_id, stages = api.properties.api_id, dict(api.stages)
        if not api.definition.routes:
            return api
        made = self._snapshot(api, "Automatic deployment triggered by changes to the Api configuration", True)
        for name, stage in api.stages.items():
            if stage.auto_deploy:
                stages[name] = replace(stage, deployment_id=made.id, last_updated_date=self.now())
        used = {stage.deployment_id for stage in stages.values()}
        for deployment in self.deployments(api_id):
            if deployment.is_automatic and deployment.id not in used:
                self._deployments.delete(f"{api_id}/{deployment.id}")
        return replace(api, stages=stages)

    def _snapshot(self, api: HttpApi, description: str | None, is_automatic: bool) -> Deployment:
        made = Deployment(new_member_id(6), self.now(), api.definition, description, is_automatic)
        return self._deployments.put(f"{api.properties.api_id}/{made.id}", made)

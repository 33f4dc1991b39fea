"""The REST APIs there are: kept durably, changed member by member, deployed to stages.

Source: https://docs.aws.amazon.com/apigateway/latest/developerguide/how-to-deploy-api.html
"""

from collections.abc import Callable

from msgspec.structs import replace

from workshape.apis.ids import new_api_id, new_member_id
from workshape.apis.rest_api import (
    ROOT,
    Account,
    Definition,
    Deployment,
    Properties,
    Resource,
    RestApi,
    Stage,
    check_deployable,
)
from workshape.apis.shelf import Shelf
from workshape.clock import Clock
from workshape.errors import Conflict, Invalid, NotFound
from workshape.store.documents import Documents

ROOT_ID_LENGTH = 10
ACCOUNT_KEY = "account"


class NoSuchRestApi(NotFound):
    """Invalid API identifier specified {name}"""


class NoSuchDeployment(NotFound):
    """Invalid Deployment identifier specified"""


class NoSuchStage(NotFound):
    """Invalid stage identifier specified"""


class StageExists(Conflict):
    """Stage already exists"""


class ServedDeployment(Invalid):
    """Active stages pointing to this deployment must be moved or deleted"""


class RestApis:
    """Their catalogue."""

    def __init__(self, store: Documents, clock: Clock) -> None:
        self._apis = Shelf(store, "rest-api", RestApi, NoSuchRestApi)
        self._deployments = Shelf(store, "rest-api-deployment", Deployment, NoSuchDeployment)
        """By `API/DEPLOYMENT`."""
        self._accounts = Shelf(store, "rest-api-account", Account, NotFound)
        self._clock = clock

    def __repr__(self) -> str:
        return f"<RestApis {len(self._apis)}>"

    def find(self, api_id: str) -> RestApi | None:
        """Find an API, if it is there."""
        return self._apis.find(api_id)

    def get(self, api_id: str) -> RestApi:
        """Find an API.

        Raises:
            NoSuchRestApi: it is not there.
        """
        return self._apis.get(api_id)

    def all(self) -> list[RestApi]:
        """All of them, the oldest first."""
        return sorted(self._apis, key=lambda api: api.properties.created_date)

    def now(self) -> float:
        """Unix time, for what is made now."""
        return self._clock.wall_s()

    def create(self, name: str, definition: Definition, **properties: object) -> RestApi:
        """Make one, with a root resource; `properties` are fields of `Properties`."""
        api_id, root_id = new_api_id(), new_member_id(ROOT_ID_LENGTH)
        made = Properties(api_id, name, self.now(), root_id, **properties)  # type: ignore[arg-type]  # its fields
        definition = replace(definition, resources={root_id: Resource(root_id, ROOT)})
        return self._apis.put(api_id, RestApi(made, definition))

    def set_properties(self, api_id: str, properties: Properties) -> RestApi:
        """Change what is shown of an API."""
        return self._apis.put(api_id, replace(self.get(api_id), properties=properties))

    def define(self, api_id: str, change: Callable[[Definition], Definition]) -> RestApi:
        """Change what is worked on; no stage serves it before it is deployed."""
        api = self.get(api_id)
        return self._apis.put(api_id, replace(api, definition=change(api.definition)))

    def delete(self, api_id: str) -> None:
        """Remove an API and its deployments."""
        self._apis.delete(api_id)
        for deployment in self._deployments.below(f"{api_id}/"):
            self._deployments.delete(f"{api_id}/{deployment.id}")

    @property
    def account(self) -> Account:
        """What is set for all of them."""
        return self._accounts.find(ACCOUNT_KEY) or Account()

    def put_account(self, account: Account) -> Account:
        """Set it."""
        return self._accounts.put(ACCOUNT_KEY, account)

    # deployments

    def deploy(self, api_id: str, description: str | None) -> Deployment:
        """Take a snapshot.

        Raises:
            NothingToDeploy, NoIntegration: there is nothing that could be served.
        """
        definition = self.get(api_id).definition
        check_deployable(definition)
        made = Deployment(new_member_id(6), self.now(), definition, description)
        return self._deployments.put(f"{api_id}/{made.id}", made)

    def deployments(self, api_id: str) -> list[Deployment]:
        """An API's, the newest first."""
        self.get(api_id)
        return sorted(self._deployments.below(f"{api_id}/"), key=lambda item: item.created_at, reverse=True)

    def deployment(self, api_id: str, deployment_id: str) -> Deployment:
        """Find one.

        Raises:
            NoSuchDeployment: it is not there.
        """
        self.get(api_id)
        return self._deployments.get(f"{api_id}/{deployment_id}")

    def put_deployment(self, api_id: str, deployment: Deployment) -> Deployment:
        """Change one's description."""
        return self._deployments.put(f"{api_id}/{deployment.id}", deployment)

    def delete_deployment(self, api_id: str, deployment_id: str) -> None:
        """Remove one.

        Raises:
            ServedDeployment: a stage serves it.
        """
        self.deployment(api_id, deployment_id)
        if any(stage.deployment_id == deployment_id for stage in self.get(api_id).stages.values()):
            raise ServedDeployment(reason="")
        self._deployments.delete(f"{api_id}/{deployment_id}")

    # stages

    def stage(self, api_id: str, name: str) -> Stage:
        """Find one.

        Raises:
            NoSuchStage: it is not there.
        """
        found = self.get(api_id).stages.get(name)
        if found is None:
            raise NoSuchStage(kind="stage", name=name)
        return found

    def create_stage(self, api_id: str, stage: Stage) -> Stage:
        """Make one.

        Raises:
            StageExists: its name is taken.
        """
        if stage.stage_name in self.get(api_id).stages:
            raise StageExists(reason="")
        return self.put_stage(api_id, stage)

    def put_stage(self, api_id: str, stage: Stage) -> Stage:
        """Change one.

        Raises:
            NoSuchDeployment: what it is to serve is not there.
        """
        api = self.get(api_id)
        self.deployment(api_id, stage.deployment_id)
        stage = replace(stage, last_updated_date=self.now())
        self._apis.put(api_id, replace(api, stages={**api.stages, stage.stage_name: stage}))
        return stage

    def delete_stage(self, api_id: str, name: str) -> None:
        """Remove one."""
        self.stage(api_id, name)
        api = self.get(api_id)
        left = {other: stage for other, stage in api.stages.items() if other != name}
        self._apis.put(api_id, replace(api, stages=left))

    def served(self, api: RestApi, stage: Stage) -> Definition | None:
        """What a stage serves."""
        found = self._deployments.find(f"{api.properties.id}/{stage.deployment_id}")
        return found.definition if found is not None else None

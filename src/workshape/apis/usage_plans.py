"""The API keys and usage plans there are, kept durably; `usage_counts.py` keeps what keys have used."""

import secrets

from msgspec.structs import replace

from workshape.apis.ids import new_member_id
from workshape.apis.shelf import Shelf
from workshape.apis.usage import ApiKey, KeyExists, NoSuchKey, NoSuchPlan, NoSuchPlanKey, UsagePlan
from workshape.clock import Clock
from workshape.store.documents import Documents

KEY_ID_LENGTH = 10
PLAN_ID_LENGTH = 6


class UsagePlans:
    """Their catalogue."""

    def __init__(self, store: Documents, clock: Clock) -> None:
        self._keys = Shelf(store, "api-key", ApiKey, NoSuchKey)
        self._plans = Shelf(store, "usage-plan", UsagePlan, NoSuchPlan)
        self._clock = clock

    def __repr__(self) -> str:
        return f"<UsagePlans plans={len(self._plans)} keys={len(self._keys)}>"

    # keys

    def create_key(self, name: str, value: str | None, **more: object) -> ApiKey:
        """Make a key; without a value it gets one.

        Raises:
            KeyExists: another has that value.
        """
        now = self._clock.wall_s()
        if value is not None and self.key_by_value(value) is not None:
            raise KeyExists(reason="")
        key_id, value = new_member_id(KEY_ID_LENGTH), value or secrets.token_hex(20)
        return self._keys.put(key_id, ApiKey(key_id, name, value, now, now, **more))  # type: ignore[arg-type]  # its fields

    def key(self, key_id: str) -> ApiKey:
        """Find one.

        Raises:
            NoSuchKey: it is not there.
        """
        return self._keys.get(key_id)

    def keys(self) -> list[ApiKey]:
        """All of them, the oldest first."""
        return sorted(self._keys, key=lambda key: key.created_date)

    def key_by_value(self, value: str) -> ApiKey | None:
        """Find the one that a client has sent."""
        return next((key for key in self._keys if secrets.compare_digest(key.value.encode(), value.encode())), None)

    def put_key(self, key: ApiKey) -> ApiKey:
        """Change one."""
        return self._keys.put(key.id, replace(key, last_updated_date=self._clock.wall_s()))

    def delete_key(self, key_id: str) -> None:
        """Remove one, from the plans too."""
        self._keys.delete(key_id)
        for plan in self._plans:
            if key_id in plan.keys:
                self.put_plan(replace(plan, keys=tuple(key for key in plan.keys if key != key_id)))

    # plans

    def create_plan(self, plan: UsagePlan) -> UsagePlan:
        """Make a plan; its id is made here."""
        made = replace(plan, id=new_member_id(PLAN_ID_LENGTH))
        return self._plans.put(made.id, made)

    def plan(self, plan_id: str) -> UsagePlan:
        """Find one.

        Raises:
            NoSuchPlan: it is not there.
        """
        return self._plans.get(plan_id)

    def plans(self) -> list[UsagePlan]:
        """All of them, by name."""
        return sorted(self._plans, key=lambda plan: plan.name)

    def put_plan(self, plan: UsagePlan) -> UsagePlan:
        """Change one."""
        return self._plans.put(plan.id, plan)

    def delete_plan(self, plan_id: str) -> None:
        """Remove one."""
        self._plans.delete(plan_id)

    def plan_of(self, key: ApiKey, api_id: str, stage: str) -> UsagePlan | None:
        """Find the plan under which a key may use a stage; None: it may not."""
        for plan in self._plans:
            if key.id in plan.keys and plan.stage(api_id, stage) is not None:
                return plan
        return None

    def plan_key(self, plan_id: str, key_id: str) -> ApiKey:
        """Find a key in a plan.

        Raises:
            NoSuchPlan, NoSuchPlanKey: it is not there.
        """
        if key_id not in self.plan(plan_id).keys:
            raise NoSuchPlanKey(kind="API key", name=key_id)
        return self.key(key_id)

    def add_plan_key(self, plan_id: str, key_id: str) -> ApiKey:
        """Let a key use what a plan is for.

        Raises:
            NoSuchPlan, NoSuchKey: one is not there.
            KeyExists: it does already.
        """
        plan, key = self.plan(plan_id), self.key(key_id)
        if key_id in plan.keys:
            raise KeyExists(reason="")
        self.put_plan(replace(plan, keys=(*plan.keys, key_id)))
        return key

    def remove_plan_key(self, plan_id: str, key_id: str) -> None:
        """Let it no longer."""
        self.plan_key(plan_id, key_id)
        plan = self.plan(plan_id)
        self.put_plan(replace(plan, keys=tuple(key for key in plan.keys if key != key_id)))

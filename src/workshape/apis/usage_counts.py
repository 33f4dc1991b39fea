"""What API keys have used of their quotas, written down once a second and at the end: no request waits for it."""

import asyncio
import logging
import sqlite3
from collections.abc import Callable, Sequence

import msgspec

from workshape.apis.usage import Usage
from workshape.apis.usage_plans import UsagePlans
from workshape.store.documents import Documents

KIND = "api-key-usage"
INTERVAL_S = 1.0
"""So much is forgotten when the engine is killed. On AWS too quotas are targets, kept as well as can be.

Source: https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-request-throttling.html
"""
WRITTEN_AT_ONCE_MAX = 1_000
"""A few milliseconds, in which nobody else has their turn; the others have theirs a second later."""

_log = logging.getLogger(__name__)

TakeChanged = Callable[[int], Sequence[Usage]]
"""Takes so many of the counts that have changed, at most."""


class UsageCounts:
    """Their file. `run` it while keys are counted, `keep_all` at the end."""

    def __init__(self, store: Documents, plans: UsagePlans) -> None:
        """Read what there is; forget what keys used that no longer have a plan."""
        self._store = store
        in_plans = {_key(plan.id, key_id) for plan in plans.plans() for key_id in plan.keys}
        found = store.all(KIND)
        store.change(deleted=[(KIND, key) for key, _ in found if key not in in_plans])
        self.kept = [msgspec.json.decode(document, type=Usage) for key, document in found if key in in_plans]

    def __repr__(self) -> str:
        return f"<UsageCounts kept={len(self.kept)}>"

    async def run(self, take: TakeChanged) -> None:
        """Write down what changes, until cancelled."""
        while True:
            await asyncio.sleep(INTERVAL_S)
            self._keep(take(WRITTEN_AT_ONCE_MAX))

    def keep_all(self, take: TakeChanged) -> None:
        """Write down all that has changed."""
        while usages := take(WRITTEN_AT_ONCE_MAX):
            self._keep(usages)

    def _keep(self, usages: Sequence[Usage]) -> None:
        documents = [(KIND, _key(usage.plan_id, usage.key_id), msgspec.json.encode(usage)) for usage in usages]
        try:
            if documents:
                self._store.write_all(documents)
        except sqlite3.Error as error:  # they are written again as soon as their keys come again
            _log.warning("api_key_usage_not_kept", extra={"keys": len(documents), "reason": str(error)})


def _key(plan_id: str, key_id: str) -> str:
    return f"{plan_id}/{key_id}"

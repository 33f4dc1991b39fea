"""What holds for all tests: how long hypothesis may take, and what is skipped where a machine does not let us."""

import pytest
from hypothesis import HealthCheck, settings

from tests.fakes import privileges

# How long a crowded machine takes over an example says nothing about the code.
settings.register_profile("crowded", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("crowded")


@pytest.fixture(scope="session")
def needs_sandbox() -> None:
    """Skip where functions have no sandbox."""
    if reason := privileges.why_no_sandbox():
        pytest.skip(f"functions have no sandbox here: {reason}")


@pytest.fixture(scope="session")
def needs_copies() -> None:
    """Skip where environments are not copied of snapshots."""
    if reason := privileges.why_no_copies():
        pytest.skip(f"snapshots cannot be copied here: {reason}")


@pytest.fixture(scope="session")
def needs_other_users() -> None:
    """Skip where no process may become another user's."""
    if reason := privileges.why_no_other_users():
        pytest.skip(reason)

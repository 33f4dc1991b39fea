"""How hypothesis runs everywhere: how long a crowded machine takes over an example says nothing about the code."""

from hypothesis import HealthCheck, settings

settings.register_profile("crowded", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("crowded")

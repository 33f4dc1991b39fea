"""Lambda. Read `model.py` and `limits.py`, then the cores `environment.py`, `concurrency.py`, `actions.py`, `pool.py`,
`provisioned.py` and `scheduler.py`, then the drivers `invoker.py` (performs the actions), `function_invoker.py` (by
name), `runtime_api.py` and `environment_api.py` with `runtime_session.py`, `extension_sessions.py`,
`response_arrival.py` and `response_stream.py` (what is said inside an environment), `telemetry.py` and
`telemetry_delivery.py` (what its extensions hear), `shutdown.py` and `launch/`, then `results.py`, `platform_log.py`,
`logs.py` and `records.py` (what an invocation leaves behind), and `catalog.py` (`function.py`, `alias.py`,
`layers.py`, `policy.py`, `event_invoke.py`, `runtime_management.py` and `function_url.py` are what it keeps,
`code.py`, `belongings.py` and `numbering.py` how; `provisioned_configs.py` says what is to be initialised ahead).
"""

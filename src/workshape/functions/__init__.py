"""Lambda. Read `model.py` and `limits.py`, then the cores `environment.py`, `concurrency.py`, `actions.py`, `pool.py`,
`provisioned.py` and `scheduler.py`, then the drivers `invoker.py` (performs the actions), `runtime_api.py` and
`launch/`, then `results.py`, `platform_log.py`, `logs.py` and `records.py` (what an invocation leaves behind), and
`catalog.py` (`function.py`, `alias.py`, `layers.py`, `policy.py`, `event_invoke.py`, `runtime_management.py` and
`function_url.py` are what it keeps, `code.py`, `belongings.py` and `numbering.py` how; `provisioned_configs.py` says
what is to be initialised ahead).
"""

"""Lambda's API on the function catalogue and the invoker.

Read `service.py`, then the operations: `functions.py`, `versions.py`, `aliases.py`, `layers.py`, `invoke.py`,
`invoke_streaming.py`, `event_invoke.py`, `function_urls.py`, `concurrency.py`, `permissions.py`,
`runtime_management.py`, `tags.py`, `mappings.py`; `configuration.py`, `code_source.py`, `names.py`, `paging.py` and
`statements.py` turn members into values and back, `errors.py` names what goes wrong.
"""

"""Lambda's API on the function catalogue and the invoker.

Read `service.py`, then the operations: `functions.py`, `invoke.py`, `concurrency.py`, `tags.py`, `mappings.py`;
`configuration.py` and `code_source.py` turn members into values and back, `errors.py` names what goes wrong.
"""

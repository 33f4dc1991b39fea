"""A PostgreSQL proxy that lends few database connections to many clients, one transaction at a time.

The cores: `messages.py`, `auth.py`, `expected.py`, `link.py` (the database's side), `session.py` (the client's side,
with `client_state.py` and `client_statements.py`), `recognition.py` (what a text does; its steps are `harmless.py`,
`sql_scan.py` on `sql_tokens.py`, `sql_tree.py`) and `pins.py` (what keeps a client on its connection), `pool.py` (who
gets which connection).

The drivers: `client_connection.py` (with `client_login.py`) and `database_connection.py` (with `database_login.py`),
`lending.py` (one server's connections), `target_group.py` and `lenders.py` (several servers), `accounts.py` (who may
come), `server.py` (the whole), `process.py` and `handover.py` (as a process of its own). `hosting.py` runs the proxies
that were made through RDS's API, in the process of `host_process.py`. The console: `admin_console.py`.
"""

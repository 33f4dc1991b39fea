"""Real servers that run beside us, each a process of its own, and what keeps them running.

Read `restart.py` (when to start again, decided without a clock), `process.py` (one child process), `readiness.py` (when
it is ready), `supervisor.py` (all of them), then the servers: `postgres.py`, `postgres_reader.py`, `tls_front.py`,
`moto.py`, `dynamodb.py`, `kafka.py`.
"""

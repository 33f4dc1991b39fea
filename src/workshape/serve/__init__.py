"""The processes behind `workshape up`: each makes its objects from the run file and runs them until it is told to end.

    python -m workshape.serve.engine RUNFILE    front door, HTTP API, functions, queues, triggers
    python -m workshape.serve.proxy RUNFILE     the PostgreSQL proxy

Both end in order on SIGTERM and SIGINT. They do not import each other: the proxy is small because it is without the
engine. Read part, then either.
"""

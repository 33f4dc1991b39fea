"""Looks a post up by its id, on one connection kept for the life of the environment.

An environment serves one invocation at a time, so a second connection could never be used. A connection that
died while the environment was frozen is replaced once; an error of the statement itself is not retried.
DATABASE_URL asks for sslmode=verify-full with the database's own CA.
"""

import os

import psycopg
from posts import answer_post

CONNECT_TIMEOUT_S = 5  # what a busy machine takes; the query has the other half of the function's ten

_connection = None


def _connected():
    global _connection
    if _connection is None or _connection.closed:
        _connection = psycopg.connect(os.environ["DATABASE_URL"], connect_timeout=CONNECT_TIMEOUT_S, autocommit=True)
    return _connection


def handler(event, context):
    """Answer GET /python/posts/{id}."""
    post_id = event["pathParameters"]["id"]
    connection = _connected()
    try:
        return answer_post(connection, post_id)
    except psycopg.OperationalError:
        if not connection.closed:
            raise
        return answer_post(_connected(), post_id)

"""`search` as it was that night: every invocation opens a connection, uses it once and walks away."""

import os

import psycopg
from posts import answer_post

forgotten = []  # CPython would close what nothing refers to; that night's client library did not


def handler(event, context):
    """Answer GET /python/3am/posts/{id}."""
    connection = psycopg.connect(os.environ["DATABASE_URL"], connect_timeout=5, autocommit=True)
    forgotten.append(connection)
    return answer_post(connection, event["pathParameters"]["id"])

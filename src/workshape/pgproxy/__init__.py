"""A PostgreSQL proxy that lends few database connections to many clients, one transaction at a time.

Read config, messages, auth, expected, link (the database's side), session (the client's side), sql_tokens and pins
(what keeps a client on its connection), pool (who gets which connection), then the drivers: database_connection,
client_connection, server.
"""

"""HTTP in: an app's routes to its functions, as an API Gateway HTTP API does it.

Read `routes.py` (which route answers), `payload.py` (request to event, result to response), `server.py`.
"""

"""What APIs there are in front of functions: HTTP APIs and REST APIs as API Gateway keeps them.

Read `routes.py` (which route answers), `http_api.py` and `rest_api.py` (what an API is, and what it may not be),
`shelf.py` (where they are kept), `http_apis.py` and `rest_apis.py` (changing and deploying them), `definition_text.py`
and `openapi.py` (reading them from a definition). Serving them is `gateway/`.
"""

"""HTTP in: what is in front of functions, served as API Gateway and function URLs do. What APIs there are: `apis/`.

Read `arrival.py` (one request), `http_front.py` on `http_stage.py` (HTTP APIs) and `rest_front.py` on `rest_stage.py`
(REST APIs), then who finds the stage: `server.py` (the app's own port), `api_door.py` (the front door); `api_means.py`
is what all are served with. `function_urls.py` serves URLs of single functions.

On a request's way: `throttle.py`, `metering.py` (API keys), `authorization.py` with `lambda_authorizers.py`,
`tokens.py` with `token_keys.py` and `token_signatures.py`, `execution_arn.py` (policies), `cors.py`. What stands behind
a route: `targets.py` (which), `function_calls.py`, `http_proxy.py`, `mock.py`. Events and answers: `payload.py` (format
2.0), `payload_v1.py`, `bodies.py`, `streamed_response.py`, `gateway_responses.py`; `access_log.py` writes them down.
"""

"""EventBridge's API destinations: HTTP endpoints as targets of rules, and the connections that authorize requests.

As values: `connection.py`, `destination.py`; kept by `connections.py` and `destinations.py`. Of an invocation
`invocation_rate.py` says when it goes; `invoker.py` has its way: `authorizer.py` (with tokens by `token.py`),
`request.py`, `sender.py`, `answer.py`. `state_events.py` tells the default bus of changes by `state_change.py`.
"""

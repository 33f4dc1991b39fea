"""SQS's API on our queues. Read `service.py` (what there is), then `messages.py` and `queues.py` (what each does).

`request.py` and `attributes.py` read and check what comes in; `errors.py` says how errors read on the wire.
"""

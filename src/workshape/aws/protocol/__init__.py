"""AWS's wire protocols, server side, compiled once from botocore's service models.

Read `codec.py` (what a protocol does), `json_shapes.py` (values in JSON), `constraints.py` (what a model demands of
them), then the protocols: `rest_json.py` with `event_stream.py`, `json_rpc.py`, `query.py` with `xml_shapes.py` and
`query_names.py`.
"""

"""AWS's wire protocols, server side, compiled once from botocore's service models.

Read `codec.py` (what a protocol does), `json_shapes.py` (values in JSON), `constraints.py` (what a model demands of
them), then the protocols: `rest_json.py` with `paths.py` and `event_stream.py`, `json_rpc.py`, `rpc_v2_cbor.py`,
`query.py` with `query_layout.py`, `xml_shapes.py` and `query_names.py`; `compiled.py` has them of one service.
"""

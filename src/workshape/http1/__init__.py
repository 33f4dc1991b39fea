"""HTTP/1.1 for every listener of ours: `message.py` (requests, responses), `server.py` (bytes to handlers),
`pieces.py` (a body between who sends and who reads it), `client.py`, `hop_by_hop.py` (what
a proxy does not pass on), `origins.py` (which web page a browser sends a request for).

The parsing is httptools' (llhttp, Node.js's own parser); what is here turns its callbacks into requests.
"""

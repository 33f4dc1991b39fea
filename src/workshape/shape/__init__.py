"""The verdict: function or worker, from evidence. A core throughout: no I/O, no clock.

What goes in: `work.py` (what the app file says), `observations.py` (what the run left behind), `evidence.py` with
`item_history.py` (measures made of it). What decides: `laws.py`, `lifecycle.py`, `prices.py`, `cost.py`, the rules in
`rules/` (each a `Finding`, see `finding.py`), and `verdict.py`, which combines them. `report/` writes it down.
"""

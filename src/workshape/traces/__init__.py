"""Traces: what an invocation's time went into, told to whoever collects OpenTelemetry's spans. Off unless configured.

Read `context.py` (the headers that traces travel in), `span.py`, `otlp.py`.
"""

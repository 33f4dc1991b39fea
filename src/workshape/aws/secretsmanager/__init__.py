"""Secrets Manager on the wire: `service.py` names the operations, `errors.py` the errors."""

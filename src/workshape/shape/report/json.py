"""The report as JSON: the same evidence gives the same bytes. Figures are not rounded; there is no clock in it."""

import msgspec

from workshape.shape.report.document import Report


def encode_report(report: Report) -> bytes:
    """Write it, keys in the order of the values' fields, indented by two, with a final newline."""
    return msgspec.json.format(msgspec.json.encode(report), indent=2) + b"\n"

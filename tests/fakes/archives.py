"""Deployment packages as Lambda wants them.

Source: https://docs.aws.amazon.com/lambda/latest/dg/troubleshooting-deployment.html (permission to read the files)
"""

from zipfile import ZipInfo


def readable(name: str) -> ZipInfo:
    """Describe a file that everybody may read; Python's own default is its owner only."""
    entry = ZipInfo(name)
    entry.external_attr = 0o644 << 16
    return entry

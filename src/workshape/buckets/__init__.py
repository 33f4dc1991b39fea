"""What S3 tells of its objects. The objects themselves are kept by others.

Read `notification.py` (who is told of what), then `event.py` (what they are told). Whoever delivers is
`triggers/s3.py`.
"""

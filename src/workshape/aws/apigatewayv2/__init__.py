"""API Gateway's API for HTTP APIs: `service.py` puts together the operations, `members.py` reads and writes them.

Operations return what botocore's service model of `apigatewayv2` says.
"""

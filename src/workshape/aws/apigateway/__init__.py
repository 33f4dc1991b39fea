"""API Gateway's API for REST APIs: `service.py` puts together the operations, `members.py` reads and writes them.

Operations return what botocore's service model of `apigateway` says.
"""

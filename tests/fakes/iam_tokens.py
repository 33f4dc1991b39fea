"""IAM tokens as the SDKs make them, and ones that no SDK makes; they hold at NOW."""

import time
from functools import cache
from typing import Any

import botocore.session
from botocore.auth import SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

KEY, SECRET, REGION = "AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", "eu-west-1"
HOST, PORT = "localhost", 6432
NOW = time.time()


def token_for(user: str, port: int = PORT) -> str:
    """A token for that user, by the SDK."""
    return str(_rds().generate_db_auth_token(DBHostname=HOST, Port=port, DBUsername=user))


@cache
def _rds() -> Any:
    return botocore.session.Session().create_client(
        "rds", region_name=REGION, aws_access_key_id=KEY, aws_secret_access_key=SECRET
    )


def presigned(query: str, *, expires: int = 900, service: str = "rds-db", address: str = f"{HOST}:{PORT}") -> str:
    """A presigned request for whatever is wanted."""
    request = AWSRequest("GET", f"https://{address}/?{query}")
    SigV4QueryAuth(Credentials(KEY, SECRET), service, REGION, expires=expires).add_auth(request)
    return str(request.url).removeprefix("https://")

"""Who signed a request that no operation of a service's API is for."""

from collections.abc import Callable

from workshape.clock import Clock
from workshape.http1.message import Request
from workshape.settings import Settings
from workshape.sigv4 import MissingAuthentication, find_credential, verify


def signer_for(service: str, settings: Settings, clock: Clock) -> Callable[[Request], str]:
    """Make what tells the access key that a request is signed with for a service, by the door's own keys.

    The function made raises Denied when the signature does not hold, or is another service's.
    """
    secrets = {settings.endpoint.access_key: settings.endpoint.secret_key}

    def authenticate(request: Request) -> str:
        credential = find_credential(request)
        if credential is None or credential.service != service:
            raise MissingAuthentication()
        verify(request, secrets, clock.wall_s())
        return credential.access_key

    return authenticate

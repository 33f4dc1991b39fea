"""What a PostgreSQL server, or a proxy, shows a client that asks for TLS."""

import socket
import ssl
import struct

ANSWER_S_MAX = 10.0
SSL_REQUEST = struct.pack("!ii", 8, 80877103)
"""https://www.postgresql.org/docs/current/protocol-message-formats.html (SSLRequest)"""


def shown_certificate(port: int) -> str:
    """Ask for TLS on 127.0.0.1 and give the certificate, PEM."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with socket.create_connection(("127.0.0.1", port), ANSWER_S_MAX) as plain:
        plain.sendall(SSL_REQUEST)
        assert plain.recv(1) == b"S"
        with context.wrap_socket(plain) as encrypted:
            der = encrypted.getpeercert(binary_form=True)
    assert der is not None
    return ssl.DER_cert_to_PEM_cert(der)

"""URLs that name the certificate authority's file, as the clients' own library reads them."""

import pytest
from psycopg.conninfo import conninfo_to_dict

from workshape.cli.database import connection_url, verifying
from workshape.pgproxy.database_tls import DatabaseTls

CA = ["/home/me/my apps/.workshape/tls/ca.pem", "/home/me/c++ & more/ca.pem", "/home/zoë/100%/ca.pem"]


@pytest.mark.parametrize("ca_file", CA)
def test_the_authority_is_found_wherever_the_app_is(ca_file: str) -> None:
    url = connection_url("app", "s3cret", ("127.0.0.1", 5432), "shop", ca_file)

    assert conninfo_to_dict(url)["sslrootcert"] == ca_file  # libpq's own parser
    assert DatabaseTls.of_url(url).sslrootcert == ca_file


def test_what_a_url_adds_is_readable_where_nothing_has_to_be_quoted() -> None:
    assert verifying("/srv/ca.pem") == "sslmode=verify-full&sslrootcert=/srv/ca.pem"

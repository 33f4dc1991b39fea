"""What a connection URL says of TLS means what it means to libpq."""

from pathlib import Path

import pytest

from workshape.errors import Invalid
from workshape.pgproxy.auth import ChannelBinding
from workshape.pgproxy.database_tls import DatabaseTls, SslMode

URL = "postgresql://app@db/shop"


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("", DatabaseTls(SslMode.PREFER)),
        ("?sslmode=disable", DatabaseTls()),
        ("?sslmode=require&application_name=x", DatabaseTls(SslMode.REQUIRE)),
        ("?sslmode=verify-full&sslrootcert=/a%20b.pem", DatabaseTls(SslMode.VERIFY_FULL, "/a b.pem")),
        ("?sslmode=verify-full&sslrootcert=/a+b.pem", DatabaseTls(SslMode.VERIFY_FULL, "/a+b.pem")),
        ("?sslmode=verify-full&sslrootcert=system", DatabaseTls(SslMode.VERIFY_FULL, "system")),
        ("?sslmode=require&sslcert=c&sslkey=k", DatabaseTls(SslMode.REQUIRE, "", "c", "k")),
        ("?channel_binding=require", DatabaseTls(SslMode.PREFER, channel_binding=ChannelBinding.REQUIRE)),
    ],
)
def test_a_url_is_read(query: str, expected: DatabaseTls) -> None:
    assert DatabaseTls.of_url(URL + query) == expected


@pytest.mark.parametrize(
    ("query", "told"),
    [
        ("?sslmode=allow", "'allow' is not a valid SslMode: sslmode is one of disable, prefer"),
        ("?channel_binding=yes", "channel_binding one of disable, prefer, require"),
        ("?sslmode=verify-full", "sslmode=verify-full needs sslrootcert: the CA's file, or 'system'"),
        ("?sslmode=verify-ca", "sslmode=verify-ca needs sslrootcert"),
        ("?sslmode=require&sslrootcert=system", "sslrootcert=system needs sslmode=verify-full"),
        ("?sslcert=c", "sslcert and sslkey belong together"),
        ("?sslmode=disable&channel_binding=require", "channel_binding=require needs TLS"),
    ],
)
def test_what_cannot_be_is_refused(query: str, told: str) -> None:
    with pytest.raises(Invalid) as error:
        DatabaseTls.of_url(URL + query)

    assert told in str(error.value)


def test_tls_is_optional_only_where_it_is_preferred_and_nothing_else_needs_it() -> None:
    assert DatabaseTls(SslMode.PREFER).is_optional
    assert not DatabaseTls(SslMode.REQUIRE).is_optional
    assert not DatabaseTls(SslMode.PREFER, channel_binding=ChannelBinding.REQUIRE).is_optional


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    (tmp_path / "no.pem").write_text("no certificate")

    assert DatabaseTls().context() is None
    for tls, told in (
        (DatabaseTls(SslMode.VERIFY_FULL, "/gone.pem"), "sslrootcert /gone.pem: "),
        (DatabaseTls(SslMode.VERIFY_CA, str(tmp_path / "no.pem")), "no.pem: "),
        (DatabaseTls(SslMode.REQUIRE, "", "/gone.pem", "/gone.key"), "certificate /gone.pem with key /gone.key: "),
    ):
        with pytest.raises(Invalid) as error:
            tls.context()
        assert told in str(error.value)

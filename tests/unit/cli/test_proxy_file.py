"""The settings file of `workshape proxy`: where its databases are, and who may use them."""

from pathlib import Path

import pytest

from workshape.cli.proxy_file import read_proxy_file
from workshape.errors import Invalid
from workshape.pgproxy.config import DatabaseServer, ProxyUser
from workshape.pgproxy.database_tls import DatabaseTls, SslMode
from workshape.pgproxy.routes import ProxiedDatabase
from workshape.settings import PoolMode

SHOP = """
[databases.shop]
host = "db1"
readers = ["db2:5433", "db3"]
sslmode = "verify-full"
sslrootcert = "ca.pem"
[databases.reports]
host = "db1"
dbname = "shop"
sslmode = "verify-full"
sslrootcert = "ca.pem"
pool_mode = "session"
connections_max = 5
[databases."*"]
host = "db9"
[users]
app = "secret"
[users.jobs]
password = "other"
pool_mode = "statement"
"""


def test_databases_on_one_server_share_it_and_each_has_its_own_settings(tmp_path: Path) -> None:
    (tmp_path / "proxy.toml").write_text(SHOP)

    read = read_proxy_file(tmp_path / "proxy.toml")
    servers, databases = read.proxied()

    verified = DatabaseTls(SslMode.VERIFY_FULL, "ca.pem")
    assert servers == (
        DatabaseServer("db1:5432", "db1", 5432, verified),
        DatabaseServer("db2:5433", "db2", 5433, verified),
        DatabaseServer("db3:5432", "db3", 5432, verified),
        DatabaseServer("db9:5432", "db9", 5432, DatabaseTls(SslMode.PREFER)),
    )
    assert databases == (
        ProxiedDatabase("shop", "db1:5432", ("db2:5433", "db3:5432")),
        ProxiedDatabase("reports", "db1:5432", (), "shop", PoolMode.SESSION, 5),
        ProxiedDatabase("*", "db9:5432"),
    )
    assert read.proxy_users() == (ProxyUser("app", "secret"), ProxyUser("jobs", "other", PoolMode.STATEMENT))


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('[databases.a]\nhost = "x"\nsslmode = "verify-full"', "databases.a: sslmode=verify-full needs sslrootcert"),
        ('[databases.a]\nhost = "x"\nsslcert = "a.pem"', "databases.a: sslcert and sslkey belong together"),
        (
            '[databases.a]\nhost = "x"\nsslmode = "allow"',
            r"line 3: \[databases.a\] sslmode: .* verify-full, got 'allow'",
        ),
        ('[databases.a]\nhost = "x"\n[databases.b]\nhost = "x"\nsslmode = "require"', "databases.b: another database"),
        ('[databases.a]\nhost = "x"\nreaders = ["y:z"]', "databases.a.readers: 'y:z': give host:port"),
        ("[databases.a]\nport = 1", r"line 1: \[databases.a\]: host is missing, and has no default"),
        (
            '[databases.a]\nhost = "x"\npool_mode = "lazy"',
            r"line 3: \[databases.a\] pool_mode: .*got 'lazy'",
        ),
        ('[databases.a]\nhost = "x"\nconnections_max = 0', r"line 3: \[databases.a\] connections_max: .* >= 1"),
        ("[proxy]\nconnection_lifetime_s = 0", r"line 2: \[proxy\] connection_lifetime_s: "),
        ('[users.app]\niam = "YES"', r"line 2: \[users.app\] iam: expected one of .*, got 'YES'"),
        ("[users]\napp = 5", r"line 2: \[users.app\]: expected string . table, got integer"),
        ('users = "app"', r"line 1: users: it is a table of tables: write \[users.NAME\]"),
        ('[users.app]\npasword = "x"', r'\[users.app\] pasword: there is no such key; did you mean "password"\?'),
        ("[database.a]", r'line 1: \[database\]: there is no such table; did you mean "databases"\?'),
        ('administrators = "app"', r"line 1: administrators: expected array, got str"),
        ("[proxy\n", r"line 1: not TOML: "),
    ],
)
def test_what_cannot_be_is_refused_by_name(tmp_path: Path, text: str, told: str) -> None:
    (tmp_path / "proxy.toml").write_text(text)

    with pytest.raises(Invalid, match=told):
        read_proxy_file(tmp_path / "proxy.toml").proxied()

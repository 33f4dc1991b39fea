"""What a proxy is told: the database, who may use it, where to listen."""

from dataclasses import dataclass, field
from pathlib import Path

from workshape.settings import ProxySettings


@dataclass(frozen=True, slots=True)
class ProxyUser:
    """A role of the database: clients log in as it with this password, and so does the proxy."""

    name: str
    password: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class ProxyConfig:
    """One proxy in front of one database server."""

    database_host: str
    database_port: int
    users: tuple[ProxyUser, ...]
    host: str = "127.0.0.1"
    port: int = 0
    """0 picks a free one."""
    database_tls: bool = False
    """Whether to ask the database for TLS, and to refuse to go on without."""
    database_ca_file: Path | None = None
    """With it the database must be who it says (verify-full); without it, TLS only hides what is said."""
    certificate_file: Path | None = None
    """With it (and its key) clients may use TLS."""
    key_file: Path | None = None
    reuse_port: bool = False
    """Let another proxy listen at the same address (SO_REUSEPORT): the next one starts before this one ends."""
    tls_required: bool = False
    """Refuse clients that do not ask for TLS."""
    status_port: int | None = None
    """Where GET /_workshape/status and GET /status answer, on `host`; None: nowhere."""
    administrators: tuple[str, ...] = ()
    """Users who may do more than look, on the admin console."""
    settings: ProxySettings = field(default_factory=ProxySettings)

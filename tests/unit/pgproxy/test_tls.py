"""The authority and its certificates, checked with the ssl module as a client would."""

import asyncio
import ssl
import stat
from pathlib import Path

from workshape.pgproxy.tls import ensure_certificates


def test_what_is_there_and_good_is_kept(tmp_path: Path) -> None:
    ensure_certificates(tmp_path)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}

    ensure_certificates(tmp_path)

    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_keys_are_their_owners_alone(tmp_path: Path) -> None:
    ensure_certificates(tmp_path)

    assert {stat.S_IMODE(path.stat().st_mode) for path in tmp_path.glob("*.key")} == {0o600}


def test_a_new_authority_signs_the_servers_anew(tmp_path: Path) -> None:
    ensure_certificates(tmp_path)
    before = (tmp_path / "proxy.pem").read_bytes()
    (tmp_path / "ca.key").unlink()

    ensure_certificates(tmp_path)

    assert (tmp_path / "proxy.pem").read_bytes() != before


def test_a_damaged_certificate_is_made_anew(tmp_path: Path) -> None:
    ensure_certificates(tmp_path)
    (tmp_path / "database.pem").write_text("not a certificate")

    ensure_certificates(tmp_path)

    assert "BEGIN CERTIFICATE" in (tmp_path / "database.pem").read_text()


async def test_a_client_that_checks_everything_is_content(tmp_path: Path) -> None:
    ensure_certificates(tmp_path)
    client = ssl.create_default_context(cafile=str(tmp_path / "ca.pem"))
    greetings = []
    for server in ("proxy", "database"):
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(tmp_path / f"{server}.pem", tmp_path / f"{server}.key")
        listener = await asyncio.start_server(_greet, "127.0.0.1", 0, ssl=context)
        async with listener:
            port = listener.sockets[0].getsockname()[1]
            for name in ("127.0.0.1", "localhost"):
                reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=client, server_hostname=name)
                greetings.append(await reader.read())
                writer.close()
                await writer.wait_closed()

    assert greetings == [b"hello"] * 4


async def _greet(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"hello")
    await writer.drain()
    writer.close()
    await writer.wait_closed()

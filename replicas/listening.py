"""Where a primary listens: TCP with or without TLS, a Unix socket, and who may be reached from elsewhere."""

import asyncio
import ipaddress
import os
import socket
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from replicas.limits import Listen, host_and_port

_UNIX_MAX: Final = 107


class Exposed(ValueError):
    """A listener that others could reach, without TLS and without the word of the operator."""


async def listen(
    factory: Callable[[], asyncio.Protocol], where: Listen, *, insecure: bool = False, handshake: float = 2.0
) -> list[asyncio.AbstractServer]:
    """Serve at every place that is named; a TLS handshake may take `handshake` seconds. Exposed, OSError (ssl.SSLError too)."""
    if where.tcp:
        refuse_exposed(where.tcp, tls=bool(where.tls_key), insecure=insecure)
    loop = asyncio.get_running_loop()
    servers: list[asyncio.AbstractServer] = []
    try:
        if where.tcp:
            host, port = host_and_port(where.tcp)
            servers.append(await loop.create_server(factory, host or None, port, **_tls(where, handshake)))
        if where.unix:
            servers.append(await loop.create_unix_server(factory, sock=_unix(Path(where.unix))))
    except BaseException:
        for server in servers:
            server.close()
        raise
    return servers


def _unix(path: Path) -> socket.socket:
    """A socket at the path, for its owner alone, in place of what an earlier process left there; OSError."""
    bound = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        if path.is_socket():
            path.unlink()
        bound.bind(str(path))
        path.chmod(0o600)
    except BaseException:
        bound.close()
        raise
    return bound


def refuse_exposed(tcp: str, *, tls: bool, insecure: bool) -> None:
    """Exposed if passwords and orders would cross a network in the clear, and nobody said that they may."""
    host, _ = host_and_port(tcp)
    if not tls and not insecure and not _is_loopback(host):
        raise Exposed(f"{tcp} can be reached from elsewhere: give a certificate and a key, or --insecure")


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def check(where: Listen) -> None:
    """What can be known before a node leads or follows: keys that cannot be read, places that cannot be. OSError."""
    if where.tls_key:
        context(where.tls_certificate, where.tls_key)
    if where.unix and not Path(where.unix).parent.is_dir():
        raise FileNotFoundError(f"{where.unix}: no such directory")
    if len(os.fsencode(where.unix)) > _UNIX_MAX:
        raise OSError(f"{where.unix}: a socket's path has at most {_UNIX_MAX} bytes")


def _tls(where: Listen, handshake: float) -> dict[str, Any]:
    if not where.tls_key:
        return {}
    return {"ssl": context(where.tls_certificate, where.tls_key), "ssl_handshake_timeout": handshake}


def context(certificate: str, key: str) -> ssl.SSLContext:
    """TLS 1.3 with the certificate and the key of two PEM files; OSError (ssl.SSLError too)."""
    made = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    made.minimum_version = ssl.TLSVersion.TLSv1_3
    made.load_cert_chain(certificate, key)
    return made

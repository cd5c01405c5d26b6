"""Asking a running node over its admin socket."""

import http.client
import json
import socket
from pathlib import Path
from typing import Any, Final

from replicas.limits import ADMIN_SOCKET
from tools.failures import Failure

_SECONDS: Final = 30.0
_SCHEME: Final = "unix:"


class _Connection(http.client.HTTPConnection):
    """HTTP over a Unix socket."""

    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=_SECONDS)
        self._path = path

    def connect(self) -> None:
        """Connect to the socket's path instead of a host."""
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(_SECONDS)
        self.sock.connect(str(self._path))


def is_socket(address: str) -> bool:
    """Whether an address is `unix:PATH`."""
    return address.startswith(_SCHEME)


def socket_path(address: str) -> Path:
    """The socket of `unix:PATH`, or of the node in a data directory."""
    return Path(address.removeprefix(_SCHEME)) if is_socket(address) else Path(address) / ADMIN_SOCKET


def ask(address: str, method: str, target: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
    """What the node answers, a JSON object. Failure: no node there, or what it says is wrong."""
    path = socket_path(address)
    connection = _Connection(path)
    try:
        content = None if body is None else json.dumps(body)
        connection.request(method, target, content, {"Content-Type": "application/json"})
        response = connection.getresponse()
        answer = _object(response.read())
    except (FileNotFoundError, ConnectionRefusedError, NotADirectoryError):
        raise Failure(f"{path}: no node answers there") from None
    except (OSError, http.client.HTTPException) as error:
        raise Failure(f"{path}: the node did not answer: {error or type(error).__name__}") from None
    finally:
        connection.close()
    if answer is None:
        raise Failure(f"{path}: the node's answer is no JSON object: HTTP {response.status} {response.reason}")
    if response.status != http.HTTPStatus.OK:
        raise Failure(f"{path}: {answer.get('error', response.reason)}")
    return answer


def _object(data: bytes) -> dict[str, Any] | None:
    try:
        answer = json.loads(data)
    except ValueError:
        return None
    return answer if isinstance(answer, dict) else None

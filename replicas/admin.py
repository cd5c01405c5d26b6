"""The operators' door of a node: HTTP on a Unix socket that its owner alone may open.

    GET /status     what the node is and does, as JSON
    GET /metrics    what it has counted, for Prometheus
    POST /command   {"kind": "SetTradingState", "operator": 9, "reason": "...", "fields": {...}}

It runs in the node's own event loop. What it sends to the engine are commands like any other, from an operator's session.
"""

import asyncio
import os
import socket
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any, Final, Protocol

import msgspec
import structlog
import uvicorn
from msgspec import Meta
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from uvicorn.server import ServerState

from core.limits import SESSION_NUMBER_MAX
from core.messages import (
    AcceptClock,
    Command,
    DefineCurrency,
    DefineInstrument,
    Deposit,
    EndOfDay,
    GrantSession,
    Kill,
    MassCancel,
    OpenAccount,
    Rejected,
    SetAccount,
    SetAllocation,
    SetCredential,
    SetFeeSchedule,
    SetLimit,
    SetRules,
    SetTradingState,
    Withdraw,
)
from core.reasons import RejectReason
from core.rows import RowError, rows, to_row
from journal.errors import JournalError
from replicas.limits import ADMIN_SOCKET

SOCKET: Final = ADMIN_SOCKET
"""Name of the socket in a data directory."""
BODY_MAX: Final = 16 * 1024
"""Bytes of a request's body."""
CONNECTIONS_MAX: Final = 64
STOP_SECONDS: Final = 2.0
REASON_MAX: Final = 16
"""Characters of an operator's reason: two columns."""
PERMITTED: Final[dict[str, type[Command]]] = {
    command.__name__: command
    for command in (
        AcceptClock, DefineCurrency, DefineInstrument, Deposit, EndOfDay, GrantSession, Kill, MassCancel, OpenAccount,
        SetAccount, SetAllocation, SetCredential, SetFeeSchedule, SetLimit, SetRules, SetTradingState, Withdraw,
    )
}  # fmt: skip
"""The commands that an operator may send here, by name."""

_NOT_GIVEN: Final = frozenset({"sequence", "time", "session", "inbound", "reason"})
"""Fields of a command that do not come from the request's `fields`."""


class NotTaken(Exception):
    """The node takes no command now: it does not lead, stops, or is full. The text is one line for the operator."""


class Node(Protocol):
    """What a node shows to its operators."""

    @property
    def registry(self) -> CollectorRegistry:
        """Its counters."""

    def status(self) -> dict[str, Any]:
        """What it is and does, as JSON takes it; called in the event loop, so it looks and does not work."""

    async def submit(self, command: Command) -> list[dict[str, Any]]:
        """Give a command the next inbound number of its session, make it durable and apply it; `told` of its events.

        NotTaken: it left no trace. JournalError: it may or may not stand in the journal.
        """


class Act(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The body of POST /command."""

    kind: str
    operator: Annotated[int, Meta(ge=1, le=SESSION_NUMBER_MAX)]
    reason: Annotated[str, Meta(pattern=rf"\A[ -~]{{1,{REASON_MAX}}}\Z")]
    """1 to 16 printable ASCII characters: in the journal where the command has a column for it, in the log always."""
    fields: dict[str, int | str] = {}


class BadAct(ValueError):
    """A request that is no command; nothing was done. The text is one line."""


def command_of(act: Act) -> Command:
    """The command that an operator asks for. BadAct."""
    struct = PERMITTED.get(act.kind)
    if struct is None:
        raise BadAct(f"kind: {act.kind!r} is none of {', '.join(PERMITTED)}")
    for name in act.fields:
        if name in _NOT_GIVEN or name.startswith("column_"):
            raise BadAct(f"fields.{name}: it is not for the operator to give")
    values: dict[str, int | str] = {**act.fields, "session": act.operator}
    if "reason" in struct.__struct_fields__:
        values["reason"] = act.reason
    try:
        command = msgspec.convert(values, struct)
        to_row(command)
    except (msgspec.ValidationError, RowError) as error:
        raise BadAct(f"fields: {' '.join(str(error).split())}") from None
    return command


def told(events: bytes) -> list[dict[str, Any]]:
    """Event rows as JSON takes them: `kind` by name, then the fields; for a refusal also `refused`, its reason's name."""
    return [_told(event) for event in rows(events)]


def _told(event: Any) -> dict[str, Any]:
    fields = {name: getattr(event, name) for name in event.__struct_fields__ if not name.startswith("column_")}
    refused = {"refused": RejectReason(event.reason).name} if isinstance(event, Rejected) else {}
    return {"kind": type(event).__name__, **fields, **refused}


class _App:
    def __init__(self, node: Node) -> None:
        self.node = node
        self._log = structlog.get_logger("admin")

    def routes(self) -> list[Route]:
        return [
            Route("/status", self.status, methods=["GET"]),
            Route("/metrics", self.metrics, methods=["GET"]),
            Route("/command", self.command, methods=["POST"]),
        ]

    async def status(self, _: Request) -> Response:
        return JSONResponse(self.node.status())

    async def metrics(self, _: Request) -> Response:
        return Response(generate_latest(self.node.registry), media_type=CONTENT_TYPE_LATEST)

    async def command(self, request: Request) -> Response:
        body = await _body(request)
        if body is None:
            return JSONResponse({"error": f"more than {BODY_MAX} bytes"}, 413)
        try:
            act = msgspec.json.decode(body, type=Act)
            command = command_of(act)
        except (msgspec.DecodeError, BadAct) as error:
            return JSONResponse({"error": str(error)}, 400)
        log = self._log.bind(kind=act.kind, operator=act.operator, reason=act.reason)
        try:
            events = await self.node.submit(command)
        except NotTaken as error:
            log.warning("operator's command not taken", error=str(error))
            return JSONResponse({"error": str(error)}, 503)
        except JournalError as error:
            log.error("operator's command failed", error=str(error))  # noqa: TRY400 - the journal's error is one line
            return JSONResponse({"error": str(error)}, 500)
        log.info("operator's command", refused=next((event["refused"] for event in events if "refused" in event), None))
        return JSONResponse({"events": events})


async def _body(request: Request) -> bytes | None:
    body = b""
    async for piece in request.stream():
        body += piece
        if len(body) > BODY_MAX:
            return None
    return body


class AdminServer:
    """Serves a node's operators in the running event loop.

    It uses uvicorn's protocol and not its server, which would take the node's signals and wake up ten times a second.
    """

    def __init__(self, node: Node, path: Path) -> None:
        """Listen on `path`, usually DIR/admin.sock, once started."""
        self._path = path
        self._app = _App(node)
        self._config = uvicorn.Config(
            Starlette(routes=self._app.routes()), lifespan="off", log_config=None, access_log=False, http="h11", ws="none",
            limit_concurrency=CONNECTIONS_MAX, timeout_keep_alive=5,
        )  # fmt: skip
        self._state = ServerState()
        self._server: asyncio.AbstractServer | None = None

    def show(self, node: Node) -> None:
        """Serve the operators of another role of the same node from now on."""
        self._app.node = node

    async def start(self) -> None:
        """Listen, if it does not yet; OSError if that cannot be. What a node that was killed left at the path is replaced."""
        if self._server is not None:
            return
        self._config.load()
        listener = _bind(self._path)
        self._server = await asyncio.get_running_loop().create_unix_server(self._protocol, sock=listener)

    def _protocol(self) -> asyncio.Protocol:
        protocol: asyncio.Protocol = self._config.http_protocol_class(  # type: ignore[call-arg]
            config=self._config, server_state=self._state, app_state={}
        )
        return protocol

    async def stop(self) -> None:
        """Listen no more, answer what has begun, at most two seconds long; harmless when done twice."""
        if self._server is None:
            return
        server, self._server = self._server, None
        server.close()
        with suppress(OSError):
            self._path.unlink()
        for connection in list(self._state.connections):
            connection.shutdown()
        if self._state.tasks:
            _, late = await asyncio.wait(self._state.tasks, timeout=STOP_SECONDS)
            for task in late:
                task.cancel()


def _bind(path: Path) -> socket.socket:
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
    try:
        # The socket's file is made with the mode of its descriptor: at no moment may anyone else open it.
        os.fchmod(listener.fileno(), 0o600)
        with suppress(FileNotFoundError):
            path.unlink()
        listener.bind(str(path))
        path.chmod(0o600)
        listener.listen(16)
        listener.setblocking(False)  # noqa: FBT003 - the socket module has no keyword for it
    except OSError as error:
        listener.close()
        raise OSError(error.errno, f"{path}: {error.strerror or error}") from None
    return listener

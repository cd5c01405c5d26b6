"""The far end of tools/engines.py: drives another build's engine in a process of its own.

It is run as a script, without our packages: `engine_driver.py ROOT DESCRIPTOR PARENT`. `core` is imported from ROOT, and
frames come and go over the socket DESCRIPTOR. A frame is one byte that says what it is, the length of what follows in
eight bytes (little-endian), then that. Every DONE begins with the last row that was applied (8 bytes) and the running
event digest (32); every RAISED and REFUSED with the row, then a text.
"""

import ctypes
import gc
import json
import os
import signal
import socket
import struct
import sys
import time
from importlib import import_module
from typing import Any, BinaryIO, Final

FRAME: Final = struct.Struct("<cQ")
PLACE: Final = struct.Struct("<q")
TOLD: Final = struct.Struct("<qq")
"""What TIMED answers: ns, and events."""
DIGEST_SIZE: Final = 32
ROW_SIZE: Final = 128

RESTORE: Final = b"R"
APPLY: Final = b"A"
QUARANTINED: Final = b"Q"
STATE: Final = b"S"
TIMED: Final = b"T"
"""An engine of its own: how many rows prepare it (8 bytes), then those and the rows whose cost is asked for."""

DONE: Final = b"D"
RAISED: Final = b"X"
REFUSED: Final = b"F"

STEP: Final = 512
"""Rows that a timed engine is given at once, as the batches of a busy node."""

_PR_SET_PDEATHSIG: Final = 1


def read_frame(stream: BinaryIO) -> tuple[bytes, bytes] | None:
    """The next frame: what it is, and what it holds; None when the other side has gone."""
    head = stream.read(FRAME.size)
    if len(head) < FRAME.size:
        return None
    kind, size = FRAME.unpack(head)
    held = stream.read(size)
    return (kind, held) if len(held) == size else None


def _import(root: str) -> Any:
    """The class Machine of the packages in a directory; ImportError if Python finds another one."""
    sys.path.insert(0, root)
    module = import_module("core.machine")
    if not os.path.realpath(str(module.__file__)).startswith(os.path.realpath(root) + os.sep):
        raise ImportError(f"core is imported from {module.__file__}")
    return module.Machine


def _about(machine: Any) -> bytes:
    """What the near end wants to know of the build."""
    compiled = not str(sys.modules["core.machine"].__file__).endswith(".py")
    told = {"semantics": machine().engine.semantics, "build": "compiled" if compiled else "interpreted"}
    return json.dumps(told).encode()


def _act(made: Any, machine: Any, kind: bytes, held: bytes) -> tuple[Any, bytes]:
    """Do what a frame asks for; the machine afterwards, and the answer."""
    if kind == RESTORE:
        return made.restore(held), b""
    if kind == TIMED:
        machine = made()
        (prepare,) = PLACE.unpack_from(held)
        return machine, _timed(machine.engine, prepare, held[PLACE.size :])
    if machine is None:
        raise RuntimeError("it holds none: restore one first")
    if kind == APPLY:
        return machine, machine.apply(held, 0, len(held))
    if kind == QUARANTINED:
        return machine, machine.apply_quarantined(held[:ROW_SIZE], 0, held[ROW_SIZE:], 0)
    return machine, machine.rows()


def _timed(engine: Any, prepare: int, rows: bytes) -> bytes:
    """Apply rows by the engine alone, without the collector: processor time in ns behind the rows that prepare it, and its events."""
    begin = prepare * ROW_SIZE
    engine.apply(rows, 0, begin)
    events, took = 0, 0
    gc.collect()
    gc.disable()
    try:
        for at in range(begin, len(rows), STEP * ROW_SIZE):
            start = time.process_time_ns()
            told = engine.apply(rows, at, min(at + STEP * ROW_SIZE, len(rows)))
            took += time.process_time_ns() - start
            events += len(told) // ROW_SIZE
    finally:
        gc.enable()
    return TOLD.pack(took, events)


def _serve(link: socket.socket, made: Any) -> None:
    stream = link.makefile("rb")
    machine: Any = None
    while (frame := read_frame(stream)) is not None:
        kind, held = frame
        try:
            machine, answer = _act(made, machine, kind, held)
        except Exception as error:  # noqa: BLE001  whatever an engine raises is what the near end wants to hear
            at = 0 if machine is None else machine.engine.sequence
            raised = RAISED if machine is not None and kind in {APPLY, QUARANTINED} else REFUSED
            _send(link, raised, PLACE.pack(at) + f"{type(error).__name__}: {error}".encode())
            # What it had half done is nothing to go on from.
            machine = None
        else:
            _send(link, DONE, PLACE.pack(machine.engine.sequence) + machine.digest.value() + answer)


def _send(link: socket.socket, kind: bytes, held: bytes) -> None:
    link.sendall(FRAME.pack(kind, len(held)))
    link.sendall(held)


def main() -> None:
    """Serve until the other side has gone."""
    root, descriptor, parent = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    # The kernel ends this process with the one that started it, also in the middle of a row that never ends.
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        return
    link = socket.socket(fileno=descriptor)
    try:
        made = _import(root)
        about = _about(made)
    except Exception as error:  # noqa: BLE001  a build may fail in any way while it is imported
        _send(link, REFUSED, PLACE.pack(0) + f"{type(error).__name__}: {error}".encode())
        return
    _send(link, DONE, PLACE.pack(0) + bytes(DIGEST_SIZE) + about)
    _serve(link, made)


if __name__ == "__main__":
    main()

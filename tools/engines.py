"""Builds of the engine: this release in this process, or another one, from a checkout or a wheel, in a process of its own.

Another build shares nothing with us but rows: it imports its own `core`, gets state rows and command rows over a socket,
and gives back event rows and state rows. Memory is bounded by one batch and one state.
"""

import json
import lzma
import socket
import subprocess
import sys
import tempfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import ExitStack
from os import getpid
from pathlib import Path
from typing import Any, BinaryIO, Final, Protocol, Self, cast

from core.kinds import ROW_SIZE
from core.limits import SUM_MAX
from core.machine import Machine
from core.state import SEMANTICS
from journal.batch import HEADER_SIZE, BatchKind, Header
from journal.chain import Chain
from journal.directory import JournalDirectory
from replicas.replay import Applied, ahead, quarantines
from tools import engine_driver as driver
from tools.build import build
from tools.failures import Failure, Misuse

TIMEOUT: Final = 120
"""Seconds that another build may take for one answer, before it is said to hang."""

_UNSOUND: Final = (zipfile.BadZipFile, EOFError, zlib.error, lzma.LZMAError, RuntimeError, ValueError)
"""What a wheel raises that is damaged, encrypted, or packed in a way that is not known here."""

_LAST_BREATH: Final = 5
"""Seconds for a process that has closed its socket to end."""

_DRIVER: Final = str(Path(driver.__file__).resolve())
_ENGINES: Final = ("core/machine.py", "core/machine.*.so", "core/machine.*.pyd")
_TOLD: Final = driver.PLACE.size + driver.DIGEST_SIZE


class EngineRaised(Failure):
    """An engine raised on a row; what it held is lost."""

    def __init__(self, name: str, sequence: int, error: str) -> None:
        super().__init__(f"{name}: the engine raises on row {sequence}: {error}")
        self.sequence = sequence
        self.error = error


class EngineRefused(Failure):
    """An engine does not take a state: it is damaged, or another release's."""


class Engine(Protocol):
    """A build of the engine, here or in another process. After EngineRaised it must be restored before anything else."""

    name: str
    """How messages name it."""
    semantics: int
    build: str
    """`interpreted` or `compiled`."""

    @property
    def sequence(self) -> int:
        """The last row that was applied."""

    def restore(self, rows: bytes) -> None:
        """Begin with these state rows, END row included. EngineRefused if this build does not take them."""

    def apply(self, rows: bytes) -> bytes:
        """Apply command rows that follow; returns the event rows. EngineRaised; Failure if its process is gone."""

    def apply_quarantined(self, row: bytes, quarantine: bytes) -> bytes:
        """Apply the halt that a Quarantine row puts in the place of a row; returns the event rows. As `apply`."""

    def digest(self) -> bytes:
        """The running event digest after the last row, 32 bytes."""

    def state(self) -> bytes:
        """All state rows, END row included: what `restore` takes."""


class LocalEngine:
    """This release, in this process."""

    name = "this release"
    semantics = SEMANTICS

    def __init__(self) -> None:
        self.build: str = build()
        self.machine = Machine()

    @property
    def sequence(self) -> int:
        """The last row that was applied."""
        return self.machine.engine.sequence

    def restore(self, rows: bytes) -> None:
        """Begin with these state rows. EngineRefused if they are not a state of this release."""
        try:
            self.machine = Machine.restore(rows)
        except ValueError as error:
            raise EngineRefused(f"{self.name}: the engine does not take the state: {error}") from None

    def apply(self, rows: bytes) -> bytes:
        """Apply command rows; returns the event rows. EngineRaised."""
        try:
            return self.machine.apply(rows, 0, len(rows))
        except Exception as error:
            raise self._raised(error) from error

    def apply_quarantined(self, row: bytes, quarantine: bytes) -> bytes:
        """Apply the halt in the place of a row; returns the event rows. EngineRaised."""
        try:
            return self.machine.apply_quarantined(row, 0, quarantine, 0)
        except Exception as error:
            raise self._raised(error) from error

    def _raised(self, error: Exception) -> EngineRaised:
        return EngineRaised(self.name, self.sequence, f"{type(error).__name__}: {error}")

    def digest(self) -> bytes:
        """The running event digest."""
        return self.machine.digest.value()

    def state(self) -> bytes:
        """All state rows."""
        return self.machine.rows()


class EngineProcess:
    """Another build of the engine in a process of its own, which ends with this object, and with this process."""

    def __init__(self, path: Path, *, timeout: int = TIMEOUT) -> None:
        """Start the engine of a checkout (a directory that holds `core`) or of a wheel for this Python.

        `timeout`: seconds to wait for one answer. Misuse if there is no engine at the path; Failure if it does not
        start. Nothing is written into a checkout.
        """
        self.name = str(path)
        self._timeout = timeout
        self._sequence, self._digest = 0, b""
        self._stack = ExitStack()
        try:
            root = self._unpacked(path) if path.is_file() else _checkout(path)
            errors = self._stack.enter_context(tempfile.TemporaryFile())  # noqa: SIM115  the stack closes it
            self._errors = cast("BinaryIO", errors)
            self._link, self._process = self._start(root)
            told = self._greeting()
        except BaseException:
            self.close()
            raise
        self.semantics: int = told["semantics"]
        self.build: str = told["build"]

    def _greeting(self) -> dict[str, Any]:
        try:
            told: dict[str, Any] = json.loads(self._answer())
        except EngineRefused as error:
            raise Failure(str(error).replace("does not take the state", "cannot be imported")) from None
        return told

    def _unpacked(self, path: Path) -> Path:
        """Where the packages of a wheel stand now."""
        folder = Path(self._stack.enter_context(tempfile.TemporaryDirectory(prefix="lockstep-engine-")))
        try:
            with zipfile.ZipFile(path) as wheel:
                wheel.extractall(folder)
        except _UNSOUND as error:
            raise Misuse(f"{path}: neither a checkout nor a sound wheel: {error}") from None
        return _checkout(folder, path)

    def _start(self, root: Path) -> tuple[socket.socket, "subprocess.Popen[bytes]"]:
        near, far = socket.socketpair()
        self._stack.callback(near.close)
        near.settimeout(self._timeout)
        with far:
            # Isolated: no environment variable and no directory of ours decides what it imports; no byte code is left.
            process = subprocess.Popen(
                [sys.executable, "-I", "-B", _DRIVER, str(root), str(far.fileno()), str(getpid())],
                pass_fds=(far.fileno(),),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=self._errors,
                start_new_session=True,
            )
        self._stack.callback(_end, process)
        return near, process

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def sequence(self) -> int:
        """The last row that was applied."""
        return self._sequence

    def restore(self, rows: bytes) -> None:
        """Begin with these state rows. EngineRefused if this build does not take them; Failure if its process is gone."""
        self._ask(driver.RESTORE, rows)

    def apply(self, rows: bytes) -> bytes:
        """Apply command rows; returns the event rows. EngineRaised, Failure."""
        return self._ask(driver.APPLY, rows)

    def apply_quarantined(self, row: bytes, quarantine: bytes) -> bytes:
        """Apply the halt in the place of a row; returns the event rows. EngineRaised, Failure."""
        return self._ask(driver.QUARANTINED, row + quarantine)

    def digest(self) -> bytes:
        """The running event digest, as the last answer told it."""
        return self._digest

    def state(self) -> bytes:
        """All state rows. Failure."""
        return self._ask(driver.STATE, b"")

    def timed(self, prepare: bytes, rows: bytes) -> tuple[int, int]:
        """A new engine of the build applies both: ns of processor time that the second rows took, and their events.

        The machine that was restored before is gone. EngineRaised, Failure.
        """
        took, events = driver.TOLD.unpack(
            self._ask(driver.TIMED, driver.PLACE.pack(len(prepare) // ROW_SIZE) + prepare + rows)
        )
        return took, events

    def _ask(self, kind: bytes, held: bytes) -> bytes:
        try:
            self._link.sendall(driver.FRAME.pack(kind, len(held)))
            self._link.sendall(held)
        except TimeoutError:
            raise self._hangs() from None
        except OSError:
            raise self._died() from None
        return self._answer()

    def _answer(self) -> bytes:
        kind, size = driver.FRAME.unpack(self._received(driver.FRAME.size))
        held = self._received(size)
        (sequence,) = driver.PLACE.unpack_from(held)
        if kind == driver.DONE:
            self._sequence, self._digest = sequence, held[driver.PLACE.size : _TOLD]
            return held[_TOLD:]
        text = " ".join(held[driver.PLACE.size :].decode(errors="replace").split())
        if kind == driver.RAISED:
            raise EngineRaised(self.name, sequence, text)
        raise EngineRefused(f"{self.name}: the engine does not take the state: {text}")

    def _received(self, size: int) -> bytes:
        held = bytearray()
        while len(held) < size:
            try:
                data = self._link.recv(min(size - len(held), 1 << 20))
            except TimeoutError:
                raise self._hangs() from None
            except OSError:
                data = b""
            if not data:
                raise self._died()
            held += data
        return bytes(held)

    def _hangs(self) -> Failure:
        self._process.kill()
        return Failure(f"{self.name}: the engine gave no answer for {self._timeout} s after row {self._sequence}")

    def _died(self) -> Failure:
        # It has closed its end, so that it is gone, or on its way.
        try:
            code = self._process.wait(_LAST_BREATH)
        except subprocess.TimeoutExpired:
            self._process.kill()
            code = self._process.wait()
        self._errors.seek(0)
        lines = self._errors.read().decode(errors="replace").split("\n")
        last = next((line for line in reversed(lines) if line.strip()), f"exit code {code}")
        return Failure(f"{self.name}: the engine's process died after row {self._sequence}: {last.strip()}")

    def close(self) -> None:
        """End the process; harmless when done twice."""
        self._stack.close()


def _end(process: "subprocess.Popen[bytes]") -> None:
    process.kill()
    process.wait()


def _checkout(folder: Path, named: Path | None = None) -> Path:
    """The directory, if an engine stands in it; Misuse otherwise."""
    if not any(True for pattern in _ENGINES for _ in folder.glob(pattern)):
        raise Misuse(
            f"{named or folder}: no engine there: neither a checkout, which holds core/machine.py, nor a wheel"
        )
    return folder.resolve()


def replayed(journal: JournalDirectory, engine: Engine, *, to: int = SUM_MAX) -> Iterator[Applied]:
    """Feed an engine what follows its last row, up to row `to`, with the journal's quarantines in force.

    The chain is verified, the event digests are not: another build may differ, and who asks compares. State and closing
    batches are not yielded. JournalError; EngineRaised and Failure from the engine.
    """
    chain = Chain()
    for value, following in ahead(journal.batches(engine.sequence + 1)):
        header = chain.feed(value)
        if header.kind != BatchKind.COMMANDS:
            continue
        if header.first > to:
            return
        begin, end = _bounds(header, engine.sequence, to)
        if end > begin:
            yield Applied(header, value, begin, end, feed(engine, value, begin, end, quarantines(following)))


def _bounds(header: Header, applied: int, to: int) -> tuple[int, int]:
    begin = HEADER_SIZE + (applied + 1 - header.first) * ROW_SIZE
    return begin, HEADER_SIZE + min(header.rows, to - header.first + 1) * ROW_SIZE


def feed(engine: Engine, value: bytes, begin: int, end: int, named: dict[int, bytes]) -> bytes:
    """Apply rows of a sealed batch, with the quarantines (by the number they name) in force; returns the events."""
    events = []
    for sequence in sorted(named):
        at = begin + (sequence - engine.sequence - 1) * ROW_SIZE
        if begin <= at < end:
            if at > begin:
                events.append(engine.apply(value[begin:at]))
            events.append(engine.apply_quarantined(value[at : at + ROW_SIZE], named[sequence]))
            begin = at + ROW_SIZE
    if end > begin:
        events.append(engine.apply(value[begin:end]))
    return b"".join(events)

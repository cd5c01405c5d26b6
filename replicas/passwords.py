"""Passwords: scrypt, and the process that checks them, so that no login takes time from the sequencer's thread.

    python -m replicas.passwords PARENT    the checker: requests on stdin, one byte of answer each on stdout

A login costs the same whether the session exists or not, and a guesser meets three bounds: the cost of a hash, the
length of the queue, and the logins of one address in a minute.
"""

import asyncio
import ctypes
import hmac
import os
import secrets
import signal
import string
import struct
import sys
from collections import OrderedDict, deque
from hashlib import scrypt
from pathlib import Path
from typing import BinaryIO, Final, NamedTuple, Protocol

from core.limits import COST_MAX, COST_MIN
from replicas.limits import SECOND, TokenBucket

PASSWORD_MAX: Final = 10
"""Characters: the width of SoupBinTCP's field, which is padded with spaces."""
COST: Final = 14
"""log2 of scrypt's N: 16 MiB of memory and some 50 ms for one hash."""
HASH_BYTES: Final = 32
SALT_BYTES: Final = 16
QUEUE_MAX: Final = 64
"""Logins that may wait for the checker: a few seconds of hashing."""
ADDRESSES_MAX: Final = 4_096
"""Addresses whose logins are counted at one time; the one seen longest ago is forgotten first."""

_PACKAGES: Final = Path(__file__).resolve().parent.parent
_BLOCK: Final = 8
_HASH: Final = struct.Struct("<4q")
_SALT: Final = struct.Struct("<2q")
_REQUEST: Final = struct.Struct(f"<BB{PASSWORD_MAX}s{HASH_BYTES}s{SALT_BYTES}s")
_RIGHT, _WRONG = b"Y", b"N"
_PR_SET_PDEATHSIG: Final = 1
_GENERATED_FROM: Final = string.ascii_letters + string.digits


class PasswordError(Exception):
    """A password was not checked; the login is refused."""


class Busy(PasswordError):
    """As many logins wait as may wait."""


class CheckerGone(PasswordError):
    """The checker died or was closed before it answered; the next check starts another one."""


class Credential(NamedTuple):
    """What is kept of a password: 32 bytes of scrypt, 16 bytes of salt, and log2 of N."""

    hash: bytes
    salt: bytes
    cost: int


class HasCredential(Protocol):
    """An engine's session, or a SetCredential command: signed 64-bit halves, little-endian; cost 0 means none."""

    hash_0: int
    hash_1: int
    hash_2: int
    hash_3: int
    salt_0: int
    salt_1: int
    cost: int


def refuse_password(password: str) -> str | None:
    """Why a text cannot be a password; None if it can."""
    if not 1 <= len(password) <= PASSWORD_MAX:
        return f"a password has 1 to {PASSWORD_MAX} characters"
    if any(not "!" <= character <= "~" for character in password):
        return "a password is printable ASCII without spaces"
    return None


def generate() -> str:
    """A password from the system's randomness, of all the characters that fit: 59 bits."""
    return "".join(secrets.choice(_GENERATED_FROM) for _ in range(PASSWORD_MAX))


def digest(password: bytes, salt: bytes, cost: int) -> bytes:
    """32 bytes of scrypt with N = 2^cost, r = 8, p = 1. ValueError for a cost out of its range, 10 to 20."""
    if not COST_MIN <= cost <= COST_MAX:
        raise ValueError(f"cost {cost} is not {COST_MIN} to {COST_MAX}")
    memory = 128 * _BLOCK * (2**cost + 3)
    return scrypt(password, salt=salt, n=2**cost, r=_BLOCK, p=1, maxmem=memory, dklen=HASH_BYTES)


def make(password: str, cost: int = COST) -> Credential:
    """The credential of a password, with a new salt."""
    salt = os.urandom(SALT_BYTES)
    return Credential(digest(password.encode("ascii"), salt, cost), salt, cost)


def matches(password: bytes, credential: Credential) -> bool:
    """Whether it is the password; the comparison takes the same time wherever the hashes differ."""
    same = hmac.compare_digest(digest(password, credential.salt, credential.cost), credential.hash)
    # HMAC pads its key with NULs, so that scrypt does not tell a password from one with NULs behind it.
    return same and b"\0" not in password


def pack(hash: bytes, salt: bytes, cost: int) -> dict[str, int]:  # noqa: A002 - the column's name
    """The columns of SetCredential by name."""
    halves = dict(zip(("hash_0", "hash_1", "hash_2", "hash_3"), _HASH.unpack(hash), strict=True))
    salt_0, salt_1 = _SALT.unpack(salt)
    return {**halves, "salt_0": salt_0, "salt_1": salt_1, "cost": cost}


def unpack(session: HasCredential) -> Credential | None:
    """The credential of a session; None if it has none."""
    if session.cost == 0:
        return None
    hashed = _HASH.pack(session.hash_0, session.hash_1, session.hash_2, session.hash_3)
    return Credential(hashed, _SALT.pack(session.salt_0, session.salt_1), session.cost)


_NOBODY: Final = os.urandom(HASH_BYTES)


def to_check(session: HasCredential | None, cost: int = COST) -> Credential:
    """What a login is checked against: for an unknown session, or one without a password, what nothing matches.

    It costs as much as a real one of this cost, so that nobody learns from the time which sessions exist.
    """
    found = unpack(session) if session is not None else None
    return found or Credential(_NOBODY, _NOBODY[:SALT_BYTES], cost)


class AddressLimiter:
    """Counts the logins of each address. Bounded: beyond `addresses` the one seen longest ago is forgotten."""

    def __init__(self, per_minute: int, addresses: int = ADDRESSES_MAX) -> None:
        """`per_minute` logins of an address are let through at once, and as many in every minute."""
        self._per_minute = per_minute
        self._addresses = addresses
        self._buckets: OrderedDict[str, TokenBucket] = OrderedDict()

    def __len__(self) -> int:
        return len(self._buckets)

    def allow(self, address: str, now: int) -> bool:
        """Whether the address may try once more at a monotonic time in ns."""
        bucket = self._buckets.pop(address, None)
        if bucket is None:
            bucket = TokenBucket(self._per_minute, self._per_minute, period=60 * SECOND, now=now)
            if len(self._buckets) >= self._addresses:
                self._buckets.popitem(last=False)
        self._buckets[address] = bucket
        return bucket.take(now)


class Checker:
    """The asyncio side of the checker process, which is started by `start` or the first check, and again after its death."""

    def __init__(self, queue: int = QUEUE_MAX) -> None:
        """`queue` checks may wait, the running one included."""
        self._bound = queue
        self._process: asyncio.subprocess.Process | None = None
        self._reader: asyncio.Task[None] | None = None
        self._waiting: deque[asyncio.Future[bool]] = deque()
        self._starting = asyncio.Lock()
        self._closed = False

    @property
    def pid(self) -> int | None:
        """Process id of the checker; None while there is none."""
        return self._process.pid if self._process is not None else None

    @property
    def waiting(self) -> int:
        """Checks that are not answered."""
        return len(self._waiting)

    async def check(self, password: bytes, hash: bytes, salt: bytes, cost: int) -> bool:  # noqa: A002 - as `pack`
        """Whether it is the password. Busy, CheckerGone. A password longer than 10 bytes is wrong, at the same cost."""
        fitting = password if len(password) <= PASSWORD_MAX else b""
        request = _REQUEST.pack(cost, len(fitting), fitting, hash, salt)
        await self.start()
        if self._process is None or self._process.stdin is None:
            raise CheckerGone("the password checker was closed")
        # A caller that went away still occupies the checker, so its future stays in the queue until it is answered.
        if len(self._waiting) >= self._bound:
            raise Busy(f"{self._bound} logins wait for the password checker")
        answer: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._waiting.append(answer)
        self._process.stdin.write(request)
        return await answer and fitting == password

    async def start(self) -> None:
        """Have the process run before it is needed; CheckerGone if it cannot be started, and after `close`."""
        async with self._starting:
            if self._closed:
                raise CheckerGone("the password checker was closed")
            if self._process is None:
                await self._start()

    async def _start(self) -> None:
        # The interpreter finds our packages from where they stand, wherever the node was started. In a session of its
        # own, an interrupt typed at the node's terminal is the node's alone, which ends us by closing the pipe.
        try:
            self._process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "replicas.passwords", str(os.getpid()),
                stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
                close_fds=True, start_new_session=True, cwd=_PACKAGES,
            )  # fmt: skip
        except OSError as error:
            raise CheckerGone(f"the password checker cannot be started: {error}") from error
        self._reader = asyncio.create_task(self._read(self._process))

    async def _read(self, process: asyncio.subprocess.Process) -> None:
        if process.stdout is None:
            raise AssertionError("the checker was started without a pipe")
        while answer := await process.stdout.read(1):
            waiting = self._waiting.popleft()
            if not waiting.done():
                waiting.set_result(answer == _RIGHT)
        await process.wait()
        self._process = None
        while self._waiting:
            waiting = self._waiting.popleft()
            if not waiting.done():
                waiting.set_exception(CheckerGone("the password checker died"))

    async def close(self) -> None:
        """End the checker for good; whoever waits gets CheckerGone. Harmless when done twice."""
        self._closed = True
        if self._process is not None:
            self._process.kill()
        if self._reader is not None:
            await self._reader


def serve(requests: BinaryIO, answers: BinaryIO) -> None:
    """Answer requests, one after the other, until the other side closes the pipe."""
    while len(request := requests.read(_REQUEST.size)) == _REQUEST.size:
        cost, length, password, hashed, salt = _REQUEST.unpack(request)
        answers.write(_RIGHT if matches(password[:length], Credential(hashed, salt, cost)) else _WRONG)
        answers.flush()


def die_with(parent: int) -> None:
    """Let the kernel kill this process when the thread that started it dies; at once if that has happened already."""
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        os.kill(os.getpid(), signal.SIGKILL)


def main() -> None:
    """The checker process."""
    die_with(int(sys.argv[1]))
    os.nice(10)
    serve(sys.stdin.buffer, sys.stdout.buffer)


if __name__ == "__main__":
    main()

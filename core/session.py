"""A session: the numbers of what it sent and was told, and the ring of its last answered commands.

With these in the state of the engine, every replica recognises a repeated command and gives the first answer again.
"""

from __future__ import annotations

from librt.strings import read_i64_le
from librt.vecs import append, vec
from mypy_extensions import i64

from core.codes import Role
from core.holder import Holder
from core.kinds import C6, C7, C8, C9, C10, C11, C12, C13, C14, C15, FLAGS, KIND
from core.ledger import Account
from core.limits import RING_SIZE


class Session(Holder):
    """`inbound` is the last command consumed, `outbound` the last event told; the ring stands at inbound % RING_SIZE."""

    __slots__ = (
        "account", "accounts", "cost", "firm", "hash_0", "hash_1", "hash_2", "hash_3", "inbound", "number", "numbers",
        "on_disconnect", "outbound", "ring", "role", "salt_0", "salt_1",
    )  # fmt: skip

    def __init__(self, number: i64) -> None:
        super().__init__()
        self.number = number
        self.role: i64 = Role.TRADER
        self.inbound: i64 = 0
        self.outbound: i64 = 0
        self.account: Account | None = None
        self.accounts: dict[i64, Account] = {}
        # Their numbers, rising.
        self.numbers: list[int] = []
        # For each answer its content hash, first outbound number and count, side by side: one line of cache, not three.
        self.ring: vec[i64] = vec[i64]()
        # The firm whose events a DROP_COPY session reads.
        self.firm: i64 = 0
        # The credential: scrypt's output, salt and log2 of its N; all zero where the session has none.
        self.hash_0: i64 = 0
        self.hash_1: i64 = 0
        self.hash_2: i64 = 0
        self.hash_3: i64 = 0
        self.salt_0: i64 = 0
        self.salt_1: i64 = 0
        self.cost: i64 = 0
        # What is canceled when the session is lost (OnDisconnect).
        self.on_disconnect: i64 = 0

    def grant(self, account: Account) -> None:
        """Let the session act for an account."""
        if account.number not in self.accounts:
            self.accounts[account.number] = account
            self.numbers.insert(self._place(account.number), account.number)
        if self.account is None:
            self.account = account

    def _place(self, number: i64) -> i64:
        """How many of its accounts have a number up to this one."""
        low: i64 = 0
        high: i64 = len(self.numbers)
        while low < high:
            middle = (low + high) >> 1
            if self.numbers[middle] <= number:
                low = middle + 1
            else:
                high = middle
        return low

    def account_after(self, number: i64) -> i64:
        """The next account number that it was granted after this one; 0 for none."""
        at = self._place(number)
        return self.numbers[at] if at < len(self.numbers) else 0

    def acts_for(self, account: Account) -> bool:
        """Whether the session may act for an account; the first account granted is found without a look-up."""
        return self.account is account or self.role == Role.OPERATOR or account.number in self.accounts

    def only_reads(self) -> bool:
        """Whether the session may send no command that succeeds."""
        return self.role >= Role.DROP_COPY

    def remember(self, content: i64, first: i64, count: i64) -> None:
        """Consume the next inbound number and keep what answered it."""
        inbound = self.inbound + 1
        self.inbound = inbound
        at = (inbound & (RING_SIZE - 1)) * 3
        if at >= len(self.ring):
            self._lengthen(at)
        ring = self.ring
        ring[at] = content
        ring[at + 1] = first
        ring[at + 2] = count

    def restore_answer(self, inbound: i64, content: i64, first: i64, count: i64) -> None:
        """Put an answer back into the ring, whose last number is known already."""
        last = self.inbound
        self.inbound = inbound - 1
        self.remember(content, first, count)
        self.inbound = last

    def _lengthen(self, at: i64) -> None:
        ring = self.ring
        missing = at * 2 + 3 - len(ring)
        while missing > 0 and len(ring) < RING_SIZE * 3:
            ring = append(append(append(ring, 0), 0), 0)
            missing -= 3
        self.ring = ring

    def remembers(self, inbound: i64) -> bool:
        """Whether the answer to this number is still kept."""
        return self.inbound - RING_SIZE < inbound <= self.inbound

    def content(self, inbound: i64) -> i64:
        """The content hash of a number that is still kept."""
        return self.ring[(inbound & (RING_SIZE - 1)) * 3]

    def first(self, inbound: i64) -> i64:
        """The first outbound number that answered a number that is still kept."""
        return self.ring[(inbound & (RING_SIZE - 1)) * 3 + 1]

    def count(self, inbound: i64) -> i64:
        """How many outbound numbers answered a number that is still kept."""
        return self.ring[(inbound & (RING_SIZE - 1)) * 3 + 2]


def content_hash(row: bytes, at: i64) -> i64:
    """64 bits over every column of a command but sequence number, time, session and inbound number.

    A sum of columns times odd constants (multilinear hashing, Lemire and Kaser 2013, with fixed keys): rows that differ
    in one column always differ in it. It is only compared between rows of the same session and inbound number, tells a
    client's honest repeat from its mistake, and guards nobody against anybody. The products wrap modulo 2^64 compiled and
    grow interpreted; the low 64 bits agree.
    """
    total = (
        read_i64_le(row, at + KIND) * 0x1E3779B97F4A7C15
        + read_i64_le(row, at + FLAGS) * 0x14D049BB133111EB
        + read_i64_le(row, at + C6) * 0x2545F4914F6CDD1D
        + read_i64_le(row, at + C7) * 0x0D1342543DE82EF5
        + read_i64_le(row, at + C8) * 0x369DEA0F31A53F85
        + read_i64_le(row, at + C9) * 0x11A3E0C5B5A2D8AB
        + read_i64_le(row, at + C10) * 0x2B8F5C2E1D7A4F13
    )
    c11 = read_i64_le(row, at + C11)
    c12 = read_i64_le(row, at + C12)
    c13 = read_i64_le(row, at + C13)
    c14 = read_i64_le(row, at + C14)
    c15 = read_i64_le(row, at + C15)
    if c11 | c12 | c13 | c14 | c15:
        # Rarely used, and a product each costs the interpreted build a fiftieth of its time.
        total += c11 * 0x1C69B3F74AC4AE35 + c12 * 0x27D4EB2F165667C5 + c13 * 0x1F123BB5A7C65D0F
        total += c14 * 0x3A5BD39E8CB4F017 + c15 * 0x106689D45497FDB5
    return (total & 0x7FFFFFFFFFFFFFFF) - ((total >> 63 & 1) << 63)

"""The sealed batch and the chain: whatever is changed is found, and the check that finds it is named."""

import struct
from hashlib import sha256

import pytest

from core.kinds import CommandKind
from core.limits import SUM_MAX
from core.messages import COMMANDS, EnterOrder, Quarantine
from core.rows import to_row
from journal.batch import HEADER_SIZE, BatchKind, Check, Header, key_of, read_header, seek_key
from journal.chain import Chain
from journal.check import check
from journal.errors import CorruptBatch, Gap, JournalError, UnknownVersion, WrongSemantics
from journal.journal import Head
from journal.memory import MemoryJournal
from journal.order import seal_closing
from journal.state import check_batches, check_state, seal_state
from tests.journal.samples import BASE, KINDS, SEMANTICS, Writer, commands, every_kind, lone_batch, new_state


def rehash(value: bytes) -> bytes:
    """The value with a hash that fits again: damage by somebody who knows the format."""
    head, body = value[: HEADER_SIZE - 32], value[HEADER_SIZE:]
    return head + sha256(head + body).digest() + body


def patch(value: bytes, offset: int, code: str, number: int) -> bytes:
    """The value with one field replaced, and a hash that fits."""
    field = struct.pack("<" + code, number)
    return rehash(value[:offset] + field + value[offset + len(field) :])


def test_every_kind_is_sampled():
    """The batch under test holds a row of every kind of command."""
    assert {kind.KIND for kind in KINDS} == {*COMMANDS} == {*CommandKind}


def test_every_flipped_bit_is_found():
    """A batch with any one bit flipped fails a check."""
    value = lone_batch(every_kind())
    assert check(value, key=seek_key(len(KINDS)), previous=bytes(32)).rows == len(KINDS)
    for at in range(len(value)):
        for bit in range(8):
            flipped = bytearray(value)
            flipped[at] ^= 1 << bit
            with pytest.raises((CorruptBatch, UnknownVersion)):
                check(bytes(flipped), key=seek_key(len(KINDS)), previous=bytes(32))


def test_every_length_is_found():
    """A batch cut off at any length, or with a byte more, fails a check."""
    value = lone_batch(every_kind())
    for length in range(len(value)):
        with pytest.raises(CorruptBatch):
            check(value[:length])
    with pytest.raises(CorruptBatch, match=Check.LENGTH.value):
        check(value + b"\0")


def test_flipped_bits_of_closing_and_state_batches_are_found():
    """Closing and state batches are covered like any other."""
    closing = seal_closing(Head(1, 4, bytes(32)), semantics=1, epoch=1, time=5, digest=bytes(32))
    for value in (closing, *seal_state(new_state(), semantics=1, epoch=1, previous=bytes(32))):
        check(value)
        for at in range(len(value)):
            with pytest.raises((CorruptBatch, UnknownVersion)):
                check(value[:at] + bytes([value[at] ^ 1]) + value[at + 1 :])


def swapped_rows() -> bytes:
    rows = commands(1, 3)
    return rows[:128] + rows[256:] + rows[128:256]


def order(sequence: int, time: int) -> bytes:
    return to_row(EnterOrder(sequence=sequence, time=time))


GOOD = lone_batch(commands(1, 3))
FORGED = [
    ("length", GOOD[:-128], Check.LENGTH),
    ("magic", rehash(b"LOCKSTEQ" + GOOD[8:]), Check.MAGIC),
    ("kind", patch(GOOD, 10, "H", 4), Check.KIND),
    ("count", patch(GOOD, 32, "I", 4), Check.BODY),
    ("no rows", lone_batch(b""), Check.BODY),
    ("closing with rows", lone_batch(commands(1, 3), kind=BatchKind.CLOSING), Check.BODY),
    ("hash", GOOD[:-1] + b"\1", Check.HASH),
    ("previous", lone_batch(commands(1, 3), previous=b"x" * 32), Check.PREVIOUS),
    ("first is zero", lone_batch(commands(1, 3), first=0), Check.FIRST),
    ("first is too large", lone_batch(commands(1, 3), first=SUM_MAX), Check.FIRST),
    ("key", lone_batch(commands(1, 3), first=2), Check.KEY),
    ("sequence", lone_batch(swapped_rows()), Check.SEQUENCE),
    ("repeated sequence", lone_batch(order(1, 1) + order(1, 2) + order(3, 3)), Check.SEQUENCE),
    ("time stands", lone_batch(order(1, 5) + order(2, 5) + order(3, 6), base_time=5), Check.TIME),
    ("time falls", lone_batch(order(1, 5) + order(2, 6) + order(3, 4), base_time=5), Check.TIME),
    ("base time", lone_batch(commands(1, 3), base_time=BASE), Check.BASE_TIME),
    ("applied", lone_batch(commands(1, 3), applied=1), Check.APPLIED),
    (
        "quarantine",
        lone_batch(commands(1, 2) + to_row(Quarantine(sequence=3, time=BASE + 3))),
        Check.QUARANTINE,
    ),
    ("closing not applied", lone_batch(b"", kind=BatchKind.CLOSING, first=4, applied=2), None),
]


@pytest.mark.parametrize(("value", "failed"), [case[1:] for case in FORGED], ids=[case[0] for case in FORGED])
def test_forged_batches(value, failed):
    """A batch whose hash fits but whose fields do not fails the check that is meant for it."""
    key = None if failed is None else seek_key(3)
    with pytest.raises(CorruptBatch, match=(failed or Check.APPLIED).value):
        check(value, key=key, previous=bytes(32))


def test_every_check_is_tested():
    """Each check has a batch that fails it, but for the version, which has its own error."""
    assert {failed for _, _, failed in FORGED} - {None} == {*Check} - {Check.VERSION}


def test_unknown_version():
    """A batch of another format version is told apart from a damaged one."""
    with pytest.raises(UnknownVersion, match="2, this release reads 1"):
        check(patch(GOOD, 8, "H", 2))


def test_header_reads_back():
    """The header gives what was sealed."""
    header = read_header(GOOD)
    assert (header.first, header.last, header.rows, header.body) == (1, 3, 3, 384)
    assert (header.epoch, header.semantics, header.base_time, header.applied) == (1, SEMANTICS, BASE + 1, 0)


def test_keys_sort_as_the_chain_does():
    """A closing batch stands behind what it closes and before the next, and before that of the next epoch."""
    closing = [seal_closing(Head(e, 3, bytes(32)), semantics=1, epoch=e, time=5, digest=bytes(32)) for e in (1, 2, 300)]
    keys = [key_of(read_header(value)) for value in (GOOD, *closing)]
    keys.append(seek_key(4))
    assert keys == sorted(keys)
    assert [len(key) for key in keys] == [8, 16, 16, 16, 8]


def chained(count: int = 5) -> tuple[Head, list[bytes]]:
    journal = MemoryJournal.create(new_state(), semantics=SEMANTICS)
    head, writer = journal.head(), Writer(journal)
    return head, [writer.write() for _ in range(count)]


def feed(head: Head, values: list[bytes]) -> None:
    chain = Chain(head)
    for value in values:
        chain.feed(value)


@pytest.mark.parametrize(
    ("order_of", "named"),
    [
        ([0, 2, 3, 4], "batch 9-12"),
        ([1, 2, 3, 4], "batch 5-8"),
        ([0, 1, 1, 2], "batch 5-8"),
        ([0, 2, 1, 3], "batch 9-12"),
        ([0, 1, 2, 4, 3], "batch 17-20"),
    ],
)
def test_chain_names_what_is_out_of_order(order_of, named):
    """A batch removed, repeated or swapped is a gap, named by the first batch that does not follow."""
    head, values = chained()
    feed(head, values)
    with pytest.raises(Gap) as caught:
        feed(head, [values[number] for number in order_of])
    assert caught.value.where == named


def test_chain_names_a_rewritten_batch():
    """A batch written anew, with every hash in itself right, is found at its successor."""
    head, values = chained()
    values[2] = patch(values[2], 152 + 72, "q", 9999)
    with pytest.raises(CorruptBatch) as caught:
        feed(head, values)
    assert (caught.value.where, caught.value.reason) == ("batch 13-16", Check.PREVIOUS.value)


@pytest.mark.parametrize(
    ("offset", "code", "number", "error", "reason"),
    [
        (16, "Q", 0, CorruptBatch, "epoch 0 follows epoch 1"),
        (12, "I", 2, WrongSemantics, "semantics 2 in a segment of 1"),
        (48, "Q", 0, CorruptBatch, "applied up to 0"),
        (48, "Q", 4, CorruptBatch, "two event digests for sequence number 4"),
        (10, "H", 2, CorruptBatch, "kind 2 cannot follow one of kind 1"),
    ],
)
def test_chain_finds_what_cannot_follow(offset, code, number, error, reason):
    """Epochs never go down, semantics hold for a segment, and `applied` never goes back."""
    head, values = chained(3)
    values[2] = patch(values[2], offset, code, number)
    if code == "H":
        values[2] = patch(values[2], 48, "Q", 8)
    with pytest.raises(error, match=reason):
        feed(head, values)


def test_chain_finds_time_that_goes_back():
    """The first row of a batch is later than the last row of the one before."""
    head, values = chained(1)
    previous = read_header(values[0]).hash
    late = lone_batch(order(5, BASE + 4), first=5, base_time=BASE + 4, applied=4, previous=previous, digest=b"d" * 32)
    with pytest.raises(CorruptBatch, match="time is not after"):
        feed(head, [values[0], late])


def test_chain_begins_anywhere_without_a_head():
    """Without a head the chain trusts the first batch to be the beginning."""
    _, values = chained()
    chain = Chain()
    assert chain.head is None
    for value in values[2:]:
        chain.feed(value)
    assert chain.head is not None
    assert chain.head.sequence == 20


def test_state_is_checked_against_itself():
    """Every byte of a state that matters to its END row is covered by it."""
    rows = new_state()
    assert check_state(rows).sequence == 0
    for at in range(0, len(rows) - 128, 8):
        if at in {len(rows) - 256 + offset for offset in range(8, 128, 8)}:
            continue  # the DIGEST row's own columns: the header of the state batch carries the digest
        with pytest.raises(CorruptBatch):
            check_state(rows[:at] + bytes([rows[at] ^ 1]) + rows[at + 1 :])


@pytest.mark.parametrize("cut", [slice(0, -1), slice(0, 256), slice(128, None), slice(0, -128), slice(0, -256)])
def test_cut_state_is_found(cut):
    """State rows with a part missing are refused."""
    with pytest.raises(CorruptBatch):
        check_state(new_state()[cut])


def test_state_batches_are_checked():
    """State batches of another state, out of order, or mixed with others are refused."""
    values = seal_state(new_state(9000), semantics=1, epoch=1, previous=bytes(32))
    assert len(values) == 3
    header, state = check_batches(values)
    assert (header.first, state.sequence) == (1, 0)
    digest = patch(values[0], 56, "Q", 1)
    for wrong in (values[1:], values[:-1], [values[0], values[2]], [digest], [lone_batch(commands(1, 1))]):
        with pytest.raises(JournalError):
            check_batches(wrong)


def test_header_is_a_multiple_of_eight():
    """Rows begin at a multiple of eight bytes, behind the hash."""
    assert HEADER_SIZE % 8 == 0
    assert Header._fields[-1] == "hash"

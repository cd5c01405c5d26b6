"""State, commands, events and whole journals for the tests of this folder."""

from hashlib import sha256
from pathlib import Path

from core.digest import EventDigest
from core.messages import (
    AcceptClock,
    Accepted,
    AccountState,
    AdvanceTime,
    ArmDeadMan,
    CancelOrder,
    DefineCurrency,
    DefineInstrument,
    Deposit,
    Detail,
    EndOfDay,
    EngineState,
    EnterBatch,
    EnterOrder,
    GrantSession,
    Kill,
    LinkOrders,
    MassCancel,
    MassQuote,
    OpenAccount,
    Promote,
    Quarantine,
    QuoteDetail,
    ReduceOrder,
    ReplaceOrder,
    ResetProtection,
    Row,
    SessionLost,
    SetAccount,
    SetAllocation,
    SetCancelOnDisconnect,
    SetCredential,
    SetFeeSchedule,
    SetLimit,
    SetProtection,
    SetRules,
    SetTradingState,
    StateEnd,
    Upgrade,
    Withdraw,
)
from core.rows import to_row
from journal.batch import BatchKind, seal
from journal.directory import JournalDirectory
from journal.event_store import EventStore
from journal.journal import Journal
from journal.order import seal_closing

SEMANTICS = 1
BASE = 1_700_000_000_000_000_000
KINDS: tuple[type[Row], ...] = (
    Quarantine, DefineCurrency, DefineInstrument, OpenAccount, Deposit, Withdraw, GrantSession, SetTradingState,
    AdvanceTime, EndOfDay, Upgrade, SetFeeSchedule, Kill, SetCredential, Promote, AcceptClock, SetAccount,
    SetLimit, SetAllocation, SetRules, EnterOrder, ReplaceOrder, ReduceOrder, CancelOrder, MassCancel,
    EnterBatch, LinkOrders, MassQuote, Detail, QuoteDetail,
    SessionLost, SetCancelOnDisconnect, ArmDeadMan, SetProtection, ResetProtection,
)  # fmt: skip


def state_rows(digest: EventDigest, sequence: int = 0, time: int = 0, accounts: int = 3) -> bytes:
    """Complete state rows, END row included."""
    body = to_row(EngineState(sequence=sequence, time=time, semantics=SEMANTICS))
    body += b"".join(to_row(AccountState(account=n + 1, firm=1, name=f"A{n}")) for n in range(accounts))
    tail = digest.rows()
    return body + tail + end_row(body, (len(body) + len(tail)) // 128)


def end_row(body: bytes, rows: int) -> bytes:
    """The END row of the state whose rows before DIGEST are given."""
    hashes = [int.from_bytes(sha256(body).digest()[n : n + 8], "little", signed=True) for n in (0, 8, 16, 24)]
    return to_row(StateEnd(hashes[0], hashes[1], hashes[2], hashes[3], rows))


def commands(first: int, count: int) -> bytes:
    """EnterOrder rows with dense sequence numbers and rising times."""
    return b"".join(
        to_row(EnterOrder(sequence=n, time=BASE + n, price=n, quantity=1)) for n in range(first, first + count)
    )


def every_kind(first: int = 1) -> bytes:
    """One row of every kind of command; the quarantine row is first."""
    made = (kind(sequence=first + n, time=BASE + first + n) for n, kind in enumerate(KINDS))  # type: ignore[call-arg]
    return b"".join(map(to_row, made))


def events_of(first: int, last: int) -> bytes:
    """One Accepted row for each command."""
    return b"".join(to_row(Accepted(sequence=n, time=BASE + n, price=n)) for n in range(first, last + 1))


class Writer:
    """Seals batches behind a journal's head and keeps the event digest, as a sequencer does."""

    def __init__(self, journal: Journal, store: EventStore | None = None, epoch: int = 1) -> None:
        self.journal = journal
        self.store = store
        self.epoch = epoch
        self.digest = EventDigest()
        self.sealed: list[bytes] = []

    def next(self, count: int = 4) -> bytes:
        """The next batch of so many commands; applied up to the head."""
        head = self.journal.head()
        return seal(
            commands(head.sequence + 1, count),
            semantics=self.journal.semantics,
            epoch=self.epoch,
            first=head.sequence + 1,
            base_time=BASE + head.sequence + 1,
            applied=head.sequence,
            digest=self.digest.value(),
            previous=head.hash,
        )

    def write(self, count: int = 4) -> bytes:
        """Append the next batch, then apply it."""
        value = self.next(count)
        first = self.journal.head().sequence + 1
        self.journal.append(value)
        self._apply(first, first + count - 1)
        self.sealed.append(value)
        return value

    def _apply(self, first: int, last: int) -> None:
        rows = events_of(first, last)
        self.digest.feed(rows)
        if self.store is not None:
            self.store.append(first, last, rows)

    def close(self) -> bytes:
        """Append a closing batch."""
        head = self.journal.head()
        value = seal_closing(
            head, semantics=self.journal.semantics, epoch=self.epoch, time=self.time(), digest=self.digest.value()
        )
        self.journal.append(value)
        return value

    def time(self) -> int:
        """Time of the last row."""
        sequence = self.journal.head().sequence
        return BASE + sequence if sequence else 0

    def state(self, accounts: int = 3) -> bytes:
        """The state at the head."""
        return state_rows(self.digest, self.journal.head().sequence, self.time(), accounts)


def lone_batch(rows: bytes, **changes: object) -> bytes:
    """A batch whose fields are right, except those named."""
    fields: dict[str, object] = {
        "kind": BatchKind.COMMANDS, "semantics": SEMANTICS, "epoch": 1, "first": 1, "base_time": BASE + 1,
        "applied": 0, "digest": EventDigest().value(), "previous": bytes(32),
    }  # fmt: skip
    return seal(rows, **(fields | changes))  # type: ignore[arg-type]


def new_state(accounts: int = 3) -> bytes:
    """The state of a venue that has seen no command."""
    return state_rows(EventDigest(), accounts=accounts)


def make_venue(path: Path, segments: int = 2, batches: int = 6, count: int = 4) -> list[bytes]:
    """A closed journal directory with an event store and snapshots; the batches of commands, in order."""
    journal = JournalDirectory.create(path, new_state(), semantics=SEMANTICS)
    store = EventStore(journal.events, write=True)
    writer = Writer(journal, store)
    for segment in range(segments):
        for _ in range(batches):
            writer.write(count)
            _snapshot(journal, writer)
        if segment < segments - 1:
            journal.roll(writer.state(), semantics=SEMANTICS, epoch=1)
    writer.close()
    store.close()
    journal.close()
    return writer.sealed


def _snapshot(journal: JournalDirectory, writer: Writer) -> None:
    from journal import snapshots

    header = journal.header_at(journal.head().sequence)
    assert header is not None
    snapshots.write(journal.snapshots, writer.state(), header)

"""Which events answer which command: found again in what sessions are told of random streams, with many under way at once."""

import pytest

from core import messages as m
from core.kinds import KEPT_PLACE, SLIDE, CommandKind, OrderType
from core.machine import Machine
from core.parts import part_of, parts_of
from core.reasons import CancelReason, RejectReason
from core.rows import from_row, to_row
from journal.journal import Head
from replicas.client_answers import ANSWERS, ROW, answering
from replicas.client_ledger import Broken, Ledger
from tests.pair import Pair, seeds
from tests.special import special_rows
from tests.streams import Stream

SESSIONS = (1, 2, 3, 4)
SESSION, INBOUND = 3, 4
UNANSWERED = {CommandKind.ADVANCE_TIME, CommandKind.QUARANTINE, CommandKind.PROMOTE}
UNANSWERED |= {CommandKind.DETAIL, CommandKind.QUOTE_DETAIL}
HEADS = {CommandKind.ENTER_BATCH, CommandKind.LINK_ORDERS, CommandKind.MASS_QUOTE}


def cut(rows):
    return [rows[at : at + ROW.size] for at in range(0, len(rows), ROW.size)]


class Traffic:
    """A random stream whose sessions keep ledgers; what is sent waits and is applied together."""

    def __init__(self, seed):
        self.pair = Pair()
        self.source = Stream(seed, self.pair.model)
        for row in self.source.setup():
            self.pair.apply(row)
        self.waiting, self.truth = [], {}
        self.ledgers = {number: self.ledger(number) for number in SESSIONS}

    def ledger(self, number):
        session, ledger = self.pair.machine.engine.session(number), Ledger(number)
        ledger.begin(session.outbound + 1)
        ledger.resume(session.inbound + 1, session.outbound + 1, 1)
        return ledger

    def send(self):
        """One more command; of those that need not be answered only what session 0 sends."""
        row = self.source.next()
        columns = ROW.unpack(row)
        self.source.sequence -= 1
        ledger = self.ledgers.get(columns[SESSION])
        if ledger is None:
            self.waiting.append(row)
        elif columns[0] in HEADS:
            self.send_parts(ledger, row, columns)
        elif columns[0] not in UNANSWERED:
            entry = ledger.enter(row)
            entry.sent_ns = 1
            self.waiting.append(entry.row)

    def send_parts(self, ledger, head, columns):
        """A command of several parts, as a client sends it: whole, or not at all."""
        parts, self.source.coming = [to_row(part) for part in self.source.coming], []
        kinds = {int.from_bytes(part[:8], "little") for part in parts}
        if parts_of(head, 0) == len(parts) and kinds == {part_of(columns[0])}:
            ledger.enter_parts([head, *parts]).sent_ns = 1
            self.waiting += [entry.row for entry in list(ledger.entries.values())[-1 - len(parts) :]]

    def apply(self):
        """Apply what waits, as one batch; each session is told its events, then the head."""
        for row in self.waiting:
            columns = list(ROW.unpack(self.source.stamp(row)))
            events = self.pair.apply(ROW.pack(*columns))
            told = [to_row(event) for event in events if event.session in SESSIONS and event.outbound]
            for event in told:
                self.ledgers[ROW.unpack(event)[SESSION]].tell(event, columns[1])
            if columns[SESSION] in SESSIONS:
                own = [event for event in told if ROW.unpack(event)[SESSION] == columns[SESSION]]
                self.truth[columns[SESSION], columns[INBOUND]] = own
        self.waiting.clear()
        for ledger in self.ledgers.values():
            ledger.see(Head(1, self.source.sequence, bytes(32)), 1)


@pytest.mark.parametrize("under_way", [1, 8, 60])
@pytest.mark.parametrize("seed", seeds(2))
def test_every_answer_is_found_exactly(seed, under_way):
    """Other sessions, operators among them, act on the same orders all the time."""
    traffic = Traffic(seed)
    for step in range(1_500):
        traffic.send()
        if step % under_way == 0:
            traffic.apply()
    traffic.apply()
    found = {}
    for number, ledger in traffic.ledgers.items():
        assert ledger.oldest == ledger.next
        found |= {(number, inbound): entry.answer for inbound, entry in ledger.entries.items()}
    wrong = {key: rows for key, rows in found.items() if rows != traffic.truth[key]}
    doubtful = {key for key in wrong if not traffic.ledgers[key[0]].entries[key[1]].sure}
    assert set(wrong) == doubtful, f"LOCKSTEP_STREAM_SEED={seed}: sure and wrong"
    assert all(same_to_the_order(wrong[key], traffic.truth[key]) for key in wrong), f"LOCKSTEP_STREAM_SEED={seed}"
    assert len(wrong) <= len(found) // 200
    assert len(found) > 1_000


def same_to_the_order(got, want):
    """Two sessions did the same with one order at one time: what each was told differs in its numbers alone."""
    one, other = from_row(got[0]), from_row(want[0])
    same = ("client_order_id", "price", "instrument", "account")
    return type(one) is type(other) and all(getattr(one, name) == getattr(other, name) for name in same)


@pytest.mark.parametrize("kind", sorted(set(CommandKind) - UNANSWERED), ids=lambda kind: kind.name)
def test_every_command_that_a_client_sends_has_its_answers(kind):
    assert ANSWERS[kind]


# ---- by hand


def ledger_with(*commands):
    ledger = Ledger(1)
    ledger.begin(1)
    ledger.resume(1, 1, 1)
    for command in commands:
        ledger.enter(to_row(command)).sent_ns = 1
    return ledger


NAMES = {"instrument": 1, "account": 1, "client_order_id": 5}
CANCEL = m.CancelOrder(**NAMES)


def told(ledger, kind, sequence, **columns):
    row = to_row(kind(session=1, outbound=ledger.outbound, sequence=sequence, **columns))
    ledger.tell(row, sequence)
    return row


def test_an_answer_taken_from_what_another_session_did_is_put_right():
    """An operator cancels the order just before our own cancel, which is refused then."""
    ledger = ledger_with(CANCEL)
    told(ledger, m.Canceled, 7, reason=CancelReason.REQUESTED, **NAMES)
    assert not ledger.entries[1].sure
    refused = told(
        ledger, m.Rejected, 8, command=CommandKind.CANCEL_ORDER, inbound=1, reason=RejectReason.UNKNOWN_ORDER
    )
    assert (ledger.entries[1].answer, ledger.entries[1].sure) == ([refused], True)


@pytest.mark.parametrize(
    ("kind", "columns"),
    [
        (m.Canceled, {"reason": CancelReason.MASS_CANCEL}),
        (m.Canceled, {"reason": CancelReason.REQUESTED, "client_order_id": 6}),
        (m.Canceled, {"reason": CancelReason.REQUESTED, "account": 2}),
        (m.Executed, {}),
        (m.Expired, {}),
        (m.Replaced, {"flags": KEPT_PLACE}),
        (m.Reduced, {"quantity": 1}),
    ],
)
def test_what_others_do_to_our_orders_is_no_answer(kind, columns):
    ledger = ledger_with(CANCEL)
    told(ledger, kind, 7, **(NAMES | columns))
    assert ledger.oldest == 1


def test_two_refusals_of_one_command_are_a_contradiction():
    ledger = ledger_with(CANCEL)
    refusal = {"command": CommandKind.CANCEL_ORDER, "inbound": 1, "reason": RejectReason.UNKNOWN_ORDER}
    told(ledger, m.Rejected, 7, **refusal)
    with pytest.raises(Broken, match="inbound number 1 was answered by rows 7 and 8"):
        told(ledger, m.Rejected, 8, **refusal)


def test_an_answer_that_names_another_kind_of_command():
    ledger = ledger_with(CANCEL)
    with pytest.raises(Broken, match="as another command"):
        told(ledger, m.Rejected, 7, command=CommandKind.ENTER_ORDER, inbound=1)


def test_an_answer_before_the_command_was_sent():
    ledger = ledger_with(CANCEL)
    ledger.entries[1].sent_ns = 0
    with pytest.raises(Broken, match="before it was sent"):
        told(ledger, m.Rejected, 7, command=CommandKind.CANCEL_ORDER, inbound=1)


def test_the_second_end_of_a_mass_cancel_is_no_second_answer():
    ledger = ledger_with(m.MassCancel(account=1), CANCEL)
    told(ledger, m.MassCanceled, 7, command=CommandKind.MASS_CANCEL, inbound=1)
    told(ledger, m.MassCanceled, 9, command=CommandKind.MASS_CANCEL, inbound=1)
    assert ledger.entries[1].sequence == 7
    assert ledger.oldest == 2


@pytest.mark.parametrize("seed", seeds(3))
def test_every_command_of_a_session_is_answered_where_orders_hide_wait_and_follow(seed):
    machine, answered = Machine(), 0
    for row in special_rows(seed, 400):
        command = ROW.unpack(row)
        told = [ROW.unpack(event) for event in cut(machine.apply(row, 0, len(row)))]
        mine = [event for event in told if event[SESSION] == command[SESSION] != 0 and event[INBOUND]]
        if command[SESSION]:
            assert any(answering(event, command) for event in mine), f"row {command[1]} of stream {seed}"
            answered += 1
    assert answered > 200


@pytest.mark.parametrize(
    "command",
    [
        m.Kill(account=1, act=1),
        m.SetAccount(account=1, state=1, group=4),
        m.SetLimit(firm=1, limit=3, value=5, until=9),
        m.SetRules(flags=2, instrument=1, protection=5, collar=7, notional_min=1),
    ],
    ids=lambda command: type(command).__name__,
)
def test_operators_hear_of_what_they_set(command):
    row = to_row(command)
    of = {m.Kill: m.Killed, m.SetAccount: m.AccountSet, m.SetLimit: m.LimitSet, m.SetRules: m.RulesSet}[type(command)]
    common = {n: getattr(command, n) for n in of.__struct_fields__ if hasattr(command, n)}
    event, other = to_row(of(**common)), to_row(of(**common | {"account" if command.KIND < 29 else "collar": 77}))
    assert answering(ROW.unpack(event), ROW.unpack(row)) is not None
    assert answering(ROW.unpack(other), ROW.unpack(row)) is None


def test_a_replaced_order_that_follows_a_price_has_another_one_than_its_command():
    command = to_row(m.ReplaceOrder(instrument=1, account=1, client_order_id=5, price=9, original_client_order_id=4))
    names = {"instrument": 1, "account": 1, "client_order_id": 5, "price": 8, "original_client_order_id": 4}
    for flags, answers in ((OrderType.PEGGED << 1, True), (OrderType.LIMIT << 1 | SLIDE, True), (2 << 1, False)):
        event = to_row(m.Replaced(flags=flags, **names))
        assert (answering(ROW.unpack(event), ROW.unpack(command)) is not None) == answers

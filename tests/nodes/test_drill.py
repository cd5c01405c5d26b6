"""What a drill compares finds each planted fault; a drill with real processes finds none."""

import json
import random
from contextlib import ExitStack

import pytest

from core.kinds import ROW_SIZE
from core.machine import Machine
from core.rows import to_row
from core.state import SEMANTICS
from journal import snapshots
from journal.batch import HEADER_SIZE, BatchKind, read_header, seal
from journal.journal import Head
from journal.memory import MemoryJournal
from replicas.client_ledger import Ledger
from replicas.replay import start
from replicas.sequencer import Sequencer
from tests.conftest import seed
from tests.nodes.fake_server import NOW, VENUE, enter
from tools.drills.checks import (
    Auditor,
    Findings,
    compare_digest,
    compare_head,
    compare_journals,
    compare_ledger,
    compare_snapshots,
    cut,
    number,
)

COMMANDS = 60


class Traded:
    """A journal in memory, and the ledgers of the two sessions whose orders met in it."""

    def __init__(self, seed=0):
        rng = random.Random(seed)
        self.journal = MemoryJournal.create(Machine().rows(), semantics=SEMANTICS)
        sequencer = Sequencer(self.journal, start(self.journal))
        sequencer.submit(b"".join(map(to_row, VENUE)), NOW)
        self.ledgers = [Ledger(session) for session in (1, 2)]
        for ledger in self.ledgers:
            ledger.begin(1)
            ledger.resume(1, 1, 1)
        for at in range(COMMANDS):
            ledger = self.ledgers[at % 2]
            command = enter(at + 1, side=rng.randrange(2), price=rng.randint(99, 101), account=ledger.session)
            entry = ledger.enter(to_row(command))
            entry.sent_ns = 1
            for event in cut(sequencer.submit(entry.row, NOW)):
                if number(event, 24):
                    self.ledgers[number(event, 24) - 1].tell(event, 1)
            for each in self.ledgers:
                each.see(self.journal.head(), 1)
        sequencer.close_batch()
        self.machine = sequencer.machine

    def audit(self, journal=None):
        """What a comparison with this journal, or with another one, finds."""
        journal, findings = journal or self.journal, Findings()
        auditor = Auditor(journal)
        auditor.advance(journal)
        for ledger in self.ledgers:
            compare_ledger(ledger, auditor.truth, findings)
            compare_head(ledger, journal, findings)
        return findings

    def rewritten(self, change):
        """Another journal, sound in itself, of the commands that `change` makes of ours."""
        rows = b"".join(value[HEADER_SIZE:] for value in self.journal.batches() if is_commands(value))
        journal = MemoryJournal.create(Machine().rows(), semantics=SEMANTICS)
        sequencer = Sequencer(journal, start(journal))
        for row in change(list(cut(rows))):
            sequencer.submit(row[:8] + bytes(16) + row[24:], NOW)
        return journal


def is_commands(value):
    return read_header(value).kind == BatchKind.COMMANDS


def counts(findings):
    return {name: getattr(findings, name) for name in ("lost", "doubled", "different")}


@pytest.fixture
def traded():
    return Traded()


@pytest.mark.parametrize("seed", range(3))
def test_a_sound_journal_has_every_answer_once(seed):
    findings = Traded(seed).audit()
    assert findings.good(), findings.notes
    assert findings.acknowledged == COMMANDS
    assert findings.told > COMMANDS


# ---- answers


def test_a_lost_command_is_found(traded):
    """The journal lacks the last acknowledged command: as after a takeover by a standby that was behind."""
    findings = traded.audit(traded.rewritten(lambda rows: rows[:-1]))
    assert findings.lost >= 3, "the answer, its event, and the head"
    assert any("inbound number 30: the journal does not have it" in note for note in findings.notes)
    assert any("is beyond the journal" in note for note in findings.notes)


def test_a_lost_event_is_found(traded):
    """An event that the journal's engine never told was told."""
    traded.ledgers[0].rows.append(traded.ledgers[0].rows[-1])
    assert counts(traded.audit()) == {"lost": 1, "doubled": 0, "different": 0}


def test_an_event_that_was_never_told_is_found(traded):
    traded.ledgers[1].rows.pop()
    findings = traded.audit()
    assert counts(findings) == {"lost": 1, "doubled": 0, "different": 0}
    assert "was never told" in findings.notes[0]


def test_a_doubled_command_is_found(traded):
    """The same command took effect twice: as where nobody recognises a repeat."""
    auditor, findings = Auditor(traded.journal), Findings()
    auditor.advance(traded.journal)
    auditor.truth.answers[1, 7] *= 2
    compare_ledger(traded.ledgers[0], auditor.truth, findings)
    assert counts(findings) == {"lost": 0, "doubled": 1, "different": 0}
    assert findings.notes == ["doubled: session 1, inbound number 7: the journal has it 2 times"]


def test_a_command_that_took_effect_twice_is_seen_in_rows_and_events(traded):
    """Truth counts what the journal says, not what the engine remembers."""
    auditor = Auditor(traded.journal)
    auditor.advance(traded.journal)
    (answer,) = auditor.truth.answers[1, 7]
    sequence = number(answer[0], 8)
    row = next(
        row for value in traded.journal.batches() for row in cut(value[HEADER_SIZE:]) if number(row, 8) == sequence
    )
    auditor.truth.add(row, b"".join(answer))
    assert auditor.truth.answers[1, 7] == [answer, answer]
    findings = Findings()
    compare_ledger(traded.ledgers[0], auditor.truth, findings)
    assert findings.doubled == 1 + len(answer)


def test_a_different_answer_is_found(traded):
    entry = traded.ledgers[0].entries[3]
    entry.answer = [entry.answer[0][:80] + b"\2" + entry.answer[0][81:]]
    assert counts(traded.audit()) == {"lost": 0, "doubled": 0, "different": 1}


def test_a_journal_in_which_another_command_stands_is_found(traded):
    """As after a takeover that gave the inbound number of an acknowledged command to another one."""
    other = to_row(enter(999, quantity=7, account=2))

    def change(rows):
        return [*rows[:-1], rows[-1][:40] + other[40:]]

    assert traded.audit(traded.rewritten(change)).different >= 2


def test_what_was_not_answered_is_not_compared(traded):
    entry = traded.ledgers[0].enter(to_row(enter(5_000)))
    assert entry.inbound == 31
    assert traded.audit().good()


# ---- nodes


def copy(journal, change=lambda value: value, upto=None):
    """Another node's journal: the same batches, each as `change` leaves it."""
    batches = list(journal.batches())[:upto]
    other = MemoryJournal.create(Machine().rows(), semantics=SEMANTICS)
    for value in batches:
        if read_header(value).kind != BatchKind.STATE:
            other.append(change(value))
    return other


def resealed(value, **changes):
    header = read_header(value)._asdict() | changes
    names = ("kind", "semantics", "epoch", "first", "base_time", "applied", "digest", "previous")
    return seal(value[HEADER_SIZE:], **{name: header[name] for name in names})


def test_equal_journals(traded):
    findings = Findings()
    compare_journals(traded.journal, copy(traded.journal), 1, findings)
    assert findings.good()


def test_a_journal_that_ends_earlier_differs(traded):
    findings = Findings()
    compare_journals(traded.journal, copy(traded.journal, upto=-3), 1, findings)
    assert counts(findings) == {"lost": 0, "doubled": 0, "different": 1}


def test_a_journal_with_another_batch_differs(traded):
    last = list(traded.journal.batches())[-1]

    def change(value):
        return resealed(value, digest=bytes(32)) if value == last else value

    findings = Findings()
    compare_journals(traded.journal, copy(traded.journal, change), 1, findings)
    assert counts(findings) == {"lost": 0, "doubled": 0, "different": 1}
    assert "closing batch" in findings.notes[0]


@pytest.mark.parametrize(
    ("head", "expected"),
    [
        (lambda end: end, {"lost": 0, "different": 0}),
        (lambda end: Head(end.epoch, end.sequence + 1, end.hash), {"lost": 1, "different": 0}),
        (lambda end: Head(end.epoch, end.sequence - 1, end.hash), {"lost": 0, "different": 1}),
    ],
)
def test_heads_that_clients_saw(traded, head, expected):
    findings, ledger = Findings(), Ledger(1)
    ledger.head = head(traded.journal.head())
    compare_head(ledger, traded.journal, findings)
    assert counts(findings) == expected | {"doubled": 0}


def test_digests_are_those_of_the_replay(traded):
    auditor, findings = Auditor(traded.journal), Findings()
    auditor.advance(traded.journal)
    good = traded.machine.digest.value().hex()
    compare_digest("a", auditor.sequence, good, auditor, findings)
    assert findings.good()
    compare_digest("b", auditor.sequence, "00" * 32, auditor, findings)
    compare_digest("b", auditor.sequence + 1, good, auditor, findings)
    assert findings.different == 2


def test_snapshots_hold_the_state_of_the_replay(traded, tmp_path):
    journal, end = traded.journal, traded.machine.engine.sequence
    states = Auditor(journal).advance(journal, {end})
    header = journal.header_at(end)
    snapshots.write(tmp_path / "good", traded.machine.rows(), header)
    findings = Findings()
    assert compare_snapshots("a", tmp_path / "good", journal, states, findings) == 1
    assert compare_snapshots("a", tmp_path / "none", journal, states, findings) == 0
    assert findings.good()
    compare_snapshots("b", tmp_path / "good", journal, {end: states[end][:-ROW_SIZE]}, findings)
    path = snapshots.snapshot_path(tmp_path / "good", end)
    path.write_bytes(path.read_bytes()[:-1])
    compare_snapshots("b", tmp_path / "good", journal, states, findings)
    assert findings.different == 2


def test_an_auditor_goes_on_where_it_stopped(traded):
    """Cut anywhere, the same journal gives the same truth."""
    whole, parts = Auditor(traded.journal), Auditor(traded.journal)
    whole.advance(traded.journal)
    parts.advance(copy(traded.journal, upto=20))
    answers, parts_end = dict(parts.truth.answers), parts.sequence
    parts.forget()
    parts.advance(traded.journal)
    assert 0 < parts_end < parts.sequence == whole.sequence
    assert answers | parts.truth.answers == whole.truth.answers
    assert parts.digests[whole.sequence] == whole.digests[whole.sequence]


def test_a_drill_stops_counting_notes_but_not_findings():
    findings = Findings()
    for _ in range(100):
        findings.note("lost", "it")
    assert findings.lost == 100
    assert len(findings.notes) == 20


# ---- the whole


@pytest.mark.both
def test_a_drill_with_real_processes_finds_nothing(tmp_path):
    from tools.drills.load import venue
    from tools.drills.run import run
    from tools.make_venue import make_venue

    (tmp_path / "venue.toml").write_text(venue(2))
    make_venue(tmp_path / "a", tmp_path / "venue.toml", None)
    said = []
    deck = ("kill the primary", "stop the primary", "kill the standby in recovery")
    result = run(tmp_path, len(deck), seed(), 2, said.append, deck)
    assert result.good(), f"seed {seed()}: {json.dumps(result.notes, indent=1)}"
    assert (result.rounds, len(said)) == (len(deck), len(deck))
    assert result.takeovers >= len(deck)
    assert result.acknowledged > 0


def test_a_disk_that_is_full_costs_the_lead_and_no_command(tmp_path):
    from tools.drills.disks import disks
    from tools.drills.load import venue
    from tools.drills.nodes import DISK_FAULTS, NAMES, data_of
    from tools.drills.run import run
    from tools.failures import Failure
    from tools.make_venue import make_venue

    with ExitStack() as stack:
        try:
            mounted = stack.enter_context(disks(tmp_path, NAMES, 512))
        except Failure as error:
            pytest.skip(f"no file system can be mounted here: {error}")
        file = tmp_path / "venue.toml"
        file.write_text(venue(2))
        make_venue(data_of("a", tmp_path, mounted["a"]), file, None)
        found = run(tmp_path, 2, seed(), 2, print, tuple(DISK_FAULTS), mounted)
    assert found.notes == []
    assert (found.rounds, found.lost, found.doubled, found.different) == (2, 0, 0, 0)
    assert found.faults == dict.fromkeys(DISK_FAULTS, 1)
    assert found.takeovers == 1
    assert found.acknowledged > 1_000

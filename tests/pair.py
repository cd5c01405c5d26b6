"""An engine and the model side by side: every row goes to both, and every event must be the same."""

import os

from core.check import check
from core.kinds import Role
from core.machine import Machine
from core.rows import from_row, rows
from tests.model import Model
from tests.streams import Stream


def words(row):
    """A row to be read in a failure; malformed ones as they are."""
    try:
        return repr(from_row(row))
    except ValueError as error:
        return f"{error}: {row.hex(' ', 8)}"


class Pair:
    """Rows in, events out; `log` keeps each row with the Quarantine row that replaced it (or None) and its events."""

    def __init__(self):
        self.machine, self.model, self.log = Machine(), Model(), []

    def apply(self, row, quarantine=None):
        """Apply one row to both and compare; returns the events."""
        if quarantine is None:
            got, want = self.machine.apply(row, 0, len(row)), self.model.apply(row)
        else:
            got = self.machine.apply_quarantined(row, 0, quarantine, 0)
            want = self.model.apply_quarantined(row, quarantine)
        self.log.append((row, quarantine, got))
        events = list(rows(got))
        if events != want:
            lines = [f"{words(row)}" + (" (quarantined)" if quarantine else "")]
            for at in range(max(len(events), len(want))):
                pair = [*events[at : at + 1], None][0], [*want[at : at + 1], None][0]
                lines += [f"  engine {pair[0]}", f"  model  {pair[1]}"] if pair[0] != pair[1] else []
            raise AssertionError("\n".join(lines))
        return events

    def check(self):
        """The engine agrees with itself and with the model's accounts, and money is neither made nor lost."""
        check(self.machine.engine)
        model = self.model
        for currency in model.currencies:
            held = sum(amount for (_, c), amount in model.balances.items() if c == currency)
            came = model.deposited[currency] - model.withdrawn[currency]
            assert held + model.fees[currency] == came
        assert bool(self.machine.engine.due() == 0) == model.is_due()
        assert [instrument.number for instrument in self.machine.engine.following] == model.touched
        self.check_sessions()

    def check_sessions(self):
        """What no event tells: the epoch, what each session may do or read, and its credential."""
        engine = self.machine.engine
        assert engine.epoch == self.model.epoch
        for number, known in self.model.sessions.items():
            s = engine.session(number)
            role = Role.OPERATOR if known.operator else [*known.reads, Role.TRADER][0]
            assert (s.role, s.firm) == (role, [*known.reads, 0, 0][1]), f"session {number}"
            assert (s.hash_0, s.hash_1, s.hash_2, s.hash_3, s.salt_0, s.salt_1, s.cost) == known.credential

    def reload(self):
        """Go on from a snapshot, which must say the same again."""
        state = self.machine.rows()
        digests = self.machine.digest.value(), self.machine.state_digest()
        self.machine = Machine.restore(state)
        assert self.machine.rows() == state
        assert (self.machine.digest.value(), self.machine.state_digest()) == digests


def stream(seed, steps, checks=500, quarantines=0.004):
    """Drive a pair with a random stream; a difference names the seed and the line that repeats it."""
    pair = Pair()
    source = Stream(seed, pair.model)
    try:
        for row in source.setup():
            pair.apply(row)
        for step in range(steps):
            row = source.next()
            named = source.rng.random() < quarantines
            pair.apply(row, source.quarantine_of(row) if named else None)
            if step % checks == 0:
                pair.check()
                pair.reload()
        pair.check()
    except AssertionError as error:
        line = f"LOCKSTEP_STREAM_SEED={seed} pytest tests/test_model.py -k stream"
        raise AssertionError(f"row {source.sequence} of stream {seed}; to repeat: {line}\n{error}") from error
    return pair


def seeds(count):
    """The seeds to try: the one asked for, or some that differ from run to run."""
    named = os.environ.get("LOCKSTEP_STREAM_SEED")
    first = int(os.environ.get("LOCKSTEP_SEED", "0")) * 1_000
    return [int(named)] if named else list(range(first, first + count))

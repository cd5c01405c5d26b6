"""`tools.history`: at any moment of any journal it says what the naive market said then."""

import hashlib
import itertools
import random
import shutil
import subprocess
import sys
from datetime import UTC, datetime

import pytest

from core import messages as m
from core.kinds import OrderType, TimeInForce
from core.rows import pack_halves, to_row
from core.state import SEMANTICS
from journal import snapshots
from journal.batch import GENESIS, read_header, seal
from journal.directory import JournalDirectory, segment_name
from journal.errors import CorruptBatch, NotAJournal, WrongSemantics
from replicas.opening import create
from tests.pair import seeds
from tests.tools.conftest import FIRST, NINE, ROWS, flip
from tests.tools.told_moments import Written, check_moment
from tools.benches.history import QUESTIONS, Size, measure, show
from tools.failures import Failure, Misuse
from tools.history import History
from tools.past import seek as history_seek


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """One random journal, for tests that change nothing in it."""
    return Written(tmp_path_factory.mktemp("random") / "venue", seeds(1)[0])


def some_orders(rng, truth, count=4):
    """Numbers of live orders, of some that had ended, and of some that were yet to come."""
    live = [order["number"] for order in truth.orders]
    gone = [number for number, life in truth.lives.items() if life.fate != "live"]
    chosen = rng.sample(live, min(count, len(live))) + rng.sample(gone, min(count, len(gone)))
    return [*chosen, max(truth.lives, default=0) + 1]


def said(seed, sequence):
    return f"LOCKSTEP_STREAM_SEED={seed}, row {sequence}"


@pytest.mark.both
def test_every_answer_is_that_of_the_naive_market(tmp_path):
    """In any order of moments, with one open history for all of them."""
    for seed in seeds(2):
        journal = Written(tmp_path / str(seed), seed)
        rng = random.Random(seed)
        truths = rng.sample(list(journal.truths.values()), len(journal.truths))
        with History(journal.path) as history:
            for truth in truths:
                try:
                    check_moment(history.at(truth.sequence), truth, some_orders(rng, truth))
                except AssertionError as error:
                    raise AssertionError(f"{said(seed, truth.sequence)}: {error}") from error


def test_an_order_is_the_same_asked_first_and_asked_last(written):
    """The first question to a moment takes a shorter way to orders that ended long ago."""
    rng = random.Random(written.seed)
    for truth in rng.sample(list(written.truths.values()), 6):
        numbers = some_orders(rng, truth, 3)
        with History(written.path) as history:
            warm = history.at(truth.sequence)
            assert warm.venue().order_numbers == truth.model["order_numbers"]
            last = [warm.order(number) for number in numbers]
        for number, answer in zip(numbers, last, strict=True):
            with History(written.path) as history:
                moment = history.at(truth.sequence)
                assert moment.order(number) == answer, said(written.seed, truth.sequence)
                assert moment.venue().event_digest == truth.digests[0]


def test_an_answer_does_not_depend_on_snapshots(written, tmp_path):
    """Without any, with damaged ones, and with a cache that is filled, damaged, or of another journal."""
    shutil.copytree(written.path, tmp_path / "none")
    shutil.rmtree(tmp_path / "none" / "snapshots")
    shutil.copytree(written.path, tmp_path / "bad")
    for path in (tmp_path / "bad" / "snapshots").iterdir():
        path.write_bytes(path.read_bytes()[:-200] + bytes(200))
    cache = tmp_path / "cache"
    with History(tmp_path / "none", cache=cache, every=60) as history:
        assert history.fill() > 0
    made = sorted(cache.iterdir())
    assert len(made) >= 3
    made[0].write_bytes(made[0].read_bytes()[:-1])
    made[1].write_bytes(made[2].read_bytes())
    truths = list(written.truths.values())[::3]
    for path, folder in ((tmp_path / "none", None), (tmp_path / "bad", None), (tmp_path / "none", cache)):
        with History(path, cache=folder, every=100) as history:
            for truth in truths:
                check_moment(history.at(truth.sequence), truth, [*truth.lives][-2:])


# ---- which moment


@pytest.fixture
def asked(venue):
    with History(venue) as history:
        yield history


@pytest.mark.parametrize(
    ("moment", "row"),
    [
        (0, 0),
        ("0", 0),
        (ROWS, ROWS),
        (str(ROWS), ROWS),
        ("head", ROWS),
        ("@0", 0),
        (f"@{NINE}", FIRST),
        (f"@{NINE - 1}", FIRST - 1),
        (f"@{NINE + 1}", FIRST),
        (f"@{NINE + 10**9 - 1}", FIRST),
        (f"@{NINE * 1000}", ROWS),
        ("09:00:00", FIRST),
        ("08:59:59.999999999", FIRST - 1),
        ("1970-01-01T09:00:01Z", FIRST + 1),
        ("2026-01-01", ROWS),
        ("00:00:00", 0),
    ],
)
def test_which_row_a_moment_names(asked, moment, row):
    assert asked.at(moment).sequence == row
    assert asked.at(moment).venue().event_digest


@pytest.mark.parametrize(
    ("moment", "said"),
    [
        (-1, f"row -1: this journal holds the rows 0 to {ROWS}"),
        (ROWS + 1, f"row {ROWS + 1}: this journal holds the rows 0 to {ROWS}"),
        (str(ROWS + 1), f"row {ROWS + 1}: this journal holds"),
        ("9" * 19, "this journal holds"),
        ("9" * 5_000, "not a moment"),
        ("@", "@: not a moment"),
        ("@-1", "@-1: not a moment"),
        ("@" + "9" * 5_000, "not a moment"),
        ("", "not a time"),
        ("noon", "not a time"),
        ("25:00:00", "not a time"),
    ],
)
def test_what_is_no_moment(asked, moment, said):
    with pytest.raises(Misuse) as error:
        asked.at(moment)
    assert said in str(error.value)
    assert len(str(error.value)) < 300


def test_times_as_rows_were_stamped(written):
    """Each time between the stamps of two rows means the first of them."""
    stamps = [int.from_bytes(row[16:24], "little") for row, _, _ in written.pair.log]
    rng = random.Random(written.seed)
    with History(written.path) as history:
        for _ in range(30):
            row = rng.randrange(1, len(stamps))
            early = datetime.fromtimestamp(stamps[row] // 10**9, UTC)
            for time in {stamps[row - 1], rng.randrange(stamps[row - 1], stamps[row]), stamps[row] - 1}:
                assert history.at(f"@{time}").sequence == row
                assert history.at(f"{early:%Y-%m-%dT%H:%M:%S}.{time % 10**9:09}Z").sequence == row
        assert history.at(f"@{stamps[0] - 1}").sequence == 0
        assert (history.first, history.last) == (0, len(stamps))


def test_a_damaged_batch_misleads_no_search_for_a_time(venue):
    """The rows that a search looks at are verified: a stamp that was changed is found, and not believed."""
    flip(venue / "segments" / segment_name(1) / "data.mdb", (NINE + 4 * 10**9).to_bytes(8, "little"))
    with History(venue) as history, pytest.raises(CorruptBatch, match="its hash is not that of its bytes"):
        history.at("09:00:04.5")


# ---- how it gets there


class Steps:
    """The rows that a history applies."""

    def __init__(self):
        self.rows = []

    def __call__(self, row, upto):
        self.rows.append(row)
        assert row <= upto


def test_the_next_moment_goes_on_from_the_last(written, monkeypatch):
    begun = []
    monkeypatch.setattr(history_seek.Seeker, "_begin", counting(history_seek.Seeker._begin, begun))
    steps, end = Steps(), JournalDirectory(written.path)
    firsts = [first - 1 for first in end.segments()]
    places = sorted({*firsts, *snapshots.stored(end.snapshots)})
    end.close()
    gap = max(itertools.pairwise(places), key=lambda pair: pair[1] - pair[0])
    with History(written.path, watch=steps) as history:
        # For the rows of the last batch a quarantine may still come: they are applied again each time.
        chosen = range(gap[0] + 1, min(gap[1], history._seeker.places.settled() + 1))
        for row in chosen:
            assert history.at(row).sequence == row == history.at(row).state.engine.sequence
    assert len(begun) == 1
    assert steps.rows == [*chosen]
    assert len(chosen) > 40


def counting(function, calls):
    def counted(*arguments):
        calls.append(arguments)
        return function(*arguments)

    return counted


def test_a_nearer_snapshot_is_taken(venue):
    """The rows before the snapshot are not applied, and those behind the moment are not either."""
    steps = Steps()
    with History(venue, watch=steps) as history:
        history.at(FIRST + 4).venue()
        assert steps.rows == [FIRST + 4]
        history.at(FIRST + 3).venue()
        assert steps.rows == [FIRST + 4]
        history.at(FIRST + 6).venue()
        assert steps.rows == [FIRST + 4, FIRST + 5, FIRST + 6]
        history.at(2).venue()
        assert steps.rows[3:] == [2]
        history.at(FIRST + 4).venue()
        assert steps.rows[4:] == [FIRST + 4]


def test_a_snapshot_that_is_a_few_rows_nearer_is_not(venue):
    """The state has more rows than are saved: going on costs less than reading it."""
    steps = Steps()
    with History(venue, watch=steps) as history:
        history.at(FIRST + 2).venue()
        steps.rows.clear()
        history.at(FIRST + 4).venue()
    assert steps.rows == [FIRST + 3, FIRST + 4]


def test_what_a_moment_said_it_says_after_others_were_asked(written):
    """Also when the history has gone on, and was closed."""
    one, two = [written.truths[number] for number in sorted(written.truths)[3:5]]
    with History(written.path) as history:
        first, second = history.at(one.sequence), history.at(two.sequence)
        assert first.venue().event_digest == one.digests[0]
        check_moment(second, two, [*two.lives][:2])
        check_moment(first, one, [*one.lives][:2])
    assert first.venue().event_digest == one.digests[0]
    history.close()


def placed(tmp_path, *commands):
    """A venue with one account, then these commands, a nanosecond each; the row of the first of them."""
    directory, sequencer = create(tmp_path / "venue")
    names = {"symbol": "B", "currencies": pack_halves(2, 1), "price_max": 100, "quantity_max": 100}
    first = [
        m.DefineCurrency(currency=1, symbol="USD"),
        m.DefineCurrency(currency=2, symbol="BTC"),
        m.DefineInstrument(instrument=1, **names),
        m.OpenAccount(account=2_500, firm=1),
        m.Deposit(account=2_500, currency=1, amount=1_000),
    ]
    sequencer.submit(b"".join(map(to_row, [*first, *commands])), 100)
    sequencer.events.close()
    directory.close()
    return len(first) + 1


def order_of(in_force, expires=0):
    flags = OrderType.LIMIT << 1 | in_force << 5
    names = {"instrument": 1, "account": 2_500, "client_order_id": 1, "price": 7, "quantity": 3}
    return m.EnterOrder(flags=flags, expires=expires, **names)


def test_a_day_order_is_over_before_it_has_expired(tmp_path):
    """An EndOfDay that needs several rows: until the last of them the order stands, and never trades again."""
    later = [m.EndOfDay(day=20260302), m.AdvanceTime(), m.AdvanceTime()]
    row = placed(tmp_path, order_of(TimeInForce.DAY), *later)
    with History(tmp_path / "venue") as history:
        told = [history.at(row + at).order(1) for at in range(4)]
        assert [each.fate.value for each in told] == ["live", "live", "live", "expired"]
        assert [each.order.over for each in told] == [False, True, True, False]
        assert history.at(row + 1).account(2_500).orders[0].over


def test_a_gtd_order_is_over_before_it_has_expired(tmp_path):
    row = placed(tmp_path, order_of(TimeInForce.GTD, 106), m.AcceptClock(clock=1), m.AdvanceTime())
    with History(tmp_path / "venue") as history:
        told = [history.at(row + at).order(1) for at in range(3)]
        assert [each.fate.value for each in told] == ["live", "live", "expired"]
        assert [each.order.over for each in told] == [False, True, False]
        assert {each.order.expires for each in told} == {106}


# ---- caches


def files(path):
    return {
        file: file.is_file() and file.name != "lock.mdb" and hashlib.sha256(file.read_bytes()).digest()
        for file in path.rglob("*")
    }


def test_a_cache_brings_moments_near_and_touches_no_journal(written, tmp_path):
    path, cache, cold, warm = tmp_path / "venue", tmp_path / "cache", Steps(), Steps()
    shutil.copytree(written.path, path)
    shutil.rmtree(path / "snapshots")
    before = files(path)
    with History(path, cache=cache, every=100, watch=cold) as history:
        applied = history.fill()
        assert 0 < applied <= history.last
        assert history.fill() == 0
    with History(path, cache=cache, every=100, watch=warm) as history:
        for row in range(history.last, 0, -37):
            near = history._seeker.places.between(0, row)[-1]
            assert row - near <= 150
            warm.rows.clear()
            history.at(row).venue()
            # Batches have at most forty rows and a Quarantine row.
            assert [at for at in warm.rows[:1] if at > near + 41] == []
    assert files(path) == before


def test_a_cache_is_filled_while_questions_are_answered(written, tmp_path):
    shutil.copytree(written.path, tmp_path / "venue")
    shutil.rmtree(tmp_path / "venue" / "snapshots")
    with History(tmp_path / "venue", cache=tmp_path / "cache", every=40) as history:
        places = history._seeker.places.between(0, history.last)
        begins, ends = max(itertools.pairwise([*places, history.last]), key=lambda pair: pair[1] - pair[0])
        history.at(ends - 1).venue()
    kept = snapshots.stored(tmp_path / "cache")
    assert len(kept) >= (ends - 1 - begins) // 81 >= 2
    assert all(begins + 40 <= place < ends for place in kept)


def test_what_is_missing_in_a_cache_is_made_again_and_no_more(written, tmp_path):
    cache = tmp_path / "cache"
    shutil.copytree(written.path, tmp_path / "venue")
    shutil.rmtree(tmp_path / "venue" / "snapshots")
    with History(tmp_path / "venue", cache=cache, every=60) as history:
        history.fill()
        places = history._seeker.places.between(0, history.last)
    whole = files(cache)
    stretches = zip(places, places[1:], places[2:], strict=False)
    missed = next(place for place in stretches if place[2] - place[0] > 90 and place[1] in snapshots.stored(cache))
    snapshots.snapshot_path(cache, missed[1]).unlink()
    with History(tmp_path / "venue", cache=cache, every=60) as history:
        assert history.fill() == missed[2] - missed[0]
    assert files(cache) == whole


def test_what_is_damaged_in_a_cache_is_made_again(written, tmp_path):
    cache = tmp_path / "cache"
    shutil.copytree(written.path, tmp_path / "venue")
    shutil.rmtree(tmp_path / "venue" / "snapshots")
    with History(tmp_path / "venue", cache=cache, every=60) as history:
        history.fill()
        places = history._seeker.places.between(0, history.last)
    whole = files(cache)
    stretches = zip(places, places[1:], places[2:], strict=False)
    bad = next(place for place in stretches if place[2] - place[0] > 90 and place[1] in snapshots.stored(cache))
    path = snapshots.snapshot_path(cache, bad[1])
    data = path.read_bytes()
    path.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    with History(tmp_path / "venue", cache=cache, every=60) as history:
        assert history.fill() == bad[2] - bad[0]
    assert files(cache) == whole


def test_a_walk_in_small_steps_fills_the_cache_too(written, tmp_path):
    """As much as one that goes the same way at once."""
    shutil.copytree(written.path, tmp_path / "venue")
    shutil.rmtree(tmp_path / "venue" / "snapshots")
    with History(tmp_path / "venue") as history:
        places = [*history._seeker.places.between(0, history.last), history._seeker.places.settled()]
    begins, ends = max(itertools.pairwise(places), key=lambda pair: pair[1] - pair[0])
    kept = []
    for rows in (range(begins + 1, ends), [ends - 1]):
        with History(tmp_path / "venue", cache=tmp_path / f"cache {len(rows)}", every=40) as history:
            for row in rows:
                history.at(row).venue()
        kept.append(snapshots.stored(tmp_path / f"cache {len(rows)}"))
    assert len(kept[0]) >= 2
    assert kept[0] == kept[1]


def test_an_index_that_is_interrupted_goes_on(written, tmp_path):
    """What it leaves are whole snapshots, and the next one makes what is missing."""
    cache, whole = tmp_path / "cache", tmp_path / "whole"
    with History(written.path, cache=whole, every=30) as history:
        history.fill()

    def stop(*_):
        if len(snapshots.stored(cache)) > 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), History(written.path, cache=cache, every=30, watch=stop) as history:
        history.fill()
    assert len(list(cache.iterdir())) == 3
    with History(written.path, cache=cache, every=30) as history:
        assert 0 < history.fill() < history.last
        assert history.fill() == 0
    made = {path.name: path.read_bytes() for path in cache.iterdir()}
    assert len(made) > 3
    assert made == {name: (whole / name).read_bytes() for name in made}


def test_snapshots_of_another_journal_are_passed_over(written, tmp_path):
    other = Written(tmp_path / "other", seeds(1)[0] + 500, steps=300, noted=5, rolls=0)
    cache = tmp_path / "cache"
    with History(other.path, cache=cache, every=20) as history:
        history.fill()
    with History(written.path, cache=cache, every=10**6) as history:
        for truth in list(written.truths.values())[:8]:
            check_moment(history.at(truth.sequence), truth, [])


@pytest.mark.parametrize("place", ["snapshots", "segments/x", "."])
def test_a_cache_within_the_journal_is_refused(venue, place):
    before = files(venue)
    with pytest.raises(Misuse, match="stands in the journal"):
        History(venue, cache=venue / place)
    assert files(venue) == before
    with History(venue) as history:
        assert history.last == ROWS


def test_a_cache_that_is_a_file_is_refused(venue, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(Misuse, match="not a directory"):
        History(venue, cache=tmp_path / "file")


# ---- segments, semantics, damage


def upgraded(path):
    """A journal whose second segment is written under the next semantics, with a row in it; the row of the upgrade."""
    directory, sequencer = create(path)
    sequencer.submit(b"".join(to_row(m.DefineCurrency(currency=n, symbol=f"C{n}")) for n in (1, 2)), 1_000)
    sequencer.submit(to_row(m.Upgrade(version=SEMANTICS + 1)), 2_000)
    sequencer.events.close()
    head, state = directory.head(), sequencer.machine
    fields = {"epoch": head.epoch, "first": head.sequence + 1, "base_time": 3_000, "applied": head.sequence}
    row = to_row(m.DefineCurrency(sequence=head.sequence + 1, time=3_000, currency=3, symbol="C3"))
    digest = state.digest.value()
    directory.append(seal(row, semantics=SEMANTICS + 1, digest=digest, previous=head.hash, **fields))
    directory.close()
    return head.sequence


def test_segments_of_other_semantics_answer_where_they_begin(tmp_path):
    last = upgraded(tmp_path / "venue")
    with History(tmp_path / "venue") as history:
        for row, count in ((last, 2), (last - 1, 2), (1, 1), (last, 2)):
            assert len(history.at(row).currencies()) == count
        with pytest.raises(WrongSemantics) as error:
            history.at(last + 1).currencies()
        assert str(error.value) == (
            f"segment {last + 1}: semantics {SEMANTICS + 1}; this release applies {SEMANTICS}, "
            "and answers at its snapshots alone"
        )
        assert len(history.at(last).currencies()) == 2


def test_a_journal_of_older_semantics_answers_at_its_snapshots(venue, monkeypatch):
    monkeypatch.setattr("tools.past.places.SEMANTICS", SEMANTICS + 1)
    with History(venue) as history:
        moment = history.at(FIRST + 3)
        assert [level.price for level in moment.book("AAA/USD").asks] == [10_050]
        assert moment.order(2).place.orders_ahead == 0
        told = moment.instrument("AAA/USD")
        assert (told.last, told.searched_from) == (None, FIRST + 3)
        for ask in (lambda: moment.order(1), lambda: history.at(FIRST + 2).venue(), lambda: history.at(ROWS).order(2)):
            with pytest.raises(WrongSemantics, match=f"semantics {SEMANTICS}; this release applies {SEMANTICS + 1}"):
                ask()
        assert history.at(0).currencies() == ()


def test_a_journal_whose_beginning_is_gone(written, tmp_path):
    """What its first state does not tell is refused, or said to be unknown; all else is answered."""
    shutil.copytree(written.path, tmp_path / "venue")
    with History(written.path) as history:
        second = JournalDirectory.segments(history._journal)[1]
    shutil.rmtree(tmp_path / "venue" / "segments" / segment_name(1))
    with History(tmp_path / "venue") as history:
        assert history.first == second - 1
        with pytest.raises(Misuse, match=f"holds the rows {second - 1} to"):
            history.at(second - 2)
        for sequence, truth in written.truths.items():
            if sequence < second:
                continue
            moment = history.at(sequence)
            for number, life in [*truth.lives.items()][::7]:
                if life.fate != "live" and life.ended[0] < second:
                    with pytest.raises(Failure, match=f"order {number} ended by row {second - 1}"):
                        moment.order(number)
                else:
                    assert moment.order(number).fate.value == life.fate
            for number, terms in truth.model["instruments"].items():
                told, last = moment.instrument(terms.symbol), truth.last.get(number)
                known = last is not None and last[2] >= second
                assert (told.last and told.last.sequence) == (last[2] if known else None)
                assert told.searched_from == (0 if known or truth.model["match_numbers"] == 0 else second - 1)


def test_damage_on_the_way_is_found_and_elsewhere_is_none_of_ours(venue):
    flip(
        venue / "segments" / segment_name(1) / "data.mdb",
        to_row(m.CancelOrder(session=1, inbound=6, instrument=1, account=1, client_order_id=99))[24:],
    )
    with History(venue) as history:
        assert history.at(FIRST + 4).order(2).fate.value == "live"
        # The batch behind the moment is looked at too: it says what the events were.
        for row in (FIRST + 5, FIRST + 6, ROWS):
            with pytest.raises(CorruptBatch, match=f"batch ending at {FIRST + 6}|batch {FIRST + 6}"):
                history.at(row).venue()
        assert history.at(FIRST + 4).order(2).fate.value == "live"


def test_no_journal(tmp_path):
    with pytest.raises(NotAJournal):
        History(tmp_path / "nowhere")
    assert not (tmp_path / "nowhere").exists()


def test_a_row_that_makes_the_engine_raise(venue, monkeypatch):
    """As a reader meets it between a batch and the quarantine that a writer seals next."""

    def poisoned(*_):
        raise ZeroDivisionError

    with History(venue) as history:
        monkeypatch.setattr("replicas.replay.apply", poisoned)
        with pytest.raises(Failure, match=r"row \d+ makes the engine raise ZeroDivisionError\(\), and no quarantine"):
            history.at(1).venue()
        monkeypatch.undo()
        assert history.at(1).venue().accounts == 0


APPEND = """
import sys
from pathlib import Path
from journal.directory import JournalDirectory
journal = JournalDirectory(Path(sys.argv[1]), write=True)
journal.append(sys.stdin.buffer.read())
journal.close()
"""


def test_a_quarantine_that_comes_later_is_seen(tmp_path):
    """A row of the last batch may be replaced by its halt yet: it is applied again for every question."""
    directory, sequencer = create(tmp_path / "venue")
    sequencer.submit(to_row(m.DefineCurrency(currency=1, symbol="USD")), 1_000)
    digest = sequencer.machine.digest.value()
    sequencer.submit(
        to_row(m.OpenAccount(account=1, firm=1)) + to_row(m.Deposit(account=1, currency=1, amount=5)), 2_000
    )
    sequencer.events.close()
    head = directory.head()
    directory.close()
    row = to_row(m.Quarantine(sequence=4, time=3_000, named=3))
    fields = {"semantics": SEMANTICS, "epoch": head.epoch, "first": 4, "base_time": 3_000, "applied": 1}
    value = seal(row, digest=digest, previous=head.hash, **fields)
    with History(tmp_path / "venue", cache=tmp_path / "cache", every=1) as history:
        assert history.at(3).account(1).balances[0].total == 5
        command = [sys.executable, "-c", APPEND, str(tmp_path / "venue")]
        subprocess.run(command, input=value, check=True)
        later = history.at(3).account(1)
        assert (later.balances, later.state.name) == ((), "HALTED")
        assert history.at("head").sequence == 4


def test_settled_rows_are_those_before_the_batch_that_may_still_change(written):
    """The last batch, and with Quarantine batches behind it the batch that they name."""
    with History(written.path) as history:
        settled = history._seeker.places.settled()
    values = JournalDirectory(written.path)
    headers = [(read_header(value), value) for value in values.batches(max(1, settled - 200))]
    values.close()
    names = [header for header, _ in headers if header.kind == 1]
    assert settled in {header.first - 1 for header in names}
    assert settled < names[-1].first


def test_a_damaged_segment_elsewhere_is_none_of_ours(written, tmp_path):
    shutil.copytree(written.path, tmp_path / "venue")
    (tmp_path / "venue" / "segments" / segment_name(1) / "data.mdb").write_bytes(b"")
    with History(tmp_path / "venue") as history:
        truth = written.truths[max(written.truths)]
        assert truth.sequence == history.last
        assert history.at(truth.sequence).venue().event_digest == truth.digests[0]
        assert history.at(truth.sequence).book(truth.model["instruments"][1].symbol)


def test_the_bench_measures_what_it_made(tmp_path, capsys):
    size = Size(commands=3_000, resting=150, apart=1_000, every=400, questions=2)
    figures = measure(tmp_path, size=size)
    assert 50 < figures["resting"] <= 150
    for part in ("snapshots_ms", "cache_ms"):
        assert {*figures[part]} == {*QUESTIONS}
        assert all(0 < told["wall_p50"] <= told["wall_max"] for told in figures[part].values())
    assert figures["cache_bytes"] > 0
    with History(tmp_path / "journal") as history:
        assert history.last > 3_000
    show(figures)
    assert "3,000 commands" in capsys.readouterr().out


# ---- what is never shown


def test_no_answer_holds_a_credential(tmp_path):
    directory, sequencer = create(tmp_path / "venue")
    secret = {
        name: 7_000_000_000_000 + at
        for at, name in enumerate(("hash_0", "hash_1", "hash_2", "hash_3", "salt_0", "salt_1"))
    }
    rows = [m.GrantSession(grantee=4, role=2), m.SetCredential(grantee=4, cost=14, **secret)]
    sequencer.submit(b"".join(map(to_row, rows)), 1_000)
    sequencer.events.close()
    directory.close()
    with History(tmp_path / "venue") as history:
        session = history.at("head").session(4)
    assert session.has_credential
    assert "7000000000" not in repr(session)
    assert GENESIS.hex() not in repr(session)

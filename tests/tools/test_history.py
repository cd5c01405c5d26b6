"""`tools.history`: at any moment of any journal it says what the naive market said then."""

import itertools
import random
import shutil
from datetime import UTC, datetime

import pytest

from core import messages as m
from core.kinds import FEE_PERIOD, OrderType, Step, TimeInForce
from core.rows import pack_halves, to_row
from journal import snapshots
from journal.directory import JournalDirectory, segment_name
from journal.errors import CorruptBatch
from replicas.opening import create
from tests.pair import seeds
from tests.tools.conftest import FIRST, NINE, ROWS, flip
from tests.tools.told_moments import Steps, Written, check_moment
from tools.failures import Misuse
from tools.history import History
from tools.output import print_table
from tools.past import seek as history_seek
from tools.past.answers import StepAt, TierAt, VolumeAt
from tools.past.tables import instrument_table


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


def test_fee_tiers_volumes_and_steps_as_they_hold(tmp_path, capsys):
    """Volumes of the period that runs, tiers by the schedule of the instrument, steps by their parts."""
    sides = [
        {"flags": OrderType.LIMIT << 1 | TimeInForce.GTC << 5 | side, "client_order_id": 1 + side} for side in (0, 1)
    ]
    begins = placed(
        tmp_path,
        m.Deposit(account=2_500, currency=2, amount=100),
        m.SetFeeSchedule(schedule=7, fee_rates=pack_halves(-10, 30)),
        m.SetFeeSchedule(schedule=7, tier=1, volume=20, fee_rates=pack_halves(-20, 25)),
        m.SetRules(instrument=1, fee_schedule=7),
        m.SetAllocation(instrument=1, step_1=Step.LEAD | 400_000 << 8 | 2_500 << 28, step_2=Step.TOP | 9 << 48),
        *(m.EnterOrder(instrument=1, account=2_500, price=7, quantity=3, **side) for side in sides),
        m.EndOfDay(day=20260302, flags=FEE_PERIOD),
    )
    with History(tmp_path / "venue") as history:
        traded = history.at(begins + 6)
        assert traded.account(2_500).volumes == (VolumeAt(7, 2 * 3 * 7),)
        assert traded.instrument("B").rules.fee_schedule == 7
        assert traded.instrument("B").tiers == (TierAt(0, -10, 30), TierAt(20, -20, 25))
        assert traded.instrument("B").steps == (StepAt(Step.LEAD, 400_000, 2_500, 0), StepAt(Step.TOP, 0, 0, 9))
        assert history.at(begins + 7).account(2_500).volumes == ()
        before = history.at(begins + 2).instrument("B")
        assert (before.rules, before.tiers, before.steps) == (None, (), ())
        print_table(instrument_table(traded.instrument("B")))
        told = capsys.readouterr().out
        assert "from a volume of 20 units" in told
        assert "LEAD share 400000 account 2500, then TOP lots 9" in told

"""What holds for projections in every database; a class beside gives the fixture `target`, a database of each test's own."""

import random
import shutil
import unittest
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from eventsourcing.persistence import Tracking
from eventsourcing.projection import BaseProjectionRunner

from core.messages import DefineCurrency, Settled
from core.rows import to_row, unpack_halves
from journal.event_store import EventStore
from replicas.feed import MemoryFeed
from replicas.opening import resume
from replicas.standby import Standby
from tests.conftest import seed
from tests.determinism.stream import START
from tests.market_logs import Venue, ends, lived
from tests.nodes.standbys import LATER
from tests.pair import seeds, stream
from tests.tools.projected import NAMES, Told, differs, fold
from tools.failures import Failure
from tools.market_application import JOURNAL, Market
from tools.projections.projector import MarketProjection, Projector
from tools.projections.tables import Batch, Table, Type
from tools.projections.view import View


@contextmanager
def projecting(path, target, name="trades", **options):
    """A projector of a journal, and all that it holds open."""
    with closing(Market({JOURNAL: str(path)})) as market, closing(target.open()) as database:
        projector = Projector(market, Path(path), database, fold(name))
        if options:
            projector.projection = MarketProjection(
                projector.view, projector.projection._fold, projector.log, **options
            )
        yield projector


def project(path, target, name="trades", upto=None, **options):
    """Project up to a row, or to the end; the row that the view knows of."""
    with projecting(path, target, name, **options) as projector:
        projector.run(upto or projector.log.max_notification_id())
        return projector.reached


def wrong(path, target, name):
    """What the tables have otherwise than a replay of the journal says."""
    with closing(target.open()) as database:
        return differs(database, name, Told.of(path))


def shape(target, name):
    """The names of all tables there, and how many rows each of the projection has."""
    with closing(target.open()) as database:
        return {table.name: len(list(database.select(table, ""))) for table in fold(name).tables}


class Fed:
    """A view that is fed batches of a log of rows and their events, cut at random, and closed and opened in between."""

    def __init__(self, target, name, log, rng):
        self.target, self.name, self.log, self.rng = target, name, log, rng
        self.at = 0
        self.open()

    def open(self):
        self.database, self.fold = self.target.open(), fold(self.name)
        self.view = View(self.database, self.fold, "market")

    def feed(self):
        while self.at < len(self.log):
            part = self.log[self.at : self.at + self.rng.choice((1, 3, 10, 60))]
            rows, events = (b"".join(column) for column in zip(*part, strict=True))
            self.fold.take(Batch(self.at + 1, self.at + len(part), events, lambda rows=rows: rows))
            self.at += len(part)
            if self.rng.random() < 0.5 or self.at == len(self.log):
                self.view.write(self.fold.changes(), Tracking("market", self.at), "hash")
                if self.rng.random() < 0.5:
                    self.database.close()
                    self.open()
        return self


class Restless:
    """Chooses the longest batches, and to close and open the view after each."""

    choice = staticmethod(max)

    def random(self):
        return 0.0


class Projections:
    """The suite."""

    def test_the_library_says_that_it_keeps_positions(self, target):
        """The library's own tests of a tracking recorder."""
        cases = pytest.importorskip("eventsourcing.tests.persistence", exc_type=ImportError)

        class Case(cases.TrackingRecorderTestCase):
            def create_recorder(self):
                return View(database, fold("trades"), "market")

        for test in unittest.defaultTestLoader.getTestCaseNames(Case):
            with closing(target.open()) as database:
                result = unittest.TestResult()
                Case(test).run(result)
                assert result.testsRun == 1
                assert result.errors + result.failures == []
                database.execute("DELETE FROM lockstep_tracking")

    @pytest.mark.parametrize("name", NAMES)
    def test_the_tables_are_what_the_model_says(self, target, name):
        """However the rows come in batches and writes, and however often the view is closed and opened between two."""
        # An odd stream: there are many matches in it.
        number = seeds(2)[1]
        pair = stream(number, 700)
        log = [(row, events) for row, _, events in pair.log]
        fed = Fed(target, name, log, random.Random(number)).feed()
        with closing(fed.database):
            assert differs(fed.database, name, Told(log)) is None, f"stream {number}"
            if name == "orders":
                live = {row[0]: row for row in fed.database.select(fold(name).tables[0], "state = 'live'")}
                want = {o.number: (o.client_order_id, o.price, o.executed, o.leaves) for o in pair.model.orders}
                assert {n: (row[5], row[11], row[13], row[14]) for n, row in live.items()} == want, f"stream {number}"

    def test_a_candle_goes_on_over_a_restart(self, target):
        """The view is closed between two matches of one candle."""
        number = seeds(2)[1]
        log = [(row, events) for row, _, events in stream(number, 700).log]
        settled = [[event for event in Told([entry]).events if isinstance(event, Settled)] for entry in log]
        found = {}
        for at, events in enumerate(settled):
            for event in events:
                found.setdefault((event.instrument, event.time // 1_000), []).append(at)
        cut = next(rows[0] for rows in found.values() if rows[0] != rows[-1]) + 1
        fed = Fed(target, "candles", log[:cut], Restless())
        fed.feed().log = log
        with closing(fed.feed().database):
            assert differs(fed.database, "candles", Told(log)) is None, f"stream {number}"

    def test_positions_reconcile_with_the_ledger(self, target):
        """What an account holds is what it deposited and what its positions, their cost and its fees came to."""
        number = seeds(1)[0] + 1
        pair = stream(number, 700)
        log = [(row, events) for row, _, events in pair.log]
        fed = Fed(target, "positions", log, random.Random(number)).feed()
        held = {}
        for event in Told(log).events:
            if type(event).__name__ == "BalanceChanged":
                key = event.account, event.currency
                held[key] = held.get(key, 0) + event.amount
        with closing(fed.database):
            for account, instrument, lots, cost, realised, fees, *_ in fed.database.select(fed.fold.tables[0], ""):
                terms = pair.model.instruments[instrument]
                base, quote = unpack_halves(terms.currencies)
                held[account, base] = held.get((account, base), 0) + lots * terms.lot_units
                held[account, quote] = held.get((account, quote), 0) + realised - cost - fees
        want = {key: amount for key, amount in pair.model.balances.items() if amount}
        assert {key: amount for key, amount in held.items() if amount} == want, f"stream {number}"

    @pytest.mark.parametrize("name", NAMES)
    def test_a_journal_that_grows_is_followed(self, target, name, tmp_path):
        """Through segments, snapshots, quarantines and renewed events, by many runs that end anywhere."""
        number = seed()
        rng, venue = random.Random(number), Venue(tmp_path / "venue", number)
        for _ in range(4):
            for _ in range(12):
                venue.act()
            venue.quarantine(5, 2)
            venue.renew_events()
            venue.close()
            last = ends(venue.path)
            upto = rng.choice(last)
            reached = project(venue.path, target, name, upto=upto, gathered_rows=rng.choice((1, 20, 10_000)))
            assert reached >= upto
            assert reached in last
            venue.reopen()
        venue.close()
        assert project(venue.path, target, name) == ends(venue.path)[-1]
        assert wrong(venue.path, target, name) is None, f"LOCKSTEP_SEED={number}"

    def test_it_goes_on_at_the_standby_after_a_failover(self, target, tmp_path):
        """What was begun on the primary's journal ends on the standby's, which has gone on since: each event once."""
        number = seed()
        primary = Venue(tmp_path / "primary", number)
        standby = Standby(tmp_path / "standby", MemoryFeed(primary.directory))
        for _ in range(30):
            primary.act()
            standby.step()
        primary.trade(3)
        directory, sequencer = standby.promote(2, LATER)
        for _ in range(5):
            sequencer.submit(primary.rows(4), LATER)
        sequencer.events.close()
        directory.close()
        primary.close()
        between = random.Random(number).choice(ends(primary.path)[5:])
        for name in NAMES:
            assert project(primary.path, target, name, upto=between) == between
            assert project(directory.path, target, name) > ends(primary.path)[-1]
            assert wrong(directory.path, target, name) is None, f"LOCKSTEP_SEED={number}"

    def test_another_journal_is_refused(self, target, tmp_path):
        """Also one with the same beginning, and one that ends earlier."""
        venue = Venue(tmp_path / "venue", seed())
        venue.trade(5)
        venue.close()
        for name in ("earlier", "other"):
            shutil.copytree(venue.path, tmp_path / name)
        for path in (venue.path, tmp_path / "other"):
            directory, sequencer = resume(path)
            sequencer.submit(venue.rows(3), START)
            sequencer.events.close()
            directory.close()
        reached = project(venue.path, target)
        before = shape(target, "trades")
        with pytest.raises(Failure, match=r"other: not the journal that .* was made from"):
            project(tmp_path / "other", target)
        with pytest.raises(Failure, match=rf"earlier: ends at row {reached - 3}; .* knows of row {reached} already"):
            project(tmp_path / "earlier", target)
        assert shape(target, "trades") == before
        assert project(venue.path, target) == reached

    def test_an_unknown_layout_is_refused(self, target, tmp_path):
        path = lived(tmp_path / "venue", seed(), acts=5)
        project(path, target)
        with closing(target.open()) as database:
            database.execute("UPDATE lockstep_views SET layout = 9")
        with pytest.raises(Failure, match="trades has layout 9, this release writes layout 1"):
            project(path, target)

    def test_a_table_of_somebody_else_is_left_alone(self, target, tmp_path):
        path = lived(tmp_path / "venue", seed(), acts=5)
        with closing(target.open()) as database:
            database.execute("CREATE TABLE trades (mine INTEGER)")
        with pytest.raises(Failure, match=r"trades.* already exists"):
            project(path, target)
        with closing(target.open()) as database:
            assert database.query("SELECT * FROM trades") == []
            assert not database.has("lockstep_views")

    @pytest.mark.parametrize("name", NAMES)
    def test_rows_and_position_are_written_together(self, target, name, tmp_path, monkeypatch):
        """A write that fails at its very end leaves nothing, and the next run takes everything once."""
        path = lived(tmp_path / "venue", seed(), acts=20)
        project(path, target, name, upto=ends(path)[3])
        before = shape(target, name)
        with monkeypatch.context() as patch:
            patch.setattr(View, "_track", lambda *_: 1 / 0)
            with pytest.raises(ZeroDivisionError):
                project(path, target, name)
        assert shape(target, name) == before
        project(path, target, name, gathered_rows=50)
        assert wrong(path, target, name) is None, f"LOCKSTEP_SEED={seed()}"

    def test_a_second_writer_is_found_out(self, target, tmp_path):
        """Two that began at one position: the second one to write says so, and writes nothing."""
        path = lived(tmp_path / "venue", seed(), acts=20)
        shutil.copytree(path, tmp_path / "copy")
        between = ends(path)[4]
        with projecting(path, target) as one, projecting(tmp_path / "copy", target) as other:
            one.run(between)
            with pytest.raises(Failure, match="another process writes trades"):
                other.run(other.log.max_notification_id())
            one.run(one.log.max_notification_id())
        assert wrong(path, target, "trades") is None

    def test_batches_without_events_move_the_position(self, target, tmp_path):
        venue = Venue(tmp_path / "venue", seed())
        for number in range(10):
            venue.sequencer.submit(to_row(DefineCurrency(currency=number + 10, symbol=f"C{number}")), START)
        venue.close()
        assert project(venue.path, target) == ends(venue.path)[-1]

    def test_older_events_that_are_gone_are_named(self, target, tmp_path):
        """A store that begins later than the view ends cannot be followed, and nothing is written."""
        venue = Venue(tmp_path / "venue", seed())
        for _ in range(5):
            venue.trade(4)
        kept = list(venue.sequencer.events.read())[3:]
        venue.close()
        EventStore.remove(venue.directory.events)
        store = EventStore(venue.directory.events, write=True)
        for events in kept:
            store.append(*events)
        store.close()
        with pytest.raises(Exception, match="those of command 1 are missing"):
            project(venue.path, target)
        assert shape(target, "trades") == {"trades": 0}

    def test_sums_beyond_64_bits(self, target):
        """They come back as they were written, of either sign, and can be written again."""
        table = Table("sums", (("key", Type.INTEGER), ("total", Type.SUM)), 1)
        with closing(target.open()) as database:
            database.create(table)
            for row in ((1, 2**63 - 1), (2, 2**63), (3, -(2**63) - 1), (1, 10**30), (4, -(2**63))):
                database.write(table, [row])
            assert sorted(database.select(table, "")) == [(1, 10**30), (2, 2**63), (3, -(2**63) - 1), (4, -(2**63))]

    def test_the_library_drives_it(self, target, tmp_path):
        """By its own runner, in its own threads, with its own wait for a position."""
        path = lived(tmp_path / "venue", seed(), acts=20)
        with closing(target.open()) as database:
            made = fold("orders")
            view = View(database, made, Market.name)
            projection, last = MarketProjection(view, made, LogOfTheRunner()), ends(path)[-1]
            with BaseProjectionRunner(
                projection=projection,
                application_class=RunnersMarket,
                tracking_recorder=view,
                topics=projection.topics,
                env={JOURNAL: str(path)},
            ) as runner:
                runner.wait(last, timeout=20)
        assert wrong(path, target, "orders") is None


class RunnersMarket(Market):
    """The application that a runner made last."""

    name = Market.name
    made = None

    def __init__(self, env):
        super().__init__(env)
        RunnersMarket.made = self


class LogOfTheRunner:
    """Its log, which is not there before the runner is."""

    def __getattr__(self, name):
        return getattr(RunnersMarket.made.recorder, name)

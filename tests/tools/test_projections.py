"""Projections into SQLite, and the command that makes them."""

import shutil
import signal
import subprocess
import sys
import time
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from core.messages import Upgrade
from core.rows import to_row
from core.state import SEMANTICS
from journal.errors import Diverged, Gap
from journal.event_store import EventStore
from journal.log_source import EventsAbsent
from replicas.opening import resume
from tests.conftest import seed
from tests.determinism.stream import START
from tests.market_logs import Venue, ends, lived, writing
from tests.paths import HERE
from tests.tools.conftest import ROWS, ask, ask_json, flip
from tests.tools.projected import NAMES
from tests.tools.projection_suite import Projections, project, wrong
from tests.tools.test_errors import refused
from tools.failures import Misuse
from tools.fills import all_fills
from tools.life import life
from tools.market_application import JOURNAL, Market
from tools.projections.database import Target
from tools.projections.measure import measure
from tools.projections.projector import Projector
from tools.projections.registry import fold_named
from tools.reading import opened


@pytest.fixture
def target(tmp_path):
    return Target(f"sqlite:///{tmp_path}/view.sqlite")


class TestSqlite(Projections):
    """The suite in a SQLite file."""


def query(target, sql):
    with closing(target.open()) as database:
        return database.query(sql)


def into(target):
    return "--into", f"sqlite:///{target.title}"


# ---- against the other tools


def test_the_tape_is_what_fills_tells(target, tmp_path):
    path = lived(tmp_path / "venue", seed())
    project(path, target)
    with opened(path) as journal:
        fills = [(f["match"], f["sequence"], f["instrument"], f["p"], f["q"]) for f in all_fills(journal)]
    columns = "match_number, sequence, instrument, price, quantity"
    assert query(target, f"SELECT {columns} FROM trades ORDER BY match_number") == fills


def test_order_lives_are_what_order_tells(target, venue):
    """Every event of every order, with the order it traded with."""
    project(venue, target, "orders")
    with opened(venue) as journal:
        for number in range(1, 6):
            events = [event for step in life(journal, number) for event in step["events"]]
            want = [
                (e["event"]["kind"], e["event"]["sequence"], e["event"]["leaves"], e.get("against")) for e in events
            ]
            sql = (
                f"SELECT event, sequence, leaves, against FROM order_events WHERE order_number = {number} ORDER BY nth"
            )
            assert query(target, sql) == want


def test_order_to_trade(target, venue):
    """Orders for each execution in thousandths, rounded down; nothing without executions."""
    project(venue, target, "usage")
    assert query(target, "SELECT * FROM order_to_trade ORDER BY session, instrument") == [
        (0, 0, 0, 0, None), (1, 1, 7, 2, 3_500), (2, 1, 2, 2, 1_000),
    ]  # fmt: skip


# ---- the command


@pytest.mark.both
def test_project(target, venue):
    """All projections into one file, each once: what is there already is not taken again."""
    for name in NAMES:
        told = ask_json("project", name, venue, *into(target))
        assert told == {
            "projection": "candles_1m" if name == "candles" else name, "into": target.title, "sequence": ROWS,
            "rows": ROWS, "events": told["events"], "journal_end": ROWS,
        }  # fmt: skip
        assert ask_json("project", name, venue, *into(target))["rows"] == 0
    assert f"trades: everything up to row {ROWS} is in " in ask("project", "trades", venue, *into(target))
    assert query(target, "SELECT instrument, open, close, volume, trades FROM candles_1m") == [
        (1, 10_050, 10_050, 35, 2)
    ]


def test_candles_of_several_intervals_stand_side_by_side(target, venue):
    for given, name in (
        ("60s", "candles_1m"),
        ("1m", "candles_1m"),
        ("90s", "candles_90s"),
        ("250ms", "candles_250ms"),
    ):
        assert ask_json("project", "candles", venue, *into(target), "--interval", given)["projection"] == name
    assert query(target, "SELECT trades FROM candles_90s") == query(target, "SELECT trades FROM candles_1m") == [(2,)]


def test_a_journal_without_events_is_replayed(target, venue):
    """A backup has none."""
    shutil.rmtree(venue / "events")
    assert ask_json("project", "trades", venue, *into(target))["rows"] == ROWS
    assert wrong(venue, target, "trades") is None
    assert not (venue / "events").exists()


def test_events_that_are_not_stored_yet(target, venue):
    """As after a crash: what is there is taken, and the line says what is missing; with the events comes the rest."""
    store = EventStore(venue / "events", write=True)
    reached = store.cut_back(ROWS - 2)
    store.close()
    assert ask("project", "orders", venue, *into(target)) == (
        f"orders: everything up to row {reached} is in {target.title}\n"
        f"the journal ends at row {ROWS}: the events behind are not stored yet\n"
    )
    directory, sequencer = resume(venue)
    sequencer.events.close()
    directory.close()
    assert ask_json("project", "orders", venue, *into(target))["rows"] == ROWS - reached
    assert wrong(venue, target, "orders") is None


def test_up_to_an_upgrade(target, tmp_path):
    """What this release has written is projected; the next segment is another release's."""
    venue = Venue(tmp_path / "venue", seed())
    venue.trade(40)
    venue.sequencer.submit(to_row(Upgrade(version=SEMANTICS + 1)), START)
    last = venue.directory.head().sequence
    venue.close()
    for name in NAMES:
        assert ask_json("project", name, venue.path, *into(target))["sequence"] == last


MISUSES = [
    (["prices", "DIR", "--into", "FILE"], "no projection prices; known: trades, positions, candles, orders, usage"),
    (["trades", "DIR"], "--into"),
    (["trades", "DIR", "--into", "view.sqlite"], "--into: neither sqlite:///FILE nor postgresql://"),
    (["trades", "DIR", "--into", "sqlite://view.sqlite"], "--into: neither sqlite:///FILE nor postgresql://"),
    (["trades", "DIR", "--into", "sqlite:///no/where/file"], "--into no/where/file: there is no directory no/where"),
    (["trades", "DIR", "--into", "mysql://root@host/db"], "--into: neither sqlite:///FILE nor postgresql://"),
    (["trades", "DIR", "--into", "FILE", "--interval", "1m"], "--interval belongs to candles"),
    (["candles", "DIR", "--into", "FILE", "--interval", "1 m"], "--interval 1 m: not a number and a unit"),
    (["candles", "DIR", "--into", "FILE", "--interval", "0s"], "--interval 0s: not a number and a unit"),
    (["candles", "DIR", "--into", "FILE", "--interval", "900d"], "--interval 900d: longer than 366 days"),
    (["trades", "DIR", "--into", "FILE", "--follow", "--json"], "--follow and --json exclude each other"),
]


@pytest.mark.parametrize(("arguments", "said"), MISUSES, ids=lambda value: " ".join(map(str, value))[:50])
def test_misuse(arguments, said, venue, target):
    named = {"DIR": venue, "FILE": f"sqlite:///{target.title}"}
    assert said in refused(64, "project", *(named.get(argument, argument) for argument in arguments))
    assert not Path(target.title).exists()


@pytest.mark.parametrize("what", ["missing", "empty", "foreign", "file"])
def test_not_a_journal(what, tmp_path, target):
    path = tmp_path / "there"
    if what == "file":
        path.write_text("x")
    elif what != "missing":
        path.mkdir()
    if what == "foreign":
        (path / "notes.txt").write_text("x")
    before = sorted(tmp_path.rglob("*"))
    assert "no journal here" in refused(2, "project", "trades", path, *into(target))
    assert sorted(tmp_path.rglob("*")) == before


def test_damaged_events_are_one_line(venue, target):
    """What stands before the damage may be written; nothing of it or behind it is."""
    flip(venue / "events" / "data.mdb", (10_050).to_bytes(8, "little"))
    assert "their hash is not that of their bytes" in refused(1, "project", "trades", venue, *into(target))
    assert query(target, "SELECT count(*) FROM trades") == [(0,)]


def test_damaged_commands_are_one_line(venue, target):
    """Where commands are read as well, and for the hash that names the journal."""
    flip(venue / "segments" / f"{1:020}" / "data.mdb", (9_990).to_bytes(8, "little"))
    assert "its hash is not that of its bytes" in refused(1, "project", "usage", venue, *into(target))


def test_a_file_that_is_no_database(venue, tmp_path):
    (tmp_path / "notes.txt").write_text("to whom it may concern " * 100)
    path = tmp_path / "notes.txt"
    assert "notes.txt: file is not a database" in refused(1, "project", "trades", venue, "--into", f"sqlite:///{path}")
    assert path.read_text().startswith("to whom")


def test_a_name_that_means_something_to_sqlite_is_a_file(venue, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert ask_json("project", "trades", venue, "--into", "sqlite:///:memory:")["rows"] == ROWS
    assert ask_json("project", "trades", venue, "--into", "sqlite:///:memory:")["rows"] == 0


def test_a_server_that_is_not_there(venue, tmp_path):
    """The line names the database without the password."""
    url = f"postgresql://trader:secret@/market?host={tmp_path}"
    line = refused(1, "project", "trades", venue, "--into", url)
    assert line.startswith("lockstep: postgresql://trader@/market: ")
    assert "secret" not in line


def test_without_psycopg(venue):
    """One line says what to install."""
    code = "import sys; sys.modules['psycopg'] = None; from tools.main import main; main()"
    command = [sys.executable, "-c", code, "project", "trades", str(venue), "--into", "postgresql:///market"]
    done = subprocess.run(command, cwd=HERE, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (
        1, "lockstep: a PostgreSQL database needs psycopg: pip install 'lockstep[export]'\n",
    )  # fmt: skip


# ---- following a writer


def test_following_a_writer(target, tmp_path):
    """It takes what comes while it comes, through quarantines and segments, until it is interrupted; then another goes on."""
    path = tmp_path / "venue"
    with writing(path, seed()) as writer:
        command = [sys.executable, "-m", "tools.main", "project", "orders", path, *into(target), "--follow"]
        # Where this run was started in the background, interrupts are ignored, and children inherit that.
        before = signal.signal(signal.SIGINT, signal.default_int_handler)
        started = subprocess.Popen(command, cwd=HERE, stderr=subprocess.PIPE, text=True)
        signal.signal(signal.SIGINT, before)
        with started as follower:
            try:
                for _ in range(6):
                    writer.do("trade", "quarantine", "trade", "roll")
                    await_row(target, last(path))
                follower.send_signal(signal.SIGINT)
                assert follower.wait(60) == 130
                assert follower.stderr.read() == ""
            finally:
                follower.kill()
        writer.do("trade", "trade")
    assert project(path, target, "orders") == ends(path)[-1]
    assert wrong(path, target, "orders") is None, f"LOCKSTEP_SEED={seed()}"


def last(path):
    """The last row of a journal that another process writes."""
    return ends(path)[-1]


def await_row(target, sequence, seconds=60):
    """Until the view knows of a row."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        with closing(target.open()) as database:
            found = database.has("lockstep_tracking") and database.query(
                "SELECT notification_id FROM lockstep_tracking"
            )
        if found and found[0][0] >= sequence:
            return
        time.sleep(0.01)
    raise AssertionError(f"row {sequence} has not come")


def test_a_measurement_takes_everything(tmp_path):
    path = lived(tmp_path / "venue", seed(), acts=5)
    found = measure(path, tmp_path)
    assert [measured.rows for measured in found] == [ends(path)[-1]] * 5
    assert all(measured.events_per_second > 0 for measured in found)
    assert [entry.name for entry in tmp_path.iterdir()] == ["venue"]


class Swapped:
    """A log whose directory holds another journal by the time that something is written."""

    def __init__(self, log):
        self._log = log

    def __getattr__(self, name):
        return getattr(self._log, name)

    def select_events(self, originator_id, *, gt, lte):
        (stored,) = self._log.select_events(originator_id, gt=gt, lte=lte)
        return [replace(stored, state=stored.state[:-1] + bytes([stored.state[-1] ^ 1]))]


def test_events_of_one_journal_never_stand_under_the_position_of_another(tmp_path):
    path = lived(tmp_path / "venue", seed(), acts=5)
    with (
        closing(Market({JOURNAL: str(path)})) as market,
        closing(Target(f"sqlite:///{tmp_path}/view").open()) as database,
    ):
        projector = Projector(market, path, database, fold_named("trades", None))
        projector.projection._log = Swapped(projector.log)
        with pytest.raises(Diverged, match="another journal"):
            projector.run(projector.log.max_notification_id())
        assert projector.reached == 0
        assert database.query("SELECT count(*) FROM trades")[0][0] == 0


class Renewed:
    """A log whose event store is gone, then empty, then made again piece by piece, whenever a view is about to be moved."""

    poll, patience = 0.001, 60.0

    def __init__(self, log):
        self._log = log
        self.steps = []

    def __getattr__(self, name):
        return getattr(self._log, name)

    def hash_at(self, sequence):
        if not self.steps:
            self.steps = ["gone", *range(3), "whole"]
        if self.steps[0] == "gone":
            self.steps.pop(0)
            raise EventsAbsent("events", "no event store here")
        return self._log.hash_at(sequence)

    def max_notification_id(self):
        whole = not self.steps or self.steps[0] == "whole"
        return self._log.max_notification_id() if whole else self.steps[0]

    def select_events(self, originator_id, *, gt, lte):
        made = self.steps.pop(0) == "whole"
        return self._log.select_events(originator_id, gt=gt, lte=lte) if made else []


def projected(path, tmp_path, log):
    """The trades in a view whose projection reads another log, and the row it has come to."""
    with (
        closing(Market({JOURNAL: str(path)})) as market,
        closing(Target(f"sqlite:///{tmp_path}/view").open()) as database,
    ):
        projector = Projector(market, path, database, fold_named("trades", None))
        projector.projection._log = log(projector.log)
        try:
            projector.run(projector.log.max_notification_id())
        finally:
            reached = projector.reached, database.query("SELECT count(*) FROM trades")[0][0]
        return reached


def test_a_store_that_is_made_anew_while_it_writes_is_waited_for(tmp_path):
    path = lived(tmp_path / "venue", seed(), acts=5)
    (tmp_path / "other").mkdir()
    reached, trades = projected(path, tmp_path, Renewed)
    assert (reached, trades) == projected(path, tmp_path / "other", lambda log: log)
    assert reached == ends(path)[-1]


def test_a_store_that_does_not_come_back_is_not_waited_for_for_ever(tmp_path):
    class Emptied(Renewed):
        patience = 0.01

        def hash_at(self, sequence):
            return self._log.hash_at(sequence)

        def max_notification_id(self):
            return 0

        def select_events(self, originator_id, *, gt, lte):
            return []

    path = lived(tmp_path / "venue", seed(), acts=5)
    with pytest.raises(Gap, match="does not hold it any more"):
        projected(path, tmp_path, Emptied)


@pytest.mark.parametrize(
    "into", ["sqlite:///a%00b", "sqlite:///a%0Ab", "postgresql://u:12#heim@host/x", "postgresql://u:ge/heim@host/x"]
)
def test_a_place_that_others_would_read_otherwise_is_refused(into):
    """A file name that is none, and a URL in which PostgreSQL's own library sees another password than we do."""
    with pytest.raises(Misuse) as refused:
        Target(into)
    assert "heim" not in str(refused.value)

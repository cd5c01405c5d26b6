"""What answers about the past rest on: caches, segments, other semantics, damage, rows that the engine does not take."""

import itertools
import random
import shutil
import subprocess
import sys
from bisect import bisect_left

import pytest

from core import messages as m
from core.rows import to_row
from core.state import SEMANTICS
from journal import snapshots
from journal.batch import GENESIS, read_header, seal
from journal.directory import JournalDirectory, segment_name
from journal.errors import CorruptBatch, NotAJournal, WrongSemantics
from replicas.opening import create
from tests.pair import seeds
from tests.tools.conftest import FIRST, ROWS, flip
from tests.tools.told_moments import Steps, Written, check_moment, check_order, files
from tools.benches.history import QUESTIONS, Size, measure, show
from tools.failures import Failure, Misuse
from tools.history import History
from tools.past.places import Places


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """One random journal, for tests that change nothing in it."""
    return Written(tmp_path_factory.mktemp("random") / "venue", seeds(1)[0])


# ---- caches


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


@pytest.mark.parametrize("hint", ["true", "none", "wrong"])
def test_where_an_order_ended_is_found_with_any_hint(hint, written, tmp_path, monkeypatch):
    """What a snapshot says before it is checked decides where is looked first, and nothing else."""
    if hint != "true":
        wrong = random.Random(written.path.name)
        monkeypatch.setattr(Places, "orders_by", lambda *_: 0 if hint == "none" else wrong.randrange(10**4))
    with History(written.path, cache=tmp_path / "cache", every=40) as history:
        history.fill()
        truth = written.truths[history.last]
        ended = {number: life for number, life in truth.lives.items() if life.fate != "live"}
        for number in sorted(ended)[:: max(1, len(ended) // 25)]:
            check_order(history.at(history.last), truth, number)


def test_where_a_short_life_ended_takes_a_few_states(written, tmp_path, monkeypatch):
    """Not as many as halving takes: each is read and checked whole."""
    read, rows = [], Places.rows
    with History(written.path, cache=tmp_path / "cache", every=20) as history:
        history.fill()
        places = history._seeker.places.between(0, history.last)
        monkeypatch.setattr(Places, "rows", lambda self, place: read.append(place) or rows(self, place))
        seen = []
        for number, life in written.truths[history.last].lives.items():
            begins = bisect_left(places, life.accepted)
            if life.ended and begins < len(places) and life.ended[0] <= places[begins]:
                read.clear()
                assert history._seeker.end_of(number, history.last).ended.sequence == life.ended[0]
                seen.append(len(read))
    # The state that a segment begins with gives no hint: next to it, one or two more are read.
    assert 2 in seen
    assert max(seen) <= 4


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

"""The log of events beside a writer, over damage, and where directories are replaced: nothing is told that is not final."""

import shutil
from itertools import pairwise

import pytest

from core.kinds import EventKind
from core.messages import Quarantine
from core.rows import to_row
from journal.batch import HEADER_SIZE, read_header
from journal.directory import EVENTS, SEGMENTS, SNAPSHOTS, JournalDirectory, segment_name
from journal.errors import Closed, CorruptBatch, CorruptEvents, Damaged, Diverged, Gap, JournalError, NotAJournal
from journal.event_batch import ORIGINATOR, EventBatch
from journal.event_store import EventStore
from journal.log_pages import Position
from journal.log_source import EventsAbsent
from journal.market_log import MarketLog
from tests.determinism.stream import START
from tests.journal.log_readers import cut, number, shown, stopped_after, taken
from tests.market_logs import Venue, lived, told, writing
from tests.pair import seeds


@pytest.fixture(scope="module", params=seeds(2), ids="stream {}".format)
def made(request, tmp_path_factory):
    """A venue's directory, and what its log has to tell; nothing writes there."""
    path = lived(tmp_path_factory.mktemp("lived") / "venue", request.param)
    return path, told(path)


@pytest.fixture
def venue(made, tmp_path):
    """A copy of it, to be changed."""
    shutil.copytree(made[0], tmp_path / "venue")
    return tmp_path / "venue"


@pytest.fixture
def truth(made):
    return made[1]


# ---- beside a writer


def test_it_follows_a_writer_through_everything(tmp_path):
    """Batches, quarantines, rolls, restarts and an event store made anew: each batch once, in order, with its own events."""
    path = tmp_path / "venue"
    words = [
        "trade",
        "quarantine",
        "roll",
        "trade",
        "renew",
        "trade",
        "quarantine",
        "close",
        "open",
        "trade",
        "renew",
        "roll",
    ]
    with writing(path, seeds(1)[0]) as writer, MarketLog(path, poll=0.002) as log, log.subscribe() as subscription:
        found = taken(subscription, 1)
        for word in [*words, "trade"]:
            writer.do(word)
            last = log.max_notification_id() or 0
            if last > found[-1][0]:
                found += taken(subscription, last)
    assert found == told(path)


def test_a_look_holds_no_transaction(made):
    """Between two batches nothing is held that would keep a writer from using its pages again."""
    with MarketLog(made[0]) as log:
        for _ in zip(log.read(), range(30), strict=False):
            pass
        with log._source.reading() as opened:
            held = [opened.store._environment, *(segment._environment for segment in opened.journal._segments.values())]
        for environment in held:
            readers = environment.check().readers()
            assert all(line.split()[-1] == "-" for line in readers.splitlines()[1:]), readers


def test_what_is_not_durable_is_not_told(venue, truth):
    """Events ahead of the journal, as a crash may leave them, wait for their command; or for the store to be mended."""
    store = EventStore(venue / EVENTS, write=True)
    last = store.head()
    store.append(last + 1, last + 3, b"")
    store.close()
    assert shown(venue) == truth
    with MarketLog(venue) as log:
        assert log.max_notification_id() == truth[-1][0]
        assert [found.originator_version for found in log.select_events(ORIGINATOR, desc=True, limit=1)] == [last]


def test_a_batch_that_may_still_be_quarantined_is_not_told(tmp_path):
    """Between the commit of a batch and that of the quarantine the log ends before both; then it has both, as they count."""
    venue = Venue(tmp_path / "venue", seeds(1)[0])
    venue.trade(20)
    before = venue.directory.head().sequence

    def as_it_stands(name):
        return shutil.copytree(venue.path, tmp_path / name)

    value = venue.sequencer._commit(venue.rows(6), START)
    copies = [as_it_stands("durable")]
    behind = venue.sequencer._commit(to_row(Quarantine(named=before + 3)), START)
    copies.append(as_it_stands("named"))
    events = venue.sequencer.finish([value, behind])
    copies.append(as_it_stands("applied"))
    venue.sequencer.events.append(before + 1, before + 7, events)
    venue.close()
    truth = told(venue.path)
    for copy in copies:
        assert shown(copy) == truth[:-2]
    assert shown(venue.path) == truth
    assert [last for last, _ in truth[-2:]] == [before + 6, before + 7]
    kinds = [row.KIND for row in EventBatch(ORIGINATOR, *truth[-2]).events() if row.sequence == before + 3]
    assert EventKind.QUARANTINED in kinds


@pytest.mark.parametrize("to", [0, 1, 2, 5, -1])
def test_a_store_behind_the_journal_tells_what_it_has(venue, truth, to):
    """Whole batches only: one whose events are there in part is not told."""
    last = truth[to][0] - 1
    store = EventStore(venue / EVENTS, write=True)
    everything = list(store.read())
    store.clear()
    joined = cut(b"".join(events.rows for events in everything))
    for n in range(1, last + 1):
        store.append(n, n, b"".join(row for row in joined if number(row) == n))
    store.close()
    expected = [batch for batch in truth if batch[0] <= last]
    assert shown(venue) == expected
    with MarketLog(venue) as log:
        assert log.max_notification_id() == (expected[-1][0] if expected else None)


# ---- what is refused


def test_events_that_are_missing_are_not_passed_over(venue, truth):
    """Where the store begins later, whoever asks from the beginning is told so; from there on it is read."""
    store = EventStore(venue / EVENTS, write=True)
    everything = list(store.read())
    kept = everything[len(everything) // 2 :]
    store.clear()
    for events in kept:
        store.append(*events)
    store.close()
    expected = [batch for batch in truth if batch[0] >= kept[0].first]
    before = kept[0].first - 1
    with MarketLog(venue) as log:
        assert log.first() == before + 1
        with pytest.raises(Gap, match="those of command 1 are missing"):
            list(log.read())
        with log.subscribe() as subscription, pytest.raises(Gap, match="command 1 "):
            next(subscription)
        assert [(batch.last, batch.sealed) for batch in log.read(before)] == expected
    assert shown(venue) == expected


def test_a_store_that_begins_within_a_batch(venue, truth):
    """Its first whole batch is the first that is told."""
    (before, _), (last, _), (after, _) = next(
        three for three in zip(truth, truth[1:], truth[2:], strict=False) if three[1][0] - three[0][0] > 1
    )
    store = EventStore(venue / EVENTS, write=True)
    joined = cut(b"".join(events.rows for events in store.read()))
    head = store.head()
    store.clear()
    store.append(before + 2, head, b"".join(row for row in joined if number(row) > before + 1))
    store.close()
    assert shown(venue) == [batch for batch in truth if batch[0] > last]
    with MarketLog(venue) as log:
        assert log.first() == last + 1
        assert log.select_events(ORIGINATOR, lte=after, desc=True)[-1].originator_version == after


def test_a_position_where_no_batch_ends(made):
    """It is that of another journal: going on would tell some commands twice or not at all."""
    path, truth = made
    inside = next(last for (before, _), (last, _) in pairwise(truth) if last - before > 1) - 1
    with MarketLog(path) as log:
        with pytest.raises(Diverged, match=f"no batch ends at command {inside}"):
            list(log.read(inside))
        with log.subscribe(gt=inside) as subscription, pytest.raises(Diverged):
            next(subscription)


def damage(path, part):
    """Flip one bit of these bytes wherever they stand."""
    data, middle = path.read_bytes(), len(part) // 2
    assert part in data
    path.write_bytes(data.replace(part, part[:middle] + bytes([part[middle] ^ 4]) + part[middle + 1 :]))


def test_damaged_events_are_not_told(venue, truth):
    """What stands before the damage is told, and then the damage; every other way to ask says the same."""
    position = next(n for n in range(len(truth) // 2, len(truth)) if len(truth[n][1]) > 1_000)
    store = EventStore(venue / EVENTS)
    found = next(store.read(truth[position][0]))
    store.close()
    damage(venue / EVENTS / "data.mdb", found.rows[:600])
    before = [batch for batch in truth if batch[0] < found.first]
    with MarketLog(venue) as log:
        batches = log.read()
        assert [(batch.last, batch.sealed) for _, batch in zip(before, batches, strict=False)] == before
        with pytest.raises(CorruptEvents, match="hash"):
            next(batches)
        with pytest.raises(CorruptEvents):
            log.select_notifications(1, 10**6)
        with pytest.raises(CorruptEvents):
            log.select_events(ORIGINATOR, desc=True)
        with log.subscribe() as subscription, pytest.raises(CorruptEvents):
            taken(subscription, truth[-1][0])
        assert [(n.id, n.state) for n in log.select_notifications(1, 10**6, before[-1][0])] == before


def test_a_damaged_journal_numbers_nothing(venue, truth):
    """A header that does not fit its place ends the log with an error."""
    journal = JournalDirectory(venue)
    firsts = journal.segments()
    # Not the last batch of a segment, which is checked when the segment is opened.
    at = next(n for n in range(3, len(truth)) if not any(truth[n][0] < first <= truth[n + 1][0] for first in firsts))
    value = next(journal.batches(truth[at][0]))
    journal.close()
    data = venue / SEGMENTS / segment_name(max(first for first in firsts if first <= truth[at][0])) / "data.mdb"
    first = read_header(value).first
    wrong = value[:24] + (first + 1).to_bytes(8, "little") + value[32:HEADER_SIZE]
    assert value[:HEADER_SIZE] in data.read_bytes()
    data.write_bytes(data.read_bytes().replace(value[:HEADER_SIZE], wrong))
    with MarketLog(venue) as log:
        batches = log.read()
        assert [batch.last for _, batch in zip(range(at), batches, strict=False)] == [last for last, _ in truth[:at]]
        with pytest.raises(Gap, match=f"it should hold command {first}"):
            next(batches)


def test_a_store_that_was_cut_off(venue):
    """A file shorter than its pages is refused before a page is missed."""
    data = venue / EVENTS / "data.mdb"
    data.write_bytes(data.read_bytes()[: 4096 * 5])
    with pytest.raises(CorruptEvents, match="cut off"):
        MarketLog(venue)


def test_what_is_not_there(venue, tmp_path):
    """A missing directory, a foreign one and a journal without events are told apart, and nothing is created."""
    foreign = tmp_path / "foreign"
    foreign.mkdir()
    (foreign / "notes.txt").write_text("mine")
    for path in (tmp_path / "missing", foreign):
        with pytest.raises(NotAJournal, match=f"{path.name}: no journal here"):
            MarketLog(path)
    assert [entry.name for entry in foreign.iterdir()] == ["notes.txt"]
    assert not (tmp_path / "missing").exists()
    EventStore.remove(venue / EVENTS)
    with pytest.raises(EventsAbsent, match="no event store here; a node that is started makes it from the journal"):
        MarketLog(venue)
    assert not (venue / EVENTS).exists()
    # Neither attempt holds anything: the journal can be opened for writing.
    JournalDirectory(venue, write=True).close()


def test_a_segment_that_was_lost(venue):
    """A directory of segments without their files is a damaged journal, not a missing one."""
    for data in (venue / SEGMENTS).glob("*/data.mdb"):
        data.unlink()
    with pytest.raises(CorruptBatch, match="no journal here"):
        MarketLog(venue)


def test_events_from_another_place(venue, truth, tmp_path):
    """A store that stands elsewhere serves as well."""
    (venue / EVENTS).rename(tmp_path / "elsewhere")
    assert shown(venue, events=tmp_path / "elsewhere") == truth


def test_a_closed_log_says_so(made):
    """Closing gives the directory back, also when done twice; what reads afterwards is refused."""
    log = MarketLog(made[0])
    log.close()
    log.close()
    for ask in (log.max_notification_id, log.first, lambda: log.select_notifications(1, 1), lambda: next(log.read())):
        with pytest.raises(Closed):
            ask()
    MarketLog(made[0]).close()


# ---- directories that are replaced while they are read


def test_a_store_that_is_away_for_a_while(venue, truth):
    """A subscription waits for it, and goes on where it was; away for too long, that is said."""
    with MarketLog(venue, poll=0.002, patience=10) as log, log.subscribe() as subscription:
        half = truth[len(truth) // 2][0]
        found = taken(subscription, half)
        (venue / EVENTS).rename(venue / "away")
        with pytest.raises(EventsAbsent):
            log.max_notification_id()
        (venue / "away").rename(venue / EVENTS)
        assert found + taken(subscription, truth[-1][0]) == truth
        log.patience = 0.05
        (venue / EVENTS).rename(venue / "away")
        with stopped_after(subscription), pytest.raises(EventsAbsent):
            next(subscription)


def moved_aside(path, to):
    """What a node does with a journal that the venue went on without."""
    to.mkdir()
    for name in (EVENTS, SNAPSHOTS, SEGMENTS):
        (path / name).rename(to / name)


def test_another_journal_in_the_same_place(venue, truth, tmp_path):
    """A follower does not go on in another history, however its numbers fit; with its own back again it does."""
    other = Venue(tmp_path / "other", 4711)
    while other.directory.head().sequence < truth[-1][0] + 5:
        other.trade(40)
    other.close()
    with MarketLog(venue) as log:
        position = Position(0)
        assert log.page(position)
        reached, known = position.sequence, position.hash
        moved_aside(venue, venue / "aside")
        with pytest.raises(NotAJournal):
            log.page(position)
        moved_aside(tmp_path / "other", tmp_path / "gone")
        for name in (EVENTS, SNAPSHOTS, SEGMENTS):
            (tmp_path / "gone" / name).rename(venue / name)
        with pytest.raises(Diverged, match="another journal stands here than before"):
            log.page(position)
        assert (position.sequence, position.hash) == (reached, known)
        assert issubclass(Diverged, Damaged)
        assert issubclass(Damaged, JournalError)


def test_the_same_journal_made_anew_goes_on(venue, truth, tmp_path):
    """A copy of it, with an event store of its own, has the same hash at the position."""
    with MarketLog(venue) as log:
        position = Position(0)
        half = log.page(position, truth[len(truth) // 2][0])
        shutil.copytree(venue, tmp_path / "copy")
        moved_aside(venue, venue / "aside")
        for name in (EVENTS, SNAPSHOTS, SEGMENTS):
            (tmp_path / "copy" / name).rename(venue / name)
        found = half
        while page := log.page(position):
            found += page
        assert [(piece.last, piece.sealed) for piece in found] == truth


def test_what_is_replaced_while_it_is_read_is_read_again(venue, truth, monkeypatch):
    """A page that may mix the old and the new is dropped, and the position stays."""
    import journal.log_pages

    reading = journal.log_pages._page

    def replaced(*arguments):
        found = reading(*arguments)
        shutil.copytree(venue / EVENTS, venue / "copy")
        (venue / EVENTS).rename(venue / "old")
        (venue / "copy").rename(venue / EVENTS)
        return found

    with MarketLog(venue) as log:
        position = Position(0)
        with monkeypatch.context() as patch:
            patch.setattr(journal.log_pages, "_page", replaced)
            assert log.page(position) == []
        assert position.sequence == 0
        assert [(batch.last, batch.sealed) for batch in log.read()] == truth

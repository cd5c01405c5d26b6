"""Whatever is inserted and asked, in whatever order: ours answers as the recorders in memory that the library ships."""

import shutil
import tempfile
from pathlib import Path
from uuid import UUID

import pytest
from eventsourcing.persistence import IntegrityError, StoredEvent, Tracking
from eventsourcing.popo import POPOProcessRecorder
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

import journal.recorder_events
from journal.recorder import LmdbProcessRecorder
from journal.recorder_store import Share

pytestmark = pytest.mark.both

NAMES = st.sampled_from([UUID(int=1), UUID(int=2**127), "", "a", "ab", "a\0", "ü"])
VERSIONS = st.one_of(st.integers(0, 6), st.sampled_from([255, 256, 2**40, 2**63 - 1]))
BOUNDS = st.one_of(st.none(), st.integers(-2, 8), st.sampled_from([255, 2**40, 2**63 - 1, 2**63, 2**70]))
TOPICS = st.sampled_from(["t", "u", "topic"])
LIMITS = st.integers(1, 12)
EVENTS = st.lists(st.builds(StoredEvent, NAMES, VERSIONS, TOPICS, st.binary(max_size=8)), max_size=6)
TRACKINGS = st.builds(Tracking, st.sampled_from(["up", "upper"]), st.integers(0, 9))


def outcome(insert, *arguments, **named):
    """What an insert gives, or that it was refused."""
    try:
        return insert(*arguments, **named)
    except IntegrityError:
        return IntegrityError


class Recorders(RuleBasedStateMachine):
    """Ours and the library's, given the same. Pages are small, so that every answer crosses several."""

    def __init__(self):
        super().__init__()
        self.folder = Path(tempfile.mkdtemp())
        self.model = POPOProcessRecorder()
        self.page, journal.recorder_events.PAGE = journal.recorder_events.PAGE, 3
        self.open()

    def open(self):
        self.share = Share(self.folder / "recorder")
        self.ours = LmdbProcessRecorder(self.share, "app")

    def teardown(self):
        journal.recorder_events.PAGE = self.page
        self.share.close()
        shutil.rmtree(self.folder)

    @initialize(count=st.integers(0, 12))
    def begin(self, count):
        first = [StoredEvent("a", version, "t", b"") for version in range(count)]
        assert self.ours.insert_events(first) == self.model.insert_events(first)

    @rule(events=EVENTS, tracking=st.one_of(st.none(), TRACKINGS))
    def insert(self, events, tracking):
        ours = outcome(self.ours.insert_events, events, tracking=tracking)
        assert ours == outcome(self.model.insert_events, events, tracking=tracking)

    @rule(tracking=TRACKINGS)
    def track(self, tracking):
        assert outcome(self.ours.insert_tracking, tracking) == outcome(self.model.insert_tracking, tracking)

    @rule(name=NAMES, gt=BOUNDS, lte=BOUNDS, desc=st.booleans(), limit=st.one_of(st.none(), LIMITS))
    def select_events(self, name, gt, lte, desc, limit):
        # The model gives them in the order of insertion; ours by version, as the library's databases do.
        found = self.model.select_events(name, gt=gt, lte=lte)
        expected = sorted(found, key=lambda event: event.originator_version, reverse=desc)[:limit]
        assert self.ours.select_events(name, gt=gt, lte=lte, desc=desc, limit=limit) == expected

    @rule(start=BOUNDS, limit=LIMITS, stop=BOUNDS, topics=st.lists(TOPICS, max_size=2), inclusive=st.booleans())
    def select_notifications(self, start, limit, stop, topics, inclusive):
        asked = {"start": start, "limit": limit, "stop": stop, "topics": topics, "inclusive_of_start": inclusive}
        assert self.ours.select_notifications(**asked) == self.model.select_notifications(**asked)

    @rule(gt=st.one_of(st.none(), st.integers(0, 8)), topics=st.lists(TOPICS, max_size=2))
    def subscribe(self, gt, topics):
        expected = self.model.select_notifications(gt, 100, topics=topics, inclusive_of_start=False)
        with self.ours.subscribe(gt, topics) as subscription:
            assert [next(subscription) for _ in expected] == expected

    @rule()
    def open_again(self):
        self.share.close()
        self.open()

    @invariant()
    def the_heads_are_equal(self):
        assert self.ours.max_notification_id() == self.model.max_notification_id()
        for name in ("up", "upper", "nobody"):
            assert self.ours.max_tracking_id(name) == self.model.max_tracking_id(name)


TestRecorders = Recorders.TestCase

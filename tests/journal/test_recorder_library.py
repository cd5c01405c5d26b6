"""The test cases that the `eventsourcing` library ships for recorders hold for ours, run from the installed package.

Its modules are imported whole: a test case whose name stands in this module would be collected as it is.
"""

from uuid import uuid4

import pytest
from eventsourcing.persistence import Tracking
from eventsourcing.tests import application, persistence, projection
from eventsourcing.utils import Environment

from journal.recorder import (
    LmdbAggregateRecorder,
    LmdbApplicationRecorder,
    LmdbFactory,
    LmdbProcessRecorder,
    LmdbTrackingRecorder,
)
from journal.recorder_store import Share

pytestmark = pytest.mark.both

MODULE = "journal.recorder"


class InDirectory:
    """A directory for each test, named by the environment variables that an application reads."""

    @pytest.fixture(autouse=True)
    def _directory(self, tmp_path, monkeypatch):
        self.path = tmp_path / "recorder"
        monkeypatch.setenv("PERSISTENCE_MODULE", MODULE)
        monkeypatch.setenv("LMDB_PATH", str(self.path))

    def made(self, recorder_class):
        return recorder_class(Share(self.path), "app")


class TestAggregateRecorder(InDirectory, persistence.AggregateRecorderTestCase):
    def create_recorder(self):
        return self.made(LmdbAggregateRecorder)


class TestApplicationRecorder(InDirectory, persistence.ApplicationRecorderTestCase):
    def create_recorder(self):
        return self.made(LmdbApplicationRecorder)

    def test_insert_subscribe(self):
        self.optional_test_insert_subscribe()


class TestApplicationRecorderWithTextIds(TestApplicationRecorder):
    def new_originator_id(self):
        return f"request-{uuid4()}"


class TestTrackingRecorder(InDirectory, persistence.TrackingRecorderTestCase):
    def create_recorder(self):
        return self.made(LmdbTrackingRecorder)


class TestProcessRecorder(InDirectory, persistence.ProcessRecorderTestCase):
    def create_recorder(self):
        return self.made(LmdbProcessRecorder)


class TestProcessRecorderAsApplicationRecorder(TestApplicationRecorder):
    def create_recorder(self):
        return self.made(LmdbProcessRecorder)


class TestProcessRecorderAsTrackingRecorder(TestTrackingRecorder):
    def create_recorder(self):
        return self.made(LmdbProcessRecorder)


class TestNonInterleaving(InDirectory, persistence.NonInterleavingNotificationIDsBaseCase):
    def create_recorder(self):
        return self.made(LmdbApplicationRecorder)


class Counters(LmdbTrackingRecorder, projection.EventCountersView):
    """A view: two numbers, each written with the position of the event that it counts."""

    def _open_databases(self):
        super()._open_databases()
        self._counters = self.database("counters")

    def _count(self, name):
        with self.reading() as txn:
            return int(txn.get(name, default=b"0", db=self._counters))

    def _raise(self, name, tracking):
        with self.writing() as txn:
            txn.put(name, b"%d" % (int(txn.get(name, default=b"0", db=self._counters)) + 1), db=self._counters)
            self.track(txn, tracking)

    def get_created_event_counter(self):
        return self._count(b"created")

    def get_subsequent_event_counter(self):
        return self._count(b"subsequent")

    def incr_created_event_counter(self, tracking: Tracking):
        self._raise(b"created", tracking)

    def incr_subsequent_event_counter(self, tracking: Tracking):
        self._raise(b"subsequent", tracking)


class TestFactory(InDirectory, persistence.InfrastructureFactoryTestCase):
    def setUp(self):
        self.env = Environment("App", {"PERSISTENCE_MODULE": MODULE, "LMDB_PATH": str(self.path)})
        super().setUp()

    def expected_factory_class(self):
        return LmdbFactory

    def expected_aggregate_recorder_class(self):
        return LmdbAggregateRecorder

    def expected_application_recorder_class(self):
        return LmdbApplicationRecorder

    def expected_tracking_recorder_class(self):
        return LmdbTrackingRecorder

    def tracking_recorder_subclass(self):
        return Counters

    def expected_process_recorder_class(self):
        return LmdbProcessRecorder


class TestExampleApplication(InDirectory, application.ExampleApplicationTestCase):
    expected_factory_topic = f"{MODULE}:LmdbFactory"


class TestApplication(InDirectory, application.ApplicationTestCase):
    pass


class TestCountersView(InDirectory, projection.EventCountersViewTestCase):
    def construct_event_counters_view(self):
        return self.made(Counters)


class TestCountersProjection(InDirectory, projection.AggregateEventCountersProjectionTestCase):
    view_class = Counters


class TestEventSourcedProjection(InDirectory, projection.EventSourcedProjectionTestCase):
    pass


def test_all_of_them_ran():
    """Each test case of the library has a class here, so that none is left out in silence."""
    shipped = {
        persistence.AggregateRecorderTestCase,
        persistence.ApplicationRecorderTestCase,
        persistence.TrackingRecorderTestCase,
        persistence.ProcessRecorderTestCase,
        persistence.NonInterleavingNotificationIDsBaseCase,
        persistence.InfrastructureFactoryTestCase,
        application.ExampleApplicationTestCase,
        application.ApplicationTestCase,
        projection.EventCountersViewTestCase,
        projection.AggregateEventCountersProjectionTestCase,
        projection.EventSourcedProjectionTestCase,
    }
    ours = [value for name, value in globals().items() if name.startswith("Test")]
    assert [case for case in shipped if not any(issubclass(test, case) for test in ours)] == []

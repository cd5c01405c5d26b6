"""Who shares a recorder's environment in one process: it is opened once, late, and closed behind the last."""

import gc
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import lmdb
import pytest
from eventsourcing.application import Application
from eventsourcing.persistence import InfrastructureFactoryError, Tracking

from journal.errors import Closed
from journal.recorder import LmdbApplicationRecorder, LmdbFactory
from journal.recorder_store import Share
from tests.journal.recorder_child import events

pytestmark = pytest.mark.both


@pytest.fixture
def path(tmp_path):
    return tmp_path / "recorder"


def env(path):
    return {"PERSISTENCE_MODULE": "journal.recorder", "LMDB_PATH": str(path)}


def is_closed(path):
    """Whether this process has let go of a path: LMDB opens nothing twice."""
    try:
        lmdb.open(str(path), lib_version=0).close()
    except lmdb.Error as error:
        assert "already open" in str(error)  # noqa: PT017
        return False
    return True


def test_an_application_and_a_view_share_a_path(path, tmp_path):
    """They use it together, under whatever name, and it is closed when the last of them has gone."""
    (tmp_path / "link").symlink_to(path)
    factories = [LmdbFactory(env(path)), LmdbFactory(env(tmp_path / "link")), LmdbFactory(env(path))]
    application, view, other = factories[0].application_recorder(), *(f.tracking_recorder() for f in factories[1:])
    application.insert_events(events("a", 0))
    view.insert_tracking(Tracking("up", 1))
    factories[0].close()
    with pytest.raises(Closed):
        application.max_notification_id()
    assert (view.max_tracking_id("up"), other.max_tracking_id("up")) == (1, 1)
    factories[1].close()
    factories[1].close()
    assert not is_closed(path)
    factories[2].close()
    assert is_closed(path)


def test_a_factory_opens_nothing(path):
    """It makes neither file nor directory before it has to, and may be closed all the same."""
    factory = LmdbFactory(env(path))
    factory.mapper()
    factory.close()
    assert not path.exists()


def test_a_factory_may_be_used_again(path):
    factory = LmdbFactory(env(path))
    factory.application_recorder().insert_events(events("a", 0))
    factory.close()
    recorder = factory.application_recorder()
    assert recorder.max_notification_id() == 1
    factory.close()


def test_what_nobody_keeps_is_closed(path):
    """A factory that was never closed does not keep the environment, but a recorder of it does."""
    recorder = LmdbFactory(env(path)).application_recorder()
    gc.collect()
    assert recorder.insert_events(events("a", 0)) == [1]
    del recorder
    gc.collect()
    assert is_closed(path)


def test_closing_waits_for_no_one(path):
    """A transaction under way keeps the environment until it ends; its path can be opened again meanwhile."""
    share = Share(path)
    recorder = LmdbApplicationRecorder(share, "app")
    recorder.insert_events(events("a", 0))
    with recorder.reading() as txn:
        share.close()
        assert txn.stat(recorder._log)["entries"] == 1
        again = Share(path)
        assert LmdbApplicationRecorder(again, "app").insert_events(events("a", 1)) == [2]
        again.close()
        assert not is_closed(path)
    assert is_closed(path)


def test_threads_that_come_and_go(path):
    """Whoever opens, closes and waits in whatever order: one environment, dense ids, and nothing is left open."""
    threads, written = 6, []

    def come_and_go(name):
        for version in range(15):
            share = Share(path)
            recorder = LmdbApplicationRecorder(share, "app")
            written.extend(recorder.insert_events(events(name, version)))
            subscription = recorder.subscribe()
            leaving = threading.Timer(0.001, share.close)
            leaving.start()
            with suppress(Closed):
                while True:
                    next(subscription)
            leaving.join()

    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(come_and_go, "abcdef"))
    assert sorted(written) == list(range(1, threads * 15 + 1))
    assert is_closed(path)


def test_a_factory_without_a_path():
    with pytest.raises(InfrastructureFactoryError, match="set APPLICATION_LMDB_PATH or LMDB_PATH"):
        Application(env={"PERSISTENCE_MODULE": "journal.recorder", "APPLICATION_LMDB_PATH": ""})

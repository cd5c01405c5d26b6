"""How the tests of the market log read it."""

import threading
from contextlib import contextmanager

from journal.market_log import MarketLog


def shown(path, **options):
    """What the log of a directory tells: id and state of every notification."""
    with MarketLog(path, **options) as log:
        return [(found.id, found.state) for found in log.select_notifications(None, 10**6)]


@contextmanager
def stopped_after(subscription, seconds=20):
    """A subscription that waits for ever is stopped, so that its test fails and does not hang."""
    timer = threading.Timer(seconds, subscription.stop)
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def taken(subscription, last):
    """What a subscription yields up to a notification."""
    with stopped_after(subscription):
        found = [next(subscription)]
        while found[-1].id < last:
            found.append(next(subscription))
        return [(notification.id, notification.state) for notification in found]


def cut(joined):
    return [joined[at : at + 128] for at in range(0, len(joined), 128)]


def number(row):
    return int.from_bytes(row[8:16], "little")


def at(position, last):
    """A position anywhere, also before the first and behind the last one."""
    return int(position * last) if isinstance(position, float) else position

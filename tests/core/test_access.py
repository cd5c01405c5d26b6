"""What no event tells of sessions, and every replica must have all the same: credentials, firms, the epoch."""

import pytest

from core import messages as m
from core.check import check
from core.kinds import Role
from core.machine import Machine
from core.messages import EngineState, SessionState
from core.rows import rows
from core.snapshot import dump
from tests.venue import BUYER, Venue

pytestmark = pytest.mark.both

SECRET = {
    "hash_0": -(2**63), "hash_1": 2**63 - 1, "hash_2": -(2**40) - 1, "hash_3": 0x0102030405060708, "salt_0": -(2**50),
    "salt_1": 2**45 + 3,
}  # fmt: skip


@pytest.fixture
def venue():
    """Session 1 trades for account 1, session 2 reads the drop copy of its firm, session 3 reads market data."""
    venue = Venue()
    venue.send(m.GrantSession, account=BUYER, grantee=1, role=Role.TRADER)
    venue.send(m.GrantSession, grantee=2, role=Role.DROP_COPY, firm=BUYER)
    venue.send(m.GrantSession, grantee=3, role=Role.MARKET_DATA)
    return venue


def state_of(venue, of):
    """The rows of a kind in the venue's state, after it has gone through one."""
    venue.to.reload()
    venue.to.check()
    return [row for row in rows(dump(venue.to.machine.engine)) if isinstance(row, of)]


def test_a_credential_is_kept_as_it_was_given(venue):
    """Every bit of hash, salt and cost is in the state, of the grantee alone, and the next one takes its place."""
    venue.send(m.SetCredential, grantee=2, cost=20, **SECRET)
    told = state_of(venue, SessionState)
    assert told[1] == SessionState(2, Role.DROP_COPY, firm=BUYER, cost=20, **SECRET)
    assert [told[0], told[2]] == [SessionState(1, Role.TRADER), SessionState(3, Role.MARKET_DATA)]
    venue.send(m.SetCredential, grantee=2, hash_0=7, cost=10)
    assert state_of(venue, SessionState)[1] == SessionState(2, Role.DROP_COPY, firm=BUYER, hash_0=7, cost=10)
    venue.send(m.SetCredential, grantee=2)
    assert state_of(venue, SessionState)[1] == SessionState(2, Role.DROP_COPY, firm=BUYER)


def test_a_refused_credential_changes_nothing(venue):
    """The one before stands, whatever the refused one brought."""
    venue.send(m.SetCredential, grantee=1, cost=14, **SECRET)
    for columns in ({"cost": 21}, {"cost": 9}, {"cost": 0}, {"cost": 14, "column_7": 1}, {"cost": 14, "grantee": 9}):
        assert isinstance(venue.send(m.SetCredential, **{"grantee": 1, "hash_0": 1} | columns)[0], m.Rejected)
    assert state_of(venue, SessionState)[0] == SessionState(1, Role.TRADER, cost=14, **SECRET)


def test_no_event_shows_hash_or_salt(venue):
    """Neither the answer nor a refusal, and no repeat of either, has a column with a part of the secret."""
    sent = {"grantee": 1, "session": 4, **SECRET}
    venue.send(m.GrantSession, grantee=4, role=Role.OPERATOR)
    events = [
        event for cost in (14, 21) for event in venue.send(m.SetCredential, inbound=cost // 14, cost=cost, **sent)
    ]
    events += venue.send(m.SetCredential, inbound=2, cost=21, **sent)
    events += venue.send(m.SetCredential, inbound=2, cost=22, **sent)
    events += venue.send(m.SetCredential, inbound=9, cost=14, **sent)
    events += venue.send(m.SetCredential, inbound=3, cost=14, **sent | {"session": 77})
    assert len(events) == 6
    columns = {getattr(event, name) for event in events for name in event.__struct_fields__}
    assert columns & {*SECRET.values()} == set()


def test_the_epoch_is_part_of_the_state(venue):
    """It is 1 at first, and what the last Promote said from then on."""
    assert state_of(venue, EngineState)[0].epoch == 1
    venue.send(m.Promote, epoch=5)
    venue.send(m.Promote, epoch=4)
    assert state_of(venue, EngineState)[0].epoch == 5
    venue.send(m.AcceptClock, clock=99)
    assert state_of(venue, EngineState)[0].time == venue.time


@pytest.mark.parametrize(
    "damage",
    [
        lambda engine: setattr(engine, "epoch", 0),
        lambda engine: setattr(engine.session(1), "firm", BUYER),
        lambda engine: setattr(engine.session(1), "role", 5),
        lambda engine: setattr(engine.session(2), "firm", 0),
        lambda engine: engine.session(3).grant(engine.account(BUYER)),
        lambda engine: setattr(engine.session(3), "cost", 9),
        lambda engine: setattr(engine.session(3), "salt_1", 1),
    ],
)
def test_a_state_that_contradicts_itself_is_found(venue, damage):
    """An epoch before the first, a role with what does not go with it, and half a credential."""
    check(venue.to.machine.engine)
    damage(venue.to.machine.engine)
    with pytest.raises(AssertionError):
        check(venue.to.machine.engine)


def test_a_firm_that_nothing_defines(venue):
    """A state that names an unknown firm as that of a drop copy session is refused."""
    engine = venue.to.machine.engine
    engine.session(2).firm = 99
    with pytest.raises(ValueError, match="names what no row before it defines"):
        Machine.restore(venue.to.machine.rows())

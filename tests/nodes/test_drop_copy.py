"""The drop copy of a firm: every event of its accounts once, in order and under dense numbers, and nobody else's."""

import asyncio
import random

import pytest

from core import messages as m
from core.kinds import ROW_SIZE, Role
from core.machine import Machine
from core.messages import EVENTS
from core.rows import from_row, layout, rows, to_row
from journal.errors import Gap
from replicas.drop_copy import COPIED, FirmSeries, copied_rows
from replicas.soup import PacketType, Refusal
from tests.determinism.stream import ACCOUNTS
from tests.nodes.copies import FIRMS, Copy, copied_venue, copies, last, reads, told
from tests.nodes.market import NEVER_SET, PASSWORD, READER, TRADER, UNKNOWN, Client, credential, serving, until
from tests.pair import seeds, stream
from tests.special import special_rows


@pytest.fixture(params=seeds(1), ids=lambda seed: f"seed {seed}")
def venue(request, tmp_path):
    """A venue that has traded, with a session for the drop copy of each firm."""
    venue = copied_venue(tmp_path, request.param)
    yield venue
    venue.close()


# ---- which rows, and what they show


@pytest.mark.parametrize("seed", seeds(6))
def test_every_row_of_a_firm_once_and_dense_by_the_engines_own_count_after_every_command(seed):
    assert follow(stream(seed, 300).log, seed) > 100


@pytest.mark.parametrize("seed", seeds(3))
def test_orders_that_hide_wait_and_follow_are_all_told_to_their_firm(seed):
    assert follow([(row, None, b"") for row in special_rows(seed, 400)], seed) > 200


def follow(log, seed):
    """Hold the rows of each firm against the engine's count after every command; how many there were."""
    machine, firms, counts = Machine(), {}, {}
    for at, (row, quarantine, _) in enumerate(log):
        events = machine.apply_quarantined(row, 0, quarantine, 0) if quarantine else machine.apply(row, 0, len(row))
        found = list(copied_rows(events, firms))
        where = f"after row {at + 1} of stream {seed}"
        assert found == [row for event in rows(events) for row in told(event, machine.engine)], where
        for firm in {of for of, _, _ in found}:
            assert list(copied_rows(events, firms, firm)) == [row for row in found if row.firm == firm], where
        for firm, number, _ in found:
            counts[firm] = counts.get(firm, 0) + 1
            assert number == counts[firm], where
        engine = {firm.number: firm.drop_copy for firm in machine.engine.firms if firm is not None}
        assert {firm: counts.get(firm, 0) for firm in engine} == engine, where
    return sum(counts.values())


@pytest.mark.parametrize("kind", sorted(EVENTS), ids=lambda kind: EVENTS[kind].__name__)
def test_a_row_is_told_as_it_is_if_it_has_a_drop_copy_number(kind):
    """Every column is set, so that whatever is taken out would be missed."""
    row = kind.to_bytes(8, "little") + bytes(range(1, ROW_SIZE - 7))
    account, firm, number = (int.from_bytes(row[8 * c : 8 * c + 8], "little") for c in (7, 8, 14))
    found = list(copied_rows(row, {account: firm, firm: 0}))
    # Where no account is named it is the firm's own.
    bare = row[:56] + bytes(8) + row[64:]
    if EVENTS[kind] in (m.Killed, m.LimitSet):
        assert [copy.firm for copy in copied_rows(bare, {})] == [int.from_bytes(row[72:80], "little")]
    if EVENTS[kind] is m.Settled:
        assert [len(found), kind in COPIED] == [2, False]
    elif "drop_copy" in {field.name for field in layout(EVENTS[kind])}:
        assert (found, kind in COPIED) == ([(firm, number, row)], True)
    else:
        assert (found, kind in COPIED) == ([], False)


SETTLED = m.Settled(
    sequence=1, time=2, instrument=3, buyer=4, seller=5, base_amount=6, quote_amount=7, buyer_fee=8, seller_fee=9,
    match_number=10, buyer_drop_copy=11, seller_drop_copy=12,
)  # fmt: skip
BOUGHT = m.Settled(
    sequence=1, time=2, instrument=3, buyer=4, base_amount=6, quote_amount=7, buyer_fee=8, match_number=10,
    buyer_drop_copy=11,
)  # fmt: skip
SOLD = m.Settled(
    sequence=1, time=2, instrument=3, seller=5, base_amount=6, quote_amount=7, seller_fee=9, match_number=10,
    seller_drop_copy=12,
)  # fmt: skip


def test_a_match_shows_each_firm_its_own_side():
    found = list(copied_rows(to_row(SETTLED), {4: 1, 5: 2}))
    assert [(firm, number, from_row(row)) for firm, number, row in found] == [(1, 11, BOUGHT), (2, 12, SOLD)]


def test_a_match_within_a_firm_comes_twice_and_the_buyers_side_first():
    for firm in (0, 7):
        found = list(copied_rows(to_row(SETTLED), {4: 7, 5: 7}, firm))
        assert [(number, from_row(row)) for _, number, row in found] == [(11, BOUGHT), (12, SOLD)]
    assert list(copied_rows(to_row(SETTLED), {4: 7, 5: 7}, 8)) == []


def test_an_account_belongs_to_the_firm_that_it_was_opened_for():
    events = to_row(m.AccountOpened(account=9, firm=4, drop_copy=1)) + to_row(m.BalanceChanged(account=9, drop_copy=2))
    firms = {}
    assert [(firm, number) for firm, number, _ in copied_rows(events, firms)] == [(4, 1), (4, 2)]
    assert firms == {9: 4}


def test_a_row_of_an_account_that_nobody_opened_or_beyond_the_next_number_is_a_gap():
    with pytest.raises(Gap, match="account 9"):
        list(copied_rows(to_row(m.BalanceChanged(account=9, drop_copy=2)), {}))
    firm = FirmSeries(None, 4, {}, last=5)
    for number in (5, 7):
        with pytest.raises(Gap, match="firm 4"):
            firm.add(number, 1)


# ---- every row, once, in order


def test_any_number_of_rows_again_and_then_live(venue):
    async def run():
        dice = random.Random(venue.seed)
        async with serving(venue) as server:
            for firm in FIRMS:
                end = last(venue, firm)
                for number in (1, end, end + 1, *(dice.randint(1, end) for _ in range(5))):
                    client = await reads(server, firm, number, dice.choice(("", "LOCKSTEP")))
                    venue.trade(20)
                    want = copies(venue, firm)[number - 1 :]
                    await until(lambda c=client, w=want: len(c.rows) >= len(w))
                    assert client.rows == want, f"firm {firm} from {number}, seed {venue.seed}"
                    await client.close()

    asyncio.run(run())


def test_number_0_begins_with_the_next_row(venue):
    async def run():
        async with serving(venue) as server:
            before = last(venue, 2)
            client = await reads(server, 2)
            assert client.accepted.sequence == before + 1
            venue.trade(60)
            want = copies(venue, 2)[before:]
            await until(lambda: len(client.rows) >= len(want))
            assert client.rows == want, f"seed {venue.seed}"

    asyncio.run(run())


def test_a_client_that_loses_its_connection_again_and_again_misses_and_repeats_nothing(venue):
    async def run():
        dice = random.Random(venue.seed)
        async with serving(venue) as server:
            got, client = [], None
            for _ in range(30):
                venue.trade(dice.randint(1, 25))
                if client is None:
                    client = await reads(server, 1, len(got) + 1)
                wanted = dice.randint(0, last(venue, 1) - len(got))
                await until(lambda c=client, w=wanted: len(c.rows) >= w)
                if dice.random() < 0.7:
                    await client.close()
                    got, client = got + client.rows, None
            client = client or await reads(server, 1, len(got) + 1)
            await until(lambda: len(got) + len(client.rows) >= last(venue, 1))
            assert got + client.rows == copies(venue, 1), f"seed {venue.seed}"

    asyncio.run(run())


def test_drop_copies_and_market_data_are_told_side_by_side_while_trading_goes_on(venue):
    """Trading goes on between every two pieces that a client is sent: nothing is missing where old meets new."""

    async def run():
        async with serving(venue) as server:
            clients = {firm: await reads(server, firm, 1) for firm in FIRMS}
            market = await Client.connect(server.port, 1, 1)
            for _ in range(20):
                venue.trade(3)
                await asyncio.sleep(0)
            for firm, client in clients.items():
                await until(lambda c=client, f=firm: len(c.rows) >= last(venue, f))
                assert client.rows == copies(venue, firm), f"firm {firm}, seed {venue.seed}"
            await until(lambda: market.next > venue.last(1))
            assert market.rows == venue.told(1)

    asyncio.run(run())


# ---- nobody else's


def test_a_session_of_another_firm_sees_nothing_of_ours(venue):
    engine = venue.sequencer.machine.engine
    ours = {account for account in ACCOUNTS if engine.account(account).firm.number == 1}

    async def run():
        async with serving(venue) as server:
            clients = {firm: await reads(server, firm) for firm in FIRMS}
            before = {firm: last(venue, firm) for firm in FIRMS}
            assert {firm: client.next - 1 for firm, client in clients.items()} == before
            venue.submit(*(m.Deposit(account=account, currency=1, amount=5) for account in ours))
            await until(lambda: clients[1].rows)
            assert {from_row(row).account for row in clients[1].rows} == ours
            assert {firm: last(venue, firm) - n for firm, n in before.items()} == {1: len(ours), 2: 0, 3: 0}
            venue.trade(100)
            for firm in (2, 3):
                await until(lambda f=firm: clients[f].next > last(venue, f))
                seen = {
                    getattr(from_row(row), n, 0) for row in clients[firm].rows for n in ("account", "buyer", "seller")
                }
                assert seen & ours == set(), f"firm {firm}, seed {venue.seed}"

    asyncio.run(run())


CASES = {
    "wrong password": ({"password": b"wrong"}, Refusal.NOT_AUTHORISED),
    "session without a password": ({"session": 30}, Refusal.NOT_AUTHORISED),
    "session of a trader": ({"session": TRADER}, Refusal.NOT_AUTHORISED),
    "market data without a password": ({"session": NEVER_SET}, Refusal.NOT_AUTHORISED),
    "unknown session": ({"session": UNKNOWN}, Refusal.NOT_AUTHORISED),
    "market data asks for drop copies": ({"session": READER}, Refusal.SESSION_NOT_AVAILABLE),
    "a drop copy asks for an instrument": ({"instrument": "1"}, Refusal.SESSION_NOT_AVAILABLE),
    "another venue": ({"instrument": "OTHER"}, Refusal.SESSION_NOT_AVAILABLE),
    "number beyond the end": ({"sequence": 10**9}, Refusal.SESSION_NOT_AVAILABLE),
}


@pytest.mark.parametrize("case", CASES)
def test_a_login_is_rejected(case, venue):
    fields, reason = CASES[case]
    venue.submit(m.GrantSession(grantee=30, role=Role.DROP_COPY, firm=1))

    async def run():
        async with serving(venue) as server:
            login = {"instrument": "LOCKSTEP", "session": FIRMS[1]} | fields
            client = await Copy.connect(server.port, **login)
            await until(lambda: client.closed)
            assert (client.rejected, client.accepted, client.order) == (reason, None, [])

    asyncio.run(run())


def test_the_first_number_beyond_the_end_is_the_next_and_the_second_is_refused(venue):
    async def run():
        async with serving(venue) as server:
            end = last(venue, 1)
            assert (await reads(server, 1, end + 1)).accepted.sequence == end + 1
            beyond = await Copy.connect(server.port, "", end + 2, FIRMS[1])
            assert beyond.rejected == Refusal.SESSION_NOT_AVAILABLE

    asyncio.run(run())


def test_sessions_firms_and_passwords_follow_the_journal(venue):
    async def run():
        async with serving(venue) as server:
            venue.submit(m.OpenAccount(account=77, firm=9, name="new"), m.GrantSession(grantee=39, role=3, firm=9))
            venue.submit(credential(39), credential(FIRMS[1], b"changed"))
            await until(lambda: server.feed.sequence == venue.sequencer.machine.engine.sequence)
            client = await Copy.connect(server.port, "", 1, 39)
            await until(lambda: client.rows)
            assert [(row.account, row.firm) for row in map(from_row, client.rows)] == [(77, 9)]
            answers = [await Copy.connect(server.port, "", 0, FIRMS[1], word) for word in (PASSWORD, b"changed")]
            assert [bool(client.accepted) for client in answers] == [False, True]

    asyncio.run(run())


def test_a_newer_login_of_a_session_ends_the_older_one(venue):
    async def run():
        async with serving(venue) as server:
            older, other = await reads(server, 1), await reads(server, 2)
            newer = await reads(server, 1)
            await until(lambda: older.closed)
            venue.trade(60)
            await until(lambda: newer.next > last(venue, 1) and other.next > last(venue, 2))
            assert (older.others, newer.closed, other.closed) == ([PacketType.END_OF_SESSION], False, False)

    asyncio.run(run())

"""What tools say of orders that hide, show in part, wait for a price, follow one, or are held back by rules."""

import json

import pytest

from core import messages as m
from core.kinds import REMOVED, Side
from core.machine import Machine
from core.reasons import CancelReason, RejectReason
from tests.pair import seeds
from tests.special import special_rows
from tests.tools.conftest import run
from tests.tools.specials import Specials
from tools.books import Book
from tools.event_rows import event_rows
from tools.history import History
from tools.ladders import Ladders
from tools.sentences import CANCELED, REJECTED


@pytest.fixture(scope="module", params=seeds(2), ids=lambda seed: f"seed {seed}")
def specials(request, tmp_path_factory):
    return Specials(tmp_path_factory.mktemp("specials") / "venue", request.param)


def asked(*arguments):
    """What a command says in JSON, and as text to people."""
    text, said = run(*arguments), run(*arguments, "--json")
    assert (text.exit_code, said.exit_code) == (0, 0), (arguments, text.output, said.output, said.exception)
    return json.loads(said.stdout), text.stdout


# ---- books


def content(book):
    return [(level, [*level.orders]) for side in Side for level in book.levels(side)]


@pytest.mark.parametrize("seed", seeds(4))
def test_events_and_state_give_the_same_whole_book_after_every_row(seed):
    machine, books, ladders = Machine(), [Book(1), Book(2)], {n: Ladders(n) for n in (1, 2)}
    hidden = undisclosed = 0
    for at, row in enumerate(special_rows(seed, 500), 1):
        for event in event_rows(machine.apply(row, 0, len(row))):
            for book in books:
                book.apply(event)
            if event.instrument in ladders:
                ladders[event.instrument].apply(event)
        state = machine.rows()
        for book in books:
            held = content(Book.of_state(state, book.instrument))
            assert content(book) == held, f"row {at} of stream {seed}"
            sums = [(level.price, level.quantity, len(level.orders)) for level, _ in held]
            assert [tuple(one) for side in Side for one in ladders[book.instrument].levels(side)] == sums
            hidden += sum(order.hidden for _, orders in held for order in orders)
            undisclosed += sum(0 < order.shown < order.leaves for _, orders in held for order in orders)
    assert hidden > 50
    assert undisclosed > 50


def test_a_book_shows_all_to_who_investigates_and_marks_what_the_market_does_not_see(specials):
    engine = specials.machine.engine
    for number in (1, 2):
        said, text = asked("book", specials.path, f"I{number}", "--orders", "--depth", "1000")
        shown, _ = asked("book", specials.path, f"I{number}", "--orders", "--depth", "1000", "--shown")
        whole = [order for side in ("bids", "asks") for level in said[side] for order in level["orders"]]
        seen = [order for side in ("bids", "asks") for level in shown[side] for order in level["orders"]]
        assert [o["order_number"] for o in whole if o["shown"]] == [o["order_number"] for o in seen]
        assert [o["shown"] for o in whole if o["shown"]] == [o["quantity"] for o in seen]
        instrument = engine.instrument(number)
        ladders = (instrument.bids, instrument.asks, instrument.hidden_bids, instrument.hidden_asks)
        assert sum(order["quantity"] for order in whole) == sum(ladder.total for ladder in ladders)
        assert ("hidden)" in text) == any(not order["shown"] for order in whole)
        assert ("shown)" in text) == any(0 < order["shown"] < order["quantity"] for order in whole)
        at, _ = asked("at", specials.path, "head", "book", f"I{number}", "--orders", "--depth", "1000")
        assert [at["bids"], at["asks"]] == [said["bids"], said["asks"]]


# ---- moments


def test_an_order_at_a_moment_says_where_it_is_and_what_it_waits_for(specials):
    wheres = set()
    with History(specials.path) as history:
        for sequence in range(60, 301, 60):
            moment = history.at(sequence)
            machine = Machine()
            for row in specials.rows[:sequence]:
                machine.apply(row, 0, len(row))
            live = [o for a in machine.engine.accounts if a is not None for o in a.orders.values()]
            for order in live:
                found = moment.order(order.number).order
                terms = order.terms
                waits = terms.waits if terms is not None else 0
                hides = bool(order.flags & 1 << 12)
                words = {0: "in the book, hidden" if hides else "in the book", 1: "waits for its trigger price"}
                words |= {2: "parked: the price that it follows is missing"}
                words |= {3: "its trigger price was reached, and its turn to trade has not come"}
                assert found.where.value == words[waits]
                assert (found.leaves, found.price, found.executed) == (order.leaves, order.price, order.executed)
                if terms is not None:
                    assert (found.trigger_price, found.display) == (terms.trigger_price, terms.display)
                place = moment.order(order.number).place
                assert (place is None) == (waits != 0)
                if place is not None:
                    book = Book.of_state(machine.rows(), order.instrument.number)
                    assert (place.orders_ahead, place.quantity_ahead) == book.ahead(order.number)
                wheres.add(waits + 10 * hides)
    assert wheres >= {0, 1, 10}


def test_an_order_that_ended_says_how(specials):
    ends = [*specials.told(m.Canceled), *specials.told(m.Expired), *specials.told(m.Executed, leaves=0)]
    assert len(ends) > 30
    for event in ends[::12]:
        said, text = asked("at", specials.path, "head", "order", event.order_number)
        word = {m.Canceled: "canceled", m.Expired: "expired", m.Executed: "executed"}[type(event)]
        assert (said["fate"], said["ended"]["sequence"]) == (word, event.sequence)
        assert said["order"]["where"] is None
        executed = sum(e.quantity for e in specials.told(m.Executed, order_number=event.order_number))
        assert said["order"]["executed"] == executed
        if word == "canceled":
            assert CancelReason(event.reason).name in text


def test_accounts_sessions_and_instruments_tell_their_rules(specials):
    engine = specials.machine.engine
    for number in (1, 2, 3):
        account = engine.account(number)
        said, text = asked("at", specials.path, "head", "account", number)
        standing = {1: "ACTIVE", 2: "REDUCE_ONLY", 3: "SUSPENDED"}[account.standing]
        assert (said["standing"], said["group"], said["killed"]) == (standing, account.group, account.killed())
        held = {f"I{n}": e.position for n, e in account.exposures.items() if e.position}
        assert {one["instrument"]: one["position"] for one in said["positions"]} == held
        limits = {(one["limit"], one["instrument"]): one["value"] for one in said["limits"]}
        names = {3: "OPEN_ORDERS", 5: "POSITION"}
        assert limits == {(names[k], f"I{i}" if i else ""): v.value for (k, i), v in account.limits.items()}
        assert all(name in text for name, _ in limits)
        session, _ = asked("at", specials.path, "head", "session", number)
        assert session["killed"] == engine.session(number).killed()
        assert bool(session["limits"]) == (number == 3)
    assert asked("at", specials.path, "head", "account", 2)[0]["firm_limits"][0]["limit"] == "ORDER_QUANTITY"
    said, text = asked("at", specials.path, "head", "instrument", "I1")
    assert said["rules"]["protection"] == 6
    assert (said["rules"]["exposures"], said["last_price"]) == (True, engine.instrument(1).last_price)
    assert "protection" in text
    assert asked("at", specials.path, "head", "instrument", "I2")[0]["rules"] is None


# ---- causes


def test_every_reason_has_its_sentence():
    assert (set(REJECTED), set(CANCELED)) == (set(map(int, RejectReason)), set(map(int, CancelReason)))


def test_every_command_is_explained(specials):
    refused = specials.told(m.Rejected)
    by_reason = {event.reason: event for event in refused}
    for event in by_reason.values():
        said, text = asked("explain", specials.path, "command", event.sequence)
        assert said["refused"]["reason"] == RejectReason(event.reason).name
        assert said["refused"]["text"] in text
    for sequence in range(30, 301, 27):
        asked("explain", specials.path, "command", sequence)


def test_every_kind_of_life_is_explained(specials):
    kinds = {}
    of = (m.Triggered, m.Restated, m.Canceled, m.Reduced, m.Expired, m.Replaced)
    for event in specials.events:
        if isinstance(event, of):
            reason = getattr(event, "reason", 0)
            kinds.setdefault((type(event), reason, event.flags >> 1 & 15), event.order_number)
    icebergs = {e.order_number for e in specials.told(m.Traded) if e.order_number}
    for number in {*kinds.values(), *list(icebergs)[:2]}:
        said, text = asked("explain", specials.path, "order", number)
        told = {item["kind"] for row in said["life"] for item in row["what"]}
        mine = [e for e in specials.events if getattr(e, "order_number", 0) == number]
        assert ("triggered" in told) == any(isinstance(e, m.Triggered) for e in mine)
        assert ("restated" in told) == any(isinstance(e, m.Restated) for e in mine)
        assert ("reduced" in told) == any(isinstance(e, m.Reduced) for e in mine)
        assert said["executed"] == sum(e.quantity for e in mine if isinstance(e, m.Executed))
        for event in mine:
            if isinstance(event, m.Canceled):
                assert CANCELED[event.reason] in text


def test_every_match_is_explained(specials):
    hidden = {e.match_number for e in specials.told(m.Traded)}
    numbers = [e.match_number for e in specials.told(m.Executed) if e.flags & REMOVED]
    for number in [*sorted(hidden)[:4], *numbers[::12]]:
        said, _ = asked("explain", specials.path, "match", number)
        resting, incoming = (e for e in specials.told(m.Executed, match_number=number))
        (settled,) = specials.told(m.Settled, match_number=number)
        assert said["resting"]["order_number"] == resting.order_number
        assert said["incoming"]["order_number"] == incoming.order_number
        fees = {said[side]["fee"] for side in ("resting", "incoming")}
        assert fees == {settled.buyer_fee, settled.seller_fee}


def test_what_accounts_hold_is_the_sum_of_its_causes(specials):
    """The command itself refuses to end well where entries and engine do not agree."""
    for number in (1, 2, 3):
        entries = json.loads(run("explain", specials.path, "account", number, "--json").stdout)
        assert [entry["cause"] for entry in entries].count("closing") > 0
        asked("explain", specials.path, "account", number, "--from", 200)


def test_the_life_of_an_order_row_by_row(specials):
    for event in specials.told(m.Executed)[::20]:
        said, _ = asked("order", specials.path, event.order_number)
        against = [one["against"] for row in said["life"] for one in row["events"] if "against" in one]
        matches = {e.match_number for e in specials.told(m.Executed, order_number=event.order_number)}
        both = [e.order_number for e in specials.told(m.Executed) if e.match_number in matches]
        assert sorted([*against, *[event.order_number] * len(against)]) == sorted(both)

"""Explanations hold what the naive model knew at every row of random journals, and read well on a small one."""

import json
import random
import re
import shutil
from itertools import pairwise

import pytest

from core import messages as m
from core.kinds import HIDDEN, RESTING
from core.reasons import CancelReason, RejectReason
from core.rows import rows
from journal.batch import HEADER_SIZE
from tests.model_venue import read
from tests.pair import seeds
from tests.paths import HERE
from tests.tools.recorded import Recorded
from tools.causes import find
from tools.causes.account import account_entries
from tools.causes.command import tell
from tools.causes.facts import _FACTS
from tools.causes.find import row_bytes
from tools.causes.gone import gone
from tools.causes.match import explain_match
from tools.causes.order import explain_order
from tools.failures import Failure, Misuse
from tools.reading import begin, machine_at, opened
from tools.sentences import CANCELED, REJECTED

STEPS = 500


@pytest.fixture(scope="module", params=seeds(3), ids=lambda seed: f"stream {seed}")
def recorded(request, tmp_path_factory):
    return Recorded(tmp_path_factory.mktemp("recorded") / "venue", request.param, STEPS)


@pytest.fixture
def journal(recorded):
    with opened(recorded.path) as source:
        yield source


def some(recorded, numbers, count=25):
    """A sample that is the same for the same journal."""
    numbers = sorted(numbers)
    return random.Random(recorded.head).sample(numbers, min(count, len(numbers)))


@pytest.fixture(scope="module")
def lives(recorded):
    """The lives of some orders, by number, with every step."""
    with opened(recorded.path) as source:
        return {
            n: explain_order(source, n, recorded.head, full=True)[1] for n in some(recorded, accepted(recorded), 40)
        }


# ---- orders


OWN = {
    m.Accepted: "accepted",
    m.Executed: "executed",
    m.Replaced: "replaced",
    m.Reduced: "reduced",
    m.Canceled: "canceled",
    m.Expired: "expired",
}


def accepted(recorded):
    return [event.order_number for event in recorded.told(m.Accepted)]


def test_the_life_of_an_order_has_every_event_about_it(recorded, lives):
    for number, life in lives.items():
        own = [(row["sequence"], item) for row in life.life for item in row["what"] if item["kind"] in OWN.values()]
        events = [event for event in recorded.told(tuple(OWN)) if event.order_number == number]
        assert [(sequence, item["kind"]) for sequence, item in own] == [(e.sequence, OWN[type(e)]) for e in events]
        fills = [event for event in events if isinstance(event, m.Executed)]
        told = [item for _, item in own if item["kind"] == "executed"]
        assert [(i["match_number"], i["price"], i["quantity"], i["leaves"]) for i in told] == [
            (e.match_number, e.price, e.quantity, e.leaves) for e in fills
        ]
        assert life.executed == sum(event.quantity for event in fills)
        check_fills(recorded, number, told)
        check_end(life, events)


def check_fills(recorded, number, told):
    """The counterparty, the fee and the improvement of each fill."""
    for item in told:
        resting, incoming = recorded.told(m.Executed, match_number=item["match_number"])
        (settled,) = recorded.told(m.Settled, match_number=item["match_number"])
        mine, other = (incoming, resting) if item["incoming"] else (resting, incoming)
        assert mine.order_number == number
        assert item["against"]["order_number"] == other.order_number
        assert item["against"]["account"] == other.account
        assert item["fee"] == (settled.seller_fee if mine.flags & 1 else settled.buyer_fee)
        limits = [
            e
            for kind in (m.Accepted, m.Replaced, m.Triggered, m.Activated, m.Restated)
            for e in recorded.told(kind, order_number=number)
        ]
        limit = max((e for e in limits if e.sequence <= mine.sequence), key=lambda e: e.sequence).price
        assert item["improvement"] == (abs(limit - mine.price) if item["incoming"] and limit else None)


def check_end(life, events):
    """How it ended, and why; None while it is open."""
    last = events[-1]
    if isinstance(last, m.Canceled):
        assert (life.end["kind"], life.end["reason"]) == ("canceled", CancelReason(last.reason).name)
        assert CANCELED[last.reason] in life.end["sentence"]
        assert life.leaves == last.quantity
    elif isinstance(last, m.Expired):
        assert (life.end["kind"], life.leaves) == ("expired", last.quantity)
    elif isinstance(last, m.Executed) and last.leaves == 0:
        assert (life.end["kind"], life.leaves) == ("filled", 0)
    else:
        assert life.end is None
        assert life.leaves == last.leaves
    assert life.end is None or life.end["sequence"] == last.sequence


def standing_rows(recorded, number):
    """The runs of rows after which the order stands at one place: lists of (sequence, view)."""
    moves = {event.sequence for event in recorded.told(m.Replaced, order_number=number) if not event.flags >> 34 & 1}
    moves |= {event.sequence for event in recorded.told((m.Rested, m.Restated), order_number=number)}
    found = []
    for sequence, (places, _) in enumerate(recorded.views):
        if number not in places:
            continue
        if not found or found[-1][-1][0] != sequence - 1 or sequence in moves:
            found.append([])
        found[-1].append((sequence, places[number]))
    return found


def stays_of(life):
    """The stays that were seen after a row: not those that began and ended in one, nor where a pegged order followed when its time was over."""
    over = [row["sequence"] for row in life.life for item in row["what"] if item["kind"] == "over"]
    seen = [stay for stay in life.stays if stay.until is None or stay.until["sequence"] != stay.since["sequence"]]
    return [stay for stay in seen if not over or stay.since["sequence"] < over[0]]


def test_what_stood_against_an_order_is_what_the_model_says_at_every_row(recorded, lives):
    """Each change of the best opposite price and of the quantity before it, and no row beside."""
    for number, life in lives.items():
        stays = standing_rows(recorded, number)
        assert [stay.since["sequence"] for stay in stays_of(life)] == [shown[0][0] for shown in stays]
        for stay, shown in zip(stays_of(life), stays, strict=True):
            # Of a place the opposite quantity, column 2, is told and is no change of its own.
            changes = [shown[0]] + [b for a, b in pairwise(shown) if (a[1][1], a[1][3:]) != (b[1][1], b[1][3:])]
            assert [tuple(step[:1] + step[2:]) for step in stay.standing.steps] == [
                (sequence, *view[1:]) for sequence, view in changes
            ]
            assert {view[0] for _, view in shown} == {stay.standing.price}
            assert stay.standing.summary.changes == len(changes)
            check_nearest(stay, changes)


def check_nearest(stay, changes):
    prices = [view[1] for _, view in changes if view[1] is not None]
    nearest = stay.standing.summary.nearest()
    best = (max if stay.standing.side else min)(prices, default=None)
    assert (nearest.price if nearest else None) == best
    for step in stay.json()["steps"]:
        assert step["needed_quantity"] == step["ahead_quantity"] + step["better_quantity"] + 1
        assert step["distance"] == (None if step["price"] is None else abs(step["price"] - stay.standing.price))


def test_an_order_whose_time_is_over_says_so_before_it_is_told(recorded, lives):
    """In the first row after which the order stands and does not trade."""
    for number, life in lives.items():
        told = [row["sequence"] for row in life.life for item in row["what"] if item["kind"] == "over"]
        last = life.end["sequence"] if life.end else recorded.head + 1
        over = [sequence for sequence in range(recorded.head + 1) if number in recorded.over[sequence]]
        assert told == [sequence for sequence in over if sequence < last][:1]


def test_who_left_the_queue_ahead_adds_up(recorded, lives):
    """Row by row: the lots that left ahead of an order are those that the model lacks afterwards.

    Who comes to stand ahead, as what is shown does of a hidden order, has not left, and may trade at once.
    """
    for number, life in lives.items():
        (entry,) = recorded.told(m.Accepted, order_number=number)
        moved = {row["sequence"]: [i for i in row["what"] if i["kind"] == "moved"] for row in life.life}
        for shown in standing_rows(recorded, number):
            for (_, before), (sequence, after) in pairwise(shown):
                items = moved.get(sequence, [])
                came = came_ahead(recorded, sequence, number) if entry.flags & HIDDEN else set()
                was, now = recorded.ahead[sequence - 1][number], recorded.ahead[sequence][number]
                assert was.keys() | came >= now.keys()
                for other in {item["order_number"] for item in items} | was.keys() | now.keys():
                    left = sum(item["quantity"] for item in items if item["order_number"] == other)
                    lacks = was.get(other, 0) - now.get(other, 0)
                    assert left >= max(lacks, 0) if other in came else left == lacks
                told = [(item["ahead"]["count"], item["ahead"]["quantity"]) for item in items]
                assert not told or came or told[-1] == after[3:5]
                assert came or sum(item["quantity"] for item in items) == before[4] - after[4]
                check_moves(recorded, sequence, items)


def came_ahead(recorded, sequence, number):
    """The orders that came to stand in a row, or show their next display, and do not hide."""
    events = [e for e in recorded.events[sequence] if getattr(e, "order_number", number) != number]
    return {e.order_number for e in events if e.flags & RESTING and not e.flags & HIDDEN}


def check_moves(recorded, sequence, items):
    names = {"executed": m.Executed, "canceled": m.Canceled, "expired": m.Expired, "reduced": m.Reduced}
    names |= {"shows its next display behind": m.Rested, "followed its price away": m.Restated}
    for item in items:
        kind = names.get(item["how"], m.Replaced)
        events = [e for e in recorded.events[sequence] if isinstance(e, kind)]
        assert item["order_number"] in [event.order_number for event in events]


def test_the_place_at_entry_is_that_of_the_model(recorded, lives):
    for number, life in lives.items():
        for stay, shown in zip(stays_of(life), standing_rows(recorded, number), strict=True):
            row = next(row for row in life.life if row["sequence"] == stay.since["sequence"])
            item = next(item for item in reversed(row["what"]) if item["kind"] == "rests")
            about = [
                e
                for e in recorded.events[row["sequence"]]
                if getattr(e, "order_number", 0) and e.instrument == life.instrument
            ]
            if any(e.order_number != number for e in about[[e.order_number for e in about].index(number) + 1 :]):
                # Something happened in the same row after it came to rest.
                continue
            counts = (item["ahead"]["count"], item["ahead"]["quantity"])
            assert (*counts, item["better"]["count"], item["better"]["quantity"]) == shown[0][1][3:]


def test_an_order_as_known_at_an_earlier_row(recorded, lives, journal):
    """Bounded by a row, an explanation holds the rows up to there and no later one."""
    for number, whole in [*lives.items()][:8]:
        rows_ = [row["sequence"] for row in whole.life]
        at = random.Random(number).randint(rows_[0], recorded.head)
        _, part = explain_order(journal, number, at, full=True)
        assert part.life == [row for row in whole.life if row["sequence"] <= at]
        assert part.end == (whole.end if whole.end and whole.end["sequence"] <= at else None)
        with pytest.raises(Misuse, match=f"no order {number} at row {rows_[0] - 1}"):
            explain_order(journal, number, rows_[0] - 1, full=False)


def test_trading_states_that_kept_an_order_from_trading_are_told(recorded, lives):
    for number, life in lives.items():
        (entry,) = recorded.told(m.Accepted, order_number=number)
        last = life.end["sequence"] if life.end else recorded.head
        told = [row["sequence"] for row in life.life for item in row["what"] if item["kind"] == "state"]
        mine = {(0, 0), (entry.instrument, 0), (0, entry.account)}
        changes = recorded.told(m.TradingStateChanged)
        ours = [
            e.sequence for e in changes if (e.instrument, e.account) in mine and entry.sequence < e.sequence <= last
        ]
        assert told == ours


def test_refused_commands_that_named_an_order_are_told(recorded, lives):
    """Cancels, reductions and replaces of a live order that changed nothing, with the reason of their event."""
    want = {number: [] for number in lives}
    for sequence, reason in recorded.refusals().items():
        c = read(recorded.rows[sequence])
        if c.of in (m.ReplaceOrder, m.ReduceOrder, m.CancelOrder):
            client = c.original_client_order_id if c.of is m.ReplaceOrder else c.client_order_id
            number = recorded.ids[sequence].get((c.instrument, c.account, client))
            want.get(number, []).append((sequence, reason.name))
    for number, life in lives.items():
        items = [(row["sequence"], item) for row in life.life for item in row["what"]]
        assert [(sequence, item["reason"]) for sequence, item in items if item["kind"] == "refused"] == want[number]


# ---- commands


def test_every_refused_command_is_explained_by_the_reason_of_its_event(recorded, journal):
    """Row by row, every command there is; a refusal gives the numbers that the model has."""
    machine, refusals = machine_at(journal, 0), recorded.refusals()
    assert sum(map(bool, recorded.known)) > 10
    for sequence in range(1, recorded.head + 1):
        told, batch = tell(machine, journal, row_bytes(journal, sequence))
        assert list(rows(batch.events)) == recorded.events[sequence]
        assert [event["event"]["kind"] for event in told.events] == [
            type(e).__name__ for e in recorded.events[sequence]
        ]
        assert told.lines()
        json.dumps(told.json())
        if sequence not in refusals:
            assert told.refused is None
            continue
        reason = refusals[sequence]
        assert (told.refused["reason"], told.refused["number"]) == (reason.name, reason)
        assert told.refused["sentence"] == REJECTED[reason]
        assert told.refused["text"], (reason, told.kind)
        assert told.met is None
        assert {name: told.refused["facts"][name] for name in recorded.known[sequence]} == recorded.known[sequence]
        if reason == RejectReason.INSUFFICIENT_FUNDS and told.kind == "EnterOrder":
            facts = told.refused["facts"]
            assert (facts["currency"], facts["needed"], facts["available"]) == recorded.needed[sequence]
            assert facts["needed"] > facts["available"]


def test_what_an_accepted_order_met_is_what_the_model_says(recorded, journal):
    for event in some(recorded, {e.sequence: e for e in recorded.told(m.Accepted)}.keys()):
        told, _ = tell(machine_at(journal, event - 1), journal, row_bytes(journal, event))
        if event not in recorded.needed:
            continue
        currency, amount, free = recorded.needed[event]
        assert (told.met["currency"], told.met["needed"], told.met["available"]) == (currency, amount, free)
        assert (told.met["reach_quantity"], told.met["reach_orders"]) == recorded.reach[event]


def test_a_command_for_an_order_that_is_gone_says_what_became_of_it(recorded, journal):
    """The last event that took the client order id from an order of the account, if there was one."""
    late = [n for n, reason in recorded.refusals().items() if reason == RejectReason.UNKNOWN_ORDER]
    for sequence in some(recorded, late, 10):
        asked = read(recorded.rows[sequence])
        client = getattr(asked, "original_client_order_id", asked.client_order_id)
        ends = recorded.told((m.Executed, m.Canceled, m.Expired, m.Replaced), account=asked.account)
        ends = [e for e in ends if e.sequence < sequence and freed(e) == client]
        told = gone(journal, asked.account, client, sequence - 1)
        assert (told and (told["order_number"], told["sequence"])) == (
            (ends[-1].order_number, ends[-1].sequence) if ends else None
        )


def test_what_became_of_an_order_is_looked_for_backwards(recorded, journal, monkeypatch):
    """No state before the one that its end follows is begun from; what never was takes all rows, each once."""
    applied = []

    def watched(*arguments):
        for batch in find.watched(*arguments):
            begins, ends = ((at - HEADER_SIZE) // 128 + batch.header.first for at in (batch.begin, batch.end))
            applied.extend(range(begins, ends))
            yield batch

    monkeypatch.setattr("tools.causes.gone.watched", watched)
    ends = recorded.told((m.Executed, m.Canceled, m.Expired, m.Replaced))
    last = [event for event in ends if freed(event) is not None][-1]
    begins = int(begin(journal, last.sequence - 1).machine.engine.sequence)
    told = gone(journal, last.account, freed(last), recorded.head)
    assert told["sequence"] == last.sequence
    assert sorted(applied) == [*range(begins + 1, recorded.head + 1)]
    applied.clear()
    assert gone(journal, last.account, 2**40 + 9, recorded.head) is None
    assert sorted(applied) == [*range(1, recorded.head + 1)]


def freed(event):
    if isinstance(event, m.Replaced):
        same = event.original_client_order_id == event.client_order_id
        return None if same else event.original_client_order_id
    return event.client_order_id if event.leaves == 0 else None


def test_every_reason_can_be_explained():
    assert set(_FACTS) == set(RejectReason)


def test_the_sentences_are_those_of_the_page():
    page = (HERE / "docs" / "reasons.md").read_text()
    found = re.findall(r"^\| (\d+) \| ([A-Z_]+) \| (.+?) \|$", page, re.MULTILINE)
    reasons = [(int(r), r.name, REJECTED[r]) for r in RejectReason] + [
        (int(r), r.name, CANCELED[r]) for r in CancelReason
    ]
    assert [(int(number), name, text) for number, name, text in found] == reasons


# ---- matches


def test_a_match_has_the_queue_the_fees_and_the_terms_that_the_model_had(recorded, journal):
    for number in some(recorded, recorded.queues):
        match, lines = explain_match(journal, number, recorded.head)
        best, queue, maker_rate, taker_rate, shared = recorded.queues[number]
        (settled,) = recorded.told(m.Settled, match_number=number)
        resting, incoming = recorded.told(m.Executed, match_number=number)
        assert match.best == best == match.price
        assert [(o.order_number, o.leaves) for o in match.queue] == queue
        assert resting.order_number == match.resting.order_number
        # Steps may give lots to any order of the level.
        assert resting.order_number in [order for order, _ in (queue if shared else queue[:1])]
        assert match.incoming.order_number == incoming.order_number
        assert (match.resting.rate, match.incoming.rate) == (maker_rate, taker_rate)
        fees = {match.resting.side: match.resting.fee, match.incoming.side: match.incoming.fee}
        assert fees == {0: settled.buyer_fee, 1: settled.seller_fee}
        assert match.amount["base_amount"] == settled.base_amount
        assert match.amount["quote_amount"] == settled.quote_amount
        check_reckoning(recorded, match)
        check_entries(match, settled)
        assert lines


def check_reckoning(recorded, match):
    """Rounding, and a fee that differs from its rate only where a rebate is limited by the other side's fee."""
    instrument = next(i for i in recorded.model.instruments.values() if i.symbol == match.instrument)
    product = match.price * match.quantity * instrument.multiplier
    assert match.amount["rest"] == product % instrument.divisor
    assert match.amount["rounding"] == ("UP" if instrument.rounds_up else "DOWN")
    for one, other in ((match.resting, match.incoming), (match.incoming, match.resting)):
        whole = abs(match.amount["quote_amount"] * one.rate) // 10**6
        assert one.reckoned == (whole if one.rate >= 0 else -whole)
        assert one.fee == max(one.reckoned, -max(other.reckoned, 0))


def check_entries(match, settled):
    """Both accounts: what the entries of the match add up to."""
    sums = {}
    for entry in match.entries:
        sums[entry.account, entry.currency] = sums.get((entry.account, entry.currency), 0) + entry.amount
    base, quote = match.amount["base"], match.amount["quote"]
    want = {}
    for account, currency, amount in (
        (settled.buyer, base, settled.base_amount),
        (settled.buyer, quote, -settled.quote_amount - settled.buyer_fee),
        (settled.seller, base, -settled.base_amount),
        (settled.seller, quote, settled.quote_amount - settled.seller_fee),
    ):
        want[account, currency] = want.get((account, currency), 0) + amount
    assert sums == want


# ---- accounts


def test_running_balances_are_those_of_the_model_after_each_command(recorded, journal):
    """What each account holds and reserves, whenever it changes and whenever it does not."""
    for account in recorded.model.accounts:
        entries = list(account_entries(journal, machine_at(journal, 0), account, recorded.head))
        changes = [entry for entry in entries if entry.cause not in {"opening", "closing"}]
        check_running(recorded, account, changes, {}, range(recorded.head + 1))
        closing = {entry.currency: (entry.balance, entry.reserved) for entry in entries if entry.cause == "closing"}
        held = recorded.views[-1][1]
        assert all(closing.get(c, (0, 0)) == view for (a, c), view in held.items() if a == account)


def check_running(recorded, account, changes, holds, sequences):
    """The entries row by row, from what the account held before them."""
    by_row = {}
    for entry in changes:
        assert entry.amount or entry.held
        by_row.setdefault(entry.sequence, []).append(entry)
    for sequence in sequences:
        for entry in by_row.pop(sequence, []):
            balance, reserved = holds.get(entry.currency, (0, 0))
            holds[entry.currency] = (balance + entry.amount, reserved + entry.held)
            assert holds[entry.currency] == (entry.balance, entry.reserved)
        for (owner, currency), view in recorded.views[sequence][1].items():
            assert owner != account or holds.get(currency, (0, 0)) == view, (sequence, currency)
    assert by_row == {}


def test_a_range_of_an_account_begins_and_ends_with_what_it_held(recorded, journal):
    rng = random.Random(recorded.head)
    for account in some(recorded, recorded.model.accounts, 4):
        first = rng.randint(1, recorded.head)
        last = rng.randint(first, recorded.head)
        if account not in {owner for owner, _ in recorded.views[last][1]}:
            with pytest.raises(Misuse, match=f"no account {account} at row {last}; known: "):
                list(account_entries(journal, machine_at(journal, first - 1), account, last))
            continue
        entries = list(account_entries(journal, machine_at(journal, first - 1), account, last))
        opening = {entry.currency: (entry.balance, entry.reserved) for entry in entries if entry.cause == "opening"}
        changes = [entry for entry in entries if entry.cause not in {"opening", "closing"}]
        assert all(first <= entry.sequence <= last for entry in changes)
        check_running(recorded, account, changes, opening, range(first, last + 1))


def test_causes_are_the_right_words(recorded, journal):
    """Each cause stands where its event does, and nowhere else."""
    for account in recorded.model.accounts:
        entries = list(account_entries(journal, machine_at(journal, 0), account, recorded.head))
        moved = [(e.sequence, e.amount) for e in entries if e.cause in {"deposit", "withdrawal"}]
        assert moved == [(e.sequence, e.amount) for e in recorded.told(m.BalanceChanged, account=account)]
        settled = recorded.told(m.Settled)
        fees = [e for e in entries if e.cause in {"fee", "rebate"}]
        bought = [(s.match_number, -s.buyer_fee) for s in settled if s.buyer == account and s.buyer_fee]
        sold = [(s.match_number, -s.seller_fee) for s in settled if s.seller == account and s.seller_fee]
        assert sorted((e.match_number, e.amount) for e in fees) == sorted(bought + sold)
        assert all((e.amount < 0) == (e.cause == "fee") for e in fees)
        for entry in entries:
            assert entry.cause not in {"reservation", "release"} or (entry.held > 0) == (entry.cause == "reservation")


# ---- journals that begin later


def test_an_order_from_before_the_journal_at_hand(recorded, tmp_path):
    """A journal whose first segment was taken away says so; what came later is explained as before."""
    shutil.copytree(recorded.path, tmp_path / "venue")
    with opened(recorded.path) as whole:
        firsts = whole.segments()
        later = [e.order_number for e in recorded.told(m.Accepted) if e.sequence >= firsts[-1]]
        want = explain_order(whole, later[-1], recorded.head, full=True)[1].json() if later else None
    for first in firsts[:-1]:
        shutil.rmtree(tmp_path / "venue" / "segments" / f"{first:020}")
    shutil.rmtree(tmp_path / "venue" / "snapshots", ignore_errors=True)
    with opened(tmp_path / "venue") as journal:
        if later:
            assert explain_order(journal, later[-1], recorded.head, full=True)[1].json() == want
        with pytest.raises(
            Failure, match=f"order 1 was made before row {firsts[-1]}, where the journal at hand begins"
        ):
            explain_order(journal, 1, recorded.head, full=False)

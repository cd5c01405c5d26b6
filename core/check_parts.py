"""Invariants of links and commands of several parts. Called by core/check.py."""

from __future__ import annotations

from librt.strings import read_i64_le
from mypy_extensions import i64

from core.check_rules import RuleSums, hold
from core.codes import Link
from core.engine import Engine
from core.kinds import C9, KIND, SESSION
from core.parts import is_head, is_malformed_head, part_of
from core.terms import HELD, OrderLink


def check_parts(engine: Engine, sums: RuleSums) -> None:
    """Links and the staged command agree with the orders that live."""
    linked: i64 = 0
    for number in engine.links:
        link = engine.links[number]
        hold(link.first.number == number, "key of a link")
        linked += _check_link(link)
    hold(linked == sums.linked, "orders of links")
    hold(len(engine.ended) == 0 and not engine.upset, "links that are over")
    hold(engine.part == 0 and engine.spared == 0 and engine.met_before == 0, "what is within a row alone")
    _check_turns(engine)
    _check_staged(engine)


def _check_link(link: OrderLink) -> i64:
    """Links and orders name each other; as long as the parent lives or waits its turn, the others are held."""
    count: i64 = 0
    last: i64 = 0
    for order in (link.parent, link.first, link.second):
        if order is not None:
            terms = order.terms
            hold(order.live and terms is not None and terms.link is link, "an order of a link")
            hold(order.account is link.first.account and order.instrument is link.first.instrument, "what is linked")
            hold(order.number > last, "orders of a link")
            last = order.number
            count += 1
    hold(not link.over and Link.ONE_CANCELS_OTHER <= link.kind <= Link.BRACKET, "a link that holds")
    hold((link.second is None) == (link.kind == Link.ONE_TRIGGERS_OTHER), "second order of a link")
    if link.parent is not None:
        hold(link.kind != Link.ONE_CANCELS_OTHER and link.parent.number == link.number, "parent of a link")
    _check_held(link)
    return count


def _check_held(link: OrderLink) -> None:
    first = link.first.terms
    second = link.second.terms if link.second is not None else None
    pending = link.parent is not None or link.turn != 0
    last = second if second is not None else first
    hold(last is not None and (last.waits == HELD) == pending, "what is held")
    if link.parent is not None:
        hold(first is not None and first.waits == HELD and link.turn == 0, "held orders of a parent")
    hold(pending or link.second is not None, "a link that links nothing")


def _check_turns(engine: Engine) -> None:
    for instrument in engine.instruments:
        if instrument is not None:
            followers = instrument.followers
            for turn in followers.activations:
                link = followers.activations[turn]
                hold(link.turn == turn <= followers.turns and link.traded >= 1, "turn of an activation")
                hold(engine.links.get(link.first.number) is link, "a link that is to be activated")


def _check_staged(engine: Engine) -> None:
    """A head, and fewer parts than it names, all of one session."""
    staged = engine.staged
    if staged:
        kind = read_i64_le(staged[0], KIND)
        hold(is_head(kind) and not is_malformed_head(kind, staged[0], 0), "head of a staged command")
        hold(len(staged) <= read_i64_le(staged[0], C9), "a staged command that is whole")
        for row in staged[1:]:
            hold(read_i64_le(row, KIND) == part_of(kind), "a staged part")
            hold(read_i64_le(row, SESSION) == read_i64_le(staged[0], SESSION), "session of a staged part")

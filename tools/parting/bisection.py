"""The first command after which two histories of the same commands differ: found by digests, then by what each engine told.

Two nodes are two journals. Two builds of the engine are one journal, and another engine that replays it.
"""

from contextlib import ExitStack, closing, suppress
from typing import NamedTuple

from core.limits import SUM_MAX
from core.state import SEMANTICS
from journal.directory import JournalDirectory
from journal.errors import JournalError, WrongSemantics
from tools.engines import Engine, EngineRaised, EngineRefused, LocalEngine, replayed
from tools.failures import Failure
from tools.parting.digest_search import Span, points, search
from tools.parting.histories import History, Replayed, Start, State, Stored, Told, replayed_as, starts, states_part
from tools.parting.journals import Comparison, Watch, compare
from tools.parting.states import Differing, state_differences


class Party(NamedTuple):
    """A journal, and the engines that may have made its events, the most likely first."""

    journal: JournalDirectory
    engines: list[Engine]


class Parting(NamedTuple):
    """The first command after which two histories differ, and the states around it."""

    a: Told
    b: Told
    sources: tuple[str, str]
    before: list[Differing] | None
    """How the states before the command differ; None where one is not known."""
    after: list[Differing] | None
    after_row: int
    """The row after which the states stood that `after` compares: mostly that of the command."""


class Silent(NamedTuple):
    """A command after which the states differ, and before which they do not, whatever the events say."""

    row: bytes
    sequence: int
    differences: list[Differing]


class Verdict(NamedTuple):
    """What was found: the commands part first, or the events do, or the states alone, or nothing does."""

    span: Span
    inputs: Comparison | None = None
    """Where the commands differ, before any event does."""
    parting: Parting | None = None
    silent: Silent | None = None
    """Where the states part, if that is before the events do, or if the events do not part at all."""
    unknown: str = ""
    """Why the command cannot be told, although the events differ."""


def of_journals(a: Party, b: Party, watch: Watch) -> Verdict:
    """Where the events of two journals part that hold the same commands. JournalError, Failure."""
    span = search(a.journal, b.journal)
    if span.agreed is None and span.differ is None:
        raise Failure(f"{a.journal.path} and {b.journal.path} carry no event digest of the same row")
    if span.differ is None:
        span = _beyond(a, b, span)
    last = min(a.journal.head().sequence, b.journal.head().sequence) if span.differ is None else span.differ
    inputs = compare(a.journal, b.journal, upto=last, watch=watch)
    unlike = {"row"} if span.agreed is not None else {"row", "state"}
    if any(one.what in unlike for one in inputs.differences):
        return Verdict(span, inputs=inputs)
    if span.differ is None:
        return Verdict(span)
    if span.agreed is None:
        return Verdict(span, unknown="they differ where both journals begin")
    same = _common_state(a.journal, b.journal, span.agreed)
    return _parted(a, b, span, (_replay_of(a, span, span.a), _replay_of(b, span, span.b)), same)


def of_engine(journal: JournalDirectory, theirs: Engine, watch: Watch) -> Verdict:
    """Where another engine tells other events than the journal's own did. JournalError, Failure."""
    a = Party(journal, [LocalEngine()])
    first, last = _of_rules(journal, theirs.semantics)
    begin = Start(first - 1, journal.segment(first).state(), f"segment {first}")
    span = _followed(journal, theirs, begin, watch, last)
    if span.differ is None:
        span = _last_rows(a, theirs, span)
    if span.differ is None:
        return Verdict(span, silent=_same_events(a, theirs, begin, span))
    assert span.agreed is not None
    other = Replayed(journal, theirs, begin, span.agreed)
    # Only there: the states of later segments are those of the journal's own engine.
    same = State(begin.sequence, begin.rows)
    return _parted(a, Party(journal, [theirs]), span, (_replay_of(a, span, span.a), other), same)


def _of_rules(journal: JournalDirectory, semantics: int) -> tuple[int, int]:
    """The first and the last row of the newest segments in a row that were written under these rules, or else the last."""
    found = {first: journal.segment(first).semantics for first in journal.segments()}
    rules = semantics if semantics in found.values() else journal.semantics
    last, first = journal.head().sequence, journal.segments()[-1]
    begun = False
    for number in reversed(found):
        if found[number] == rules:
            first, begun = number, True
        elif begun:
            break
        else:
            last = number - 1
    return first, last


def _followed(journal: JournalDirectory, engine: Engine, begin: Start, watch: Watch, to: int = SUM_MAX) -> Span:
    """Replay, and compare with every digest that the journal carries, up to the first that is another one."""
    engine.restore(begin.rows)
    agreed, known = (begin.sequence, engine.digest()), {begin.sequence: engine.digest()}
    try:
        for batch in replayed(journal, engine, to=to):
            header = batch.header
            ours = known.get(header.applied, header.digest)
            if ours != header.digest:
                return Span(*agreed, header.applied, header.digest, ours)
            if header.applied in known:
                agreed = header.applied, ours
            known = {row: digest for row, digest in known.items() if row >= header.applied}
            known[engine.sequence] = engine.digest()
            watch(engine.sequence)
    except EngineRaised as error:
        return Span(*agreed, error.sequence)
    for header in points(journal, max(engine.sequence, 1)):
        if header.applied == engine.sequence:
            if header.digest != engine.digest():
                return Span(*agreed, header.applied, header.digest, engine.digest())
            agreed = header.applied, header.digest
    return Span(*agreed)


def _same_events(a: Party, theirs: Engine, begin: Start, span: Span) -> Silent | None:
    """Whether the states are the same as well, where this release has told the events itself."""
    last, rows = theirs.sequence, theirs.state()
    ours = _replay_of(a, span._replace(differ=last), None)
    state = None if ours is None else ours.state(last)
    if state is None or state.rows == rows:
        return None
    one, other = (Replayed(a.journal, engine, begin, begin.sequence) for engine in (a.engines[0], theirs))
    found = _silent(one, other, State(begin.sequence, begin.rows), last)
    return found or Silent(one.command(last), last, state_differences(state.rows, rows))


def _common_state(a: JournalDirectory, b: JournalDirectory, upto: int) -> State | None:
    """The newest state not after a row with which a segment begins in both journals."""
    for first in sorted({*a.segments()} & {*b.segments()}, reverse=True):
        if first - 1 <= upto:
            rows = a.segment(first).state()
            if rows == b.segment(first).state():
                return State(first - 1, rows)
    return None


def _silent(one: Replayed, other: Replayed, same: State | None, last: int) -> Silent | None:
    """Where the states part, behind one that is the same for both and up to a row."""
    if same is None:
        return None
    # An engine that does not take back what it wrote cannot be asked for a state in between.
    with suppress(EngineRefused, EngineRaised):
        found = states_part(one, other, same, last)
        if found is not None:
            row = found[0].sequence
            return Silent(one.command(row), row, state_differences(found[0].rows, found[1].rows))
    return None


def _last_rows(a: Party, theirs: Engine, span: Span) -> Span:
    """The rows of a last batch are covered by no digest until the next one is sealed: this release says what they caused."""
    last = theirs.sequence
    ours = _replay_of(a, span._replace(differ=last), None)
    if span.agreed == last or ours is None:
        return span
    digest, other = ours.digest(last), theirs.digest()
    return Span(last, digest) if digest == other else span._replace(differ=last, a=digest, b=other)


def _beyond(a: Party, b: Party, span: Span) -> Span:
    """The same span, or one that goes further: where batches are cut otherwise, a replay tells what no header does."""
    one, other = _followed_beyond(a.journal, span), _followed_beyond(b.journal, span)
    if one is None or other is None:
        return span
    if one.differ is None and other.differ is None:
        return one if (one.agreed or 0) < (other.agreed or 0) else other
    if other.differ is None or (one.differ is not None and one.differ <= other.differ):
        return span._replace(differ=one.differ, a=one.a)
    return span._replace(differ=other.differ, b=other.a)


def _followed_beyond(journal: JournalDirectory, span: Span) -> Span | None:
    """What this release says of the digests behind a span; None if there are none, or it does not even come there."""
    agreed = span.agreed or 0
    if _semantics(journal, agreed) != SEMANTICS or all(one.applied <= agreed for one in points(journal, agreed + 1)):
        return None
    for start in starts(journal, agreed):
        with suppress(EngineRefused):
            found = _followed(journal, LocalEngine(), start, lambda _: None)
            if found.differ is None or found.differ > agreed:
                return found
    return None


def _semantics(journal: JournalDirectory, agreed: int) -> int:
    """The rules of the row behind a row."""
    firsts = [first for first in journal.segments() if first <= agreed + 1]
    return journal.segment(firsts[-1]).semantics


def _replay_of(party: Party, span: Span, digest: bytes | None) -> Replayed | None:
    """The replay that gives a journal's digests at both ends of a span; the second is not looked at if it is None."""
    assert span.agreed is not None
    assert span.differ is not None
    semantics = _semantics(party.journal, span.agreed)
    for engine in (engine for engine in party.engines if engine.semantics == semantics):
        found = replayed_as(party.journal, engine, (span.agreed, span.differ), (span.digest, digest))
        if found is not None:
            return found
    return None


def _parted(
    a: Party, b: Party, span: Span, histories: tuple[Replayed | None, Replayed | None], same: State | None
) -> Verdict:
    """The command in a span. `same`: a state that both have begun with."""
    one: History | None = histories[0]
    other: History | None = histories[1]
    with ExitStack() as stack:
        if one is None and histories[1] is not None:
            one = _stored(stack, a.journal, span, span.a, histories[1].near)
        if other is None and histories[0] is not None:
            other = _stored(stack, b.journal, span, span.b, histories[0].near)
        if one is not None and other is not None:
            parting = _parting(one, other, span, (a.journal, b.journal))
            silent = None
            if parting.before and isinstance(one, Replayed) and isinstance(other, Replayed):
                silent = _silent(one, other, same, parting.a.sequence - 1)
            return Verdict(span, parting=parting, silent=silent)
    for party in (a, b):
        _refuse_semantics(party, span)
    missing = " and of ".join(name for name, history in (("A", one), ("B", other)) if history is None)
    return Verdict(span, unknown=f"the digest of {missing} comes neither from a replay nor from an event store")


def _stored(
    stack: ExitStack, journal: JournalDirectory, span: Span, digest: bytes | None, near: bytes
) -> Stored | None:
    """The events that the node stored, if their digest is the journal's."""
    assert span.agreed is not None
    assert span.differ is not None
    with suppress(JournalError):
        found = stack.enter_context(closing(Stored(journal, span.agreed, near)))
        if digest is None or found.digest(span.differ) == digest:
            return found
    return None


def _refuse_semantics(party: Party, span: Span) -> None:
    """WrongSemantics where no engine at hand applies the rules that a journal was written under."""
    semantics = _semantics(party.journal, span.agreed or 0)
    if all(engine.semantics != semantics for engine in party.engines):
        text = f"semantics {semantics}; this release applies {SEMANTICS}: name one that does by --engine"
        raise WrongSemantics(f"{party.journal.path}, rows from {(span.agreed or 0) + 1} on", text)


def _parting(one: History, other: History, span: Span, journals: tuple[JournalDirectory, JournalDirectory]) -> Parting:
    assert span.differ is not None
    found = _first_other(one, other, span.differ)
    if found is None:
        for history in (one, other):
            if isinstance(history, Replayed):
                history.from_start()
        found = _first_other(one, other, span.differ)
    if found is None:
        raise Failure(f"the events up to row {span.differ} differ, and a second replay tells the same: ask it again")
    row = found[0].sequence
    before = one.state(row - 1), other.state(row - 1)
    after = _same_moment(one, other, row, journals)
    return Parting(
        *found,
        (one.source, other.source),
        _differences(*before) if all(state is not None and state.sequence < row for state in before) else None,
        _differences(*after),
        row if after[0] is None else after[0].sequence,
    )


def _first_other(one: History, other: History, last: int) -> tuple[Told, Told] | None:
    for mine, theirs in zip(one.told(last), other.told(last), strict=False):
        if (mine.events, mine.error) != (theirs.events, theirs.error):
            return mine, theirs
    return None


def _same_moment(
    one: History, other: History, row: int, journals: tuple[JournalDirectory, JournalDirectory]
) -> tuple[State | None, State | None]:
    """Both states after a row, or after the first row behind it where both are known and the commands are the same."""
    states = one.state(row), other.state(row)
    if states[0] is None or states[1] is None:
        return None, None
    moment = max(states[0].sequence, states[1].sequence)
    if moment > row:
        if journals[0] is not journals[1] and compare(*journals, upto=moment).rows < moment:
            return None, None
        states = one.state(moment), other.state(moment)
    return states


def _differences(one: State | None, other: State | None) -> list[Differing] | None:
    if one is None or other is None or one.sequence != other.sequence:
        return None
    return state_differences(one.rows, other.rows)

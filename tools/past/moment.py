"""One moment of a venue, and what can be asked of it."""

from core.kinds import (
    POST_ONLY,
    ROUNDING_MASK,
    ROUNDING_SHIFT,
    TIME_IN_FORCE_MASK,
    TIME_IN_FORCE_SHIFT,
    TYPE_MASK,
    TYPE_SHIFT,
    AccountStanding,
    OrderType,
    Prevention,
    Role,
    Rounding,
    Side,
    StateKind,
    TimeInForce,
    TradingState,
)
from core.limits import LEVELS_MAX, MATCHES_MAX, RING_SIZE, STEPS_MAX, SUM_MAX, TODOS_MAX
from core.messages import AccountState, BalanceState, FirmState, GrantState, SessionState, TermsState
from core.rows import unpack_halves
from core.snapshot import state_digest
from journal.state import check_state
from tools.books import Level
from tools.failures import Misuse
from tools.past import answers
from tools.past.answers import Fate, OpenOrder, OrderAt, Where
from tools.past.rules import limits, positions, rules_at, steps, tiers, volumes, where_of
from tools.past.seek import Reached, Seeker
from tools.past.state import BookAt, OrderRow, VenueState, decimals
from tools.past.traces import OrderTrace
from tools.words import instructions

_LIMITS = answers.Limits(LEVELS_MAX, MATCHES_MAX, STEPS_MAX, TODOS_MAX, RING_SIZE)
_SHOWN = 8


class Moment:
    """The venue after row `sequence`. What it says never changes; it reads the journal when it is first asked.

    Misuse for an instrument, account or session that was not known by then; JournalError, Failure.
    """

    def __init__(self, seeker: Seeker, sequence: int) -> None:
        self._seeker = seeker
        self._known: Reached | None = None
        self.sequence = sequence

    def _reached(self) -> Reached:
        if self._known is None:
            self._known = self._seeker.reach(self.sequence)
        return self._known

    @property
    def state(self) -> VenueState:
        """The whole state, by tables; `state.rows` is what `Machine.restore` takes."""
        return self._reached().state

    @property
    def time(self) -> int:
        """When its row was stamped, in ns since 1970; 0 where no row was ever applied."""
        if self._known is not None or self.sequence < self._seeker.journal.segments()[0]:
            return self.state.engine.time
        return self._seeker.command(self.sequence).time

    # ---- books and orders

    def book(self, symbol: str) -> BookAt:
        """Both sides of a book, all levels, orders in queue order."""
        return self.state.book(self.state.instrument(symbol))

    def order(self, number: int) -> OrderAt:
        """An order and its place in its queue, or what had become of it. Failure if it ended before all that can be replayed."""
        if self._known is None and self._seeker.is_near(self.sequence):
            self._reached()
        if self._known is None or self.state.is_gone(number):
            # What ended long ago needs no state of this moment; what did not is met on the way to it.
            found = self._seeker.end_of(number, self.sequence)
            if isinstance(found, OrderTrace):
                return _gone(found)
            self._known = found
        at = self.state.place_of(number)
        if at is None:
            return OrderAt(number, Fate.NOT_ACCEPTED)
        ahead = self.state.ahead(at)
        place = answers.Place(*ahead) if ahead is not None else None
        return OrderAt(number, Fate.LIVE, self._open(self.state.order(at)), place)

    def _open(self, row: OrderRow) -> OpenOrder:
        instrument = self.state.listed[row.instrument]
        terms = self.state.terms(row.order_number)
        named = (instrument.symbol, decimals(instrument.flags))
        return _order(row, terms, *named, where_of(row.flags, terms.waits), over=self.state.is_over(row))

    # ---- accounts and sessions

    def account(self, number: int) -> answers.AccountAt:
        """An account, what it holds and reserves, its open orders, and the sessions that act for it."""
        state = self.state
        for row in state.structs(StateKind.ACCOUNT, number):
            assert isinstance(row, AccountState)
            orders = tuple(map(self._open, state.orders_of_account(number)))
            trading = TradingState(row.state)
            firm = next(one for one in state.structs(StateKind.FIRM, row.firm) if isinstance(one, FirmState))
            return answers.AccountAt(
                number, row.firm, row.name, trading, self._balances(number), orders, state.sessions_of(number),
                AccountStanding(row.standing), row.group, Prevention(row.prevention), bool(row.killed),
                bool(firm.killed), bool(state.engine.killed), positions(state, account=number),
                limits(state, account=number), limits(state, firm=row.firm), volumes(state, number),
            )  # fmt: skip
        raise Misuse(f"no account {number} at row {self.sequence}; known: {self._known_numbers(StateKind.ACCOUNT)}")

    def _balances(self, account: int) -> tuple[answers.BalanceAt, ...]:
        rows = [row for row in self.state.structs(StateKind.BALANCE, account) if isinstance(row, BalanceState)]
        named = self.state.currencies()
        return tuple(
            answers.BalanceAt(
                row.currency, named[row.currency].symbol, named[row.currency].decimals, row.total, row.reserved,
                row.total - row.reserved,
            )
            for row in rows
        )  # fmt: skip

    def session(self, number: int) -> answers.SessionAt:
        """A session: its role, for whom it acts or what it reads, its numbers. 0 is the venue itself."""
        engine = self.state.engine
        if number == 0:
            numbers = (engine.control_inbound, 0)
            return answers.SessionAt(
                0, Role.OPERATOR, 0, (), *numbers, has_credential=False, killed=False, limits=(), positions=()
            )
        for row in self.state.structs(StateKind.SESSION, number):
            assert isinstance(row, SessionState)
            grants = self.state.structs(StateKind.GRANT, number)
            accounts = tuple(grant.account for grant in grants if isinstance(grant, GrantState))
            return answers.SessionAt(
                number, Role(row.role), row.firm, accounts, row.inbound, row.outbound, row.cost != 0, bool(row.killed),
                limits(self.state, named=number), positions(self.state, named=number),
            )  # fmt: skip
        raise Misuse(f"no session {number} at row {self.sequence}; known: {self._known_numbers(StateKind.SESSION)}")

    def _known_numbers(self, kind: int) -> str:
        numbers = self.state.column(kind, 1)
        shown = ", ".join(map(str, numbers[:_SHOWN]))
        return f"{shown}, ..." if len(numbers) > _SHOWN else shown or "none"

    # ---- the venue

    def instrument(self, symbol: str) -> answers.InstrumentAt:
        """An instrument: its terms, rules, limits and fees in force, state, touch, and last match."""
        state = self.state
        row = state.instrument(symbol)
        base, quote = unpack_halves(row.currencies)
        maker, taker = unpack_halves(row.fee_rates)
        book, named = self.book(symbol), state.currencies()
        last, searched_from = self._seeker.last_trade(row.instrument, self._reached())
        return answers.InstrumentAt(
            row.instrument, symbol, TradingState(row.state), named[base].symbol, named[quote].symbol,
            *decimals(row.flags),
            Rounding(row.flags >> ROUNDING_SHIFT & ROUNDING_MASK), row.multiplier, row.divisor, row.lot_units,
            row.price_max, row.quantity_max, maker, taker, row.market_data,
            _top(book.levels(Side.BUY, 1)), _top(book.levels(Side.SELL, 1)), last, searched_from,
            row.last_price, rules_at(state.rules(row.instrument)), tiers(state, row.instrument), steps(state, row.instrument),
            state.waiting(row.instrument),
        )  # fmt: skip

    def currencies(self) -> tuple[answers.CurrencyAt, ...]:
        """All currencies, by number."""
        return tuple(
            answers.CurrencyAt(
                row.currency, row.symbol, row.decimals, row.deposited, row.withdrawn, row.fees,
                row.deposited - row.withdrawn - row.fees,
            )
            for row in self.state.currencies().values()
        )  # fmt: skip

    def venue(self) -> answers.VenueAt:
        """The venue as a whole: its state, counters, limits and digests."""
        state, engine = self.state, self.state.engine
        checked = check_state(state.rows)
        return answers.VenueAt(
            TradingState(engine.state), engine.day, engine.days, engine.epoch, engine.semantics, engine.order_numbers,
            engine.match_numbers, state.count(StateKind.TODO), tuple(row.symbol for row in state.listed.values()),
            state.count(StateKind.ACCOUNT), state.count(StateKind.SESSION), state.count(StateKind.ORDER), bool(engine.killed), _LIMITS,
            checked.digest.hex(), state_digest(state.rows[: checked.offset]).hex(),
        )  # fmt: skip


def _top(levels: list[Level]) -> answers.Top | None:
    if not levels:
        return None
    return answers.Top(levels[0].price, levels[0].quantity, len(levels[0].orders))


def _order(
    row: OrderRow, terms: TermsState, symbol: str, decimals_of: tuple[int, int], where: Where | None, *, over: bool
) -> OpenOrder:
    shown = {Where.BOOK: terms.shown or row.leaves}.get(where, 0) if where is not None else 0
    return OpenOrder(
        order_number=row.order_number,
        client_order_id=row.client_order_id,
        account=row.account,
        session=row.session,
        instrument=symbol,
        side=Side(row.side),
        order_type=OrderType(row.flags >> TYPE_SHIFT & TYPE_MASK),
        time_in_force=TimeInForce(row.flags >> TIME_IN_FORCE_SHIFT & TIME_IN_FORCE_MASK),
        post_only=bool(row.flags & POST_ONLY),
        price=row.price,
        leaves=row.leaves,
        executed=row.executed,
        expires=row.expires if row.expires <= SUM_MAX else 0,
        price_decimals=decimals_of[0],
        quantity_decimals=decimals_of[1],
        where=where,
        instructions=tuple(instructions(row.flags)),
        display=terms.display,
        shown=shown,
        trigger_price=terms.trigger_price,
        offset=terms.offset,
        limit=terms.limit if row.flags >> TYPE_SHIFT & TYPE_MASK == OrderType.PEGGED else 0,
        over=over,
    )


def _gone(trace: OrderTrace) -> OrderAt:
    assert trace.order is not None
    order = _order(trace.order, trace.terms, trace.symbol, trace.decimals, None, over=False)
    return OrderAt(trace.number, trace.fate, order, None, trace.ended)

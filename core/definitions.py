"""What the venue makes known: currencies, instruments and accounts."""

from __future__ import annotations

from librt.strings import read_i64_le
from mypy_extensions import i64

from core.codes import EventKind, RejectReason, Rounding
from core.cancels import unused_from_11
from core.instrument import Instrument
from core.kinds import (
    C6,
    C7,
    C8,
    C9,
    C10,
    C11,
    C12,
    C13,
    C14,
    C15,
    DECIMALS_MASK,
    FLAGS,
    INSTRUMENT_FLAGS,
    PRICE_DECIMALS_SHIFT,
    QUANTITY_DECIMALS_SHIFT,
    ROUNDING_MASK,
    ROUNDING_SHIFT,
)
from core.ledger import Account, Firm
from core.limits import (
    ACCOUNT_NUMBER_MAX, CURRENCY_NUMBER_MAX, FEE_SCALE, FIRM_NUMBER_MAX, INSTRUMENT_NUMBER_MAX, PRICE_MAX,
    QUANTITY_MAX, SCALE_MAX, SUM_MAX,
)  # fmt: skip
from core.staging import Staging
from core.state import put
from core.text import is_symbol, is_text, low_half, high_half


class Definitions(Staging):
    """DefineCurrency, DefineInstrument and OpenAccount."""

    __slots__ = ()

    def define_currency(self, row: bytes, at: i64) -> None:
        """Make a currency known."""
        number = read_i64_le(row, at + C7)
        symbol_0 = read_i64_le(row, at + C8)
        symbol_1 = read_i64_le(row, at + C9)
        decimals = read_i64_le(row, at + C10)
        reason: i64 = 0
        if read_i64_le(row, at + FLAGS) | read_i64_le(row, at + C6) | unused_from_11(row, at):
            reason = RejectReason.MALFORMED
        elif not 1 <= number <= CURRENCY_NUMBER_MAX or not 0 <= decimals <= SCALE_MAX or not is_symbol(row, at + C8):
            reason = RejectReason.INVALID_DEFINITION
        elif self._conflicts(number, symbol_0, symbol_1, decimals):
            reason = RejectReason.CONFLICTING_DEFINITION
        if reason != 0:
            self.reject(reason, 0, 0, 0)
            return
        if self.currency(number) is None:
            self.add_currency(number, symbol_0, symbol_1, decimals)
        self.control(EventKind.CURRENCY_DEFINED, 0, number, symbol_0, symbol_1, decimals, 0, None)

    def _conflicts(self, number: i64, symbol_0: i64, symbol_1: i64, decimals: i64) -> bool:
        for known in self.currencies:
            if known is None:
                continue
            same_symbol = known.symbol_0 == symbol_0 and known.symbol_1 == symbol_1
            if known.number == number:
                if not same_symbol or known.decimals != decimals:
                    return True
            elif same_symbol:
                return True
        return False

    def define_instrument(self, row: bytes, at: i64) -> None:
        """List an instrument, or change its limits and fee rates."""
        number = read_i64_le(row, at + C6)
        currencies = read_i64_le(row, at + C9)
        base = self.currency(low_half(currencies))
        quote = self.currency(high_half(currencies))
        reason: i64 = 0
        if read_i64_le(row, at + FLAGS) & ~INSTRUMENT_FLAGS:
            reason = RejectReason.MALFORMED
        elif base is None or quote is None:
            reason = RejectReason.UNKNOWN_CURRENCY
        elif base is quote or not valid_terms(row, at):
            reason = RejectReason.INVALID_DEFINITION
        elif self._redefines(row, at, number, currencies):
            reason = RejectReason.CONFLICTING_DEFINITION
        if reason != 0 or base is None or quote is None:
            self.reject(reason, number, 0, 0)
            return

        # From here on the definition stands.
        instrument = self.instrument(number)
        if instrument is None:
            instrument = Instrument(number, base, quote)
            put(self.instruments, number, instrument)
            instrument.list_as(
                read_i64_le(row, at + FLAGS), read_i64_le(row, at + C7), read_i64_le(row, at + C8),
                read_i64_le(row, at + C10), read_i64_le(row, at + C11), read_i64_le(row, at + C12),
            )  # fmt: skip
        instrument.set_limits(read_i64_le(row, at + C13), read_i64_le(row, at + C14), read_i64_le(row, at + C15))
        self.row(
            EventKind.INSTRUMENT_DEFINED, self.requester, instrument.flags, number, instrument.symbol_0,
            instrument.symbol_1, currencies, instrument.price_max, instrument.quantity_max, read_i64_le(row, at + C15),
            0, 0, instrument.next_market_data(),
        )  # fmt: skip

    def _redefines(self, row: bytes, at: i64, number: i64, currencies: i64) -> bool:
        symbol_0 = read_i64_le(row, at + C7)
        symbol_1 = read_i64_le(row, at + C8)
        for known in self.instruments:
            if known is None:
                continue
            same_symbol = known.symbol_0 == symbol_0 and known.symbol_1 == symbol_1
            if known.number != number:
                if same_symbol:
                    return True
            elif not same_symbol or not known.has_terms(
                read_i64_le(row, at + FLAGS),
                currencies,
                read_i64_le(row, at + C10),
                read_i64_le(row, at + C11),
                read_i64_le(row, at + C12),
            ):
                return True
        return False

    def open_account(self, row: bytes, at: i64) -> None:
        """Open an account of a firm."""
        number = read_i64_le(row, at + C7)
        firm_number = read_i64_le(row, at + C8)
        name = row[at + C9 : at + C13]
        known = self.account(number)
        reason: i64 = 0
        if (
            read_i64_le(row, at + FLAGS) | read_i64_le(row, at + C6) | read_i64_le(row, at + C13)
            | read_i64_le(row, at + C14) | read_i64_le(row, at + C15)
        ):  # fmt: skip
            reason = RejectReason.MALFORMED
        elif (
            not 1 <= number <= ACCOUNT_NUMBER_MAX
            or not 1 <= firm_number <= FIRM_NUMBER_MAX
            or not is_text(row, at + C9, at + C13)
        ):
            reason = RejectReason.INVALID_DEFINITION
        elif known is not None and (known.firm.number != firm_number or known.name != name):
            reason = RejectReason.CONFLICTING_DEFINITION
        if reason != 0:
            self.reject(reason, 0, number, 0)
            return

        # From here on the account is open.
        firm = self.firm(firm_number)
        if firm is None:
            firm = Firm(firm_number)
            put(self.firms, firm_number, firm)
        if known is None:
            known = Account(number, firm, name)
            put(self.accounts, number, known)
        self.row(
            EventKind.ACCOUNT_OPENED, self.requester, 0, 0, number, firm_number, read_i64_le(row, at + C9),
            read_i64_le(row, at + C10), read_i64_le(row, at + C11), read_i64_le(row, at + C12), 0,
            firm.next_drop_copy(), 0,
        )  # fmt: skip


def valid_terms(row: bytes, at: i64) -> bool:
    """Whether the numbers of a DefineInstrument are all in range."""
    flags = read_i64_le(row, at + FLAGS)
    return (
        1 <= read_i64_le(row, at + C6) <= INSTRUMENT_NUMBER_MAX
        and is_symbol(row, at + C7)
        and flags >> PRICE_DECIMALS_SHIFT & DECIMALS_MASK <= SCALE_MAX
        and flags >> QUANTITY_DECIMALS_SHIFT & DECIMALS_MASK <= SCALE_MAX
        and flags >> ROUNDING_SHIFT & ROUNDING_MASK <= Rounding.UP
        and 1 <= read_i64_le(row, at + C10) <= SUM_MAX
        and 1 <= read_i64_le(row, at + C11) <= SUM_MAX
        and 1 <= read_i64_le(row, at + C12) <= SUM_MAX
        and 1 <= read_i64_le(row, at + C13) <= PRICE_MAX
        and 1 <= read_i64_le(row, at + C14) <= QUANTITY_MAX
        and are_rates(read_i64_le(row, at + C15))
    )


def are_rates(fee_rates: i64) -> bool:
    """Whether two halves are a maker and a taker rate: each in range, and their sum not negative."""
    maker = low_half(fee_rates)
    taker = high_half(fee_rates)
    return -FEE_SCALE <= maker <= FEE_SCALE and -FEE_SCALE <= taker <= FEE_SCALE and maker + taker >= 0

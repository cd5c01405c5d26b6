"""The protection of an account's quotes in an instrument: set, and reset after it froze them."""

from __future__ import annotations

from librt.strings import read_i64_le
from mypy_extensions import i64

from core.cancels import Cancels
from core.codes import EventKind, RejectReason, Role
from core.instrument import Instrument
from core.kinds import C6, C7, C8, C9, C10, C11, C12, C13, C14, C15, FLAGS
from core.ledger import Account
from core.limits import DAY_NS, PROTECTION_COUNT_MAX, QUANTITY_MAX
from core.quoting import Quoting


class Quotes(Cancels):
    """SetProtection and ResetProtection."""

    __slots__ = ()

    def set_protection(self, row: bytes, at: i64) -> None:
        """Set window and limits, or take them away; the window that runs ends, and what is frozen stays so."""
        instrument = self.instrument(read_i64_le(row, at + C6))
        account = self.account(read_i64_le(row, at + C7))
        reason: i64 = 0
        spare = read_i64_le(row, at + FLAGS) | read_i64_le(row, at + C12) | read_i64_le(row, at + C13)
        if spare | read_i64_le(row, at + C14) | read_i64_le(row, at + C15):
            reason = RejectReason.MALFORMED
        else:
            reason = self.refuse_who(instrument, account)
        if reason == 0 and not is_protection(row, at):
            reason = RejectReason.INVALID_DEFINITION
        if reason != 0 or instrument is None or account is None:
            self.reject(reason, read_i64_le(row, at + C6), read_i64_le(row, at + C7), 0)
            return

        # From here on it stands.
        quoting = account.quoting(instrument.number)
        quoting.window = read_i64_le(row, at + C8)
        quoting.quantity = read_i64_le(row, at + C9)
        quoting.count = read_i64_le(row, at + C10)
        quoting.delta = read_i64_le(row, at + C11)
        quoting.end_window()
        self._protection_set(account, quoting)

    def reset_protection(self, row: bytes, at: i64) -> None:
        """Let the account quote again."""
        instrument = self.instrument(read_i64_le(row, at + C6))
        account = self.account(read_i64_le(row, at + C7))
        reason: i64 = 0
        if read_i64_le(row, at + FLAGS) | columns_from_8(row, at):
            reason = RejectReason.MALFORMED
        else:
            reason = self.refuse_who(instrument, account)
        if reason != 0 or instrument is None or account is None:
            self.reject(reason, read_i64_le(row, at + C6), read_i64_le(row, at + C7), 0)
            return

        # From here on it may.
        quoting = account.quoting(instrument.number)
        quoting.frozen = False
        quoting.end_window()
        self._protection_set(account, quoting)

    def refuse_who(self, instrument: Instrument | None, account: Account | None) -> i64:
        """Why the session may not act for the account, or a name is unknown; whatever the trading states. Or 0."""
        session = self.requester
        if session.role != Role.OPERATOR and (account is None or not session.acts_for(account)):
            return RejectReason.NOT_PERMITTED
        if instrument is None:
            return RejectReason.UNKNOWN_INSTRUMENT
        return RejectReason.UNKNOWN_ACCOUNT if account is None else 0

    def _protection_set(self, account: Account, quoting: Quoting) -> None:
        self.row(
            EventKind.PROTECTION_SET, self.requester, 0, quoting.instrument, account.number, quoting.window,
            quoting.quantity, quoting.count, quoting.delta, 1 if quoting.frozen else 0, 0,
            account.firm.next_drop_copy(), 0,
        )  # fmt: skip


def is_protection(row: bytes, at: i64) -> bool:
    """Whether window and limits of a SetProtection are in range and go together."""
    window = read_i64_le(row, at + C8)
    quantity = read_i64_le(row, at + C9)
    count = read_i64_le(row, at + C10)
    delta = read_i64_le(row, at + C11)
    if not 0 <= quantity <= QUANTITY_MAX or not 0 <= count <= PROTECTION_COUNT_MAX or not 0 <= delta <= QUANTITY_MAX:
        return False
    return 0 <= window <= DAY_NS and (window == 0) == (quantity | count | delta == 0)


def columns_from_8(row: bytes, at: i64) -> i64:
    """Not 0 if a command that ends at column 7 uses a later one."""
    low = (
        read_i64_le(row, at + C8) | read_i64_le(row, at + C9) | read_i64_le(row, at + C10) | read_i64_le(row, at + C11)
    )
    high = read_i64_le(row, at + C12) | read_i64_le(row, at + C13)
    return low | high | read_i64_le(row, at + C14) | read_i64_le(row, at + C15)

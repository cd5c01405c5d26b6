"""Who may: sessions, what they are granted, and their credentials."""

from __future__ import annotations

from librt.strings import read_i64_le
from mypy_extensions import i64

from core.cancels import misuses_from_11
from core.codes import EventKind, RejectReason, Role
from core.definitions import Definitions
from core.kinds import C6, C7, C8, C9, C10, C11, C12, C13, C14, C15, FLAGS
from core.limits import COST_MAX, COST_MIN, SESSION_NUMBER_MAX
from core.session import Session
from core.state import put


class Access(Definitions):
    """GrantSession and SetCredential."""

    __slots__ = ()

    def grant_session(self, row: bytes, at: i64) -> None:
        """Let a session act for an account or for the venue, or read what a firm or the market is told."""
        number = read_i64_le(row, at + C7)
        grantee = read_i64_le(row, at + C8)
        role = read_i64_le(row, at + C9)
        firm = read_i64_le(row, at + C10)
        account = self.account(number)
        session = self.session(grantee)
        reason: i64 = 0
        if read_i64_le(row, at + FLAGS) | read_i64_le(row, at + C6) or misuses_from_11(row, at):
            reason = RejectReason.MALFORMED
        elif role == Role.TRADER and account is None:
            reason = RejectReason.UNKNOWN_ACCOUNT
        elif not 1 <= grantee <= SESSION_NUMBER_MAX or not self._is_grant(number, role, firm):
            reason = RejectReason.INVALID_DEFINITION
        elif session is not None and mixes(session, role, firm):
            reason = RejectReason.CONFLICTING_DEFINITION
        if reason != 0:
            self.reject(reason, 0, number, 0)
            return

        # From here on the grant stands.
        if session is None:
            session = Session(grantee)
            put(self.sessions, grantee, session)
        if account is not None:
            session.grant(account)
        else:
            session.role = role
            session.firm = firm
        self.control(EventKind.SESSION_GRANTED, 0, number, grantee, role, firm, 0, None)

    def _is_grant(self, account: i64, role: i64, firm: i64) -> bool:
        """Whether the role exists, and goes with the account and the firm."""
        if not Role.TRADER <= role <= Role.MARKET_DATA or (role != Role.TRADER and account != 0):
            return False
        return self.firm(firm) is not None if role == Role.DROP_COPY else firm == 0

    def set_credential(self, row: bytes, at: i64) -> None:
        """Give a session the hash of its password, or take it away. No event tells hash or salt."""
        grantee = read_i64_le(row, at + C8)
        cost = read_i64_le(row, at + C15)
        session = self.session(grantee)
        reason: i64 = 0
        if read_i64_le(row, at + FLAGS) | read_i64_le(row, at + C6) | read_i64_le(row, at + C7):
            reason = RejectReason.MALFORMED
        elif session is None or session.number == 0 or not (COST_MIN <= cost <= COST_MAX or is_removal(row, at)):
            reason = RejectReason.INVALID_DEFINITION
        if reason != 0 or session is None:
            self.reject(reason, 0, 0, 0)
            return

        # From here on the credential stands.
        session.hash_0 = read_i64_le(row, at + C9)
        session.hash_1 = read_i64_le(row, at + C10)
        session.hash_2 = read_i64_le(row, at + C11)
        session.hash_3 = read_i64_le(row, at + C12)
        session.salt_0 = read_i64_le(row, at + C13)
        session.salt_1 = read_i64_le(row, at + C14)
        session.cost = cost
        self.control(EventKind.CREDENTIAL_SET, 0, 0, grantee, cost, 0, 0, None)


def mixes(session: Session, role: i64, firm: i64) -> bool:
    """Whether a grant would give a session that only reads another role or firm, or one that acts a role to read."""
    if session.only_reads():
        return session.role != role or session.firm != firm
    return role >= Role.DROP_COPY


def is_removal(row: bytes, at: i64) -> bool:
    """Whether cost, hash and salt of a SetCredential are all zero."""
    given = read_i64_le(row, at + C9) | read_i64_le(row, at + C10) | read_i64_le(row, at + C11)
    given |= read_i64_le(row, at + C12) | read_i64_le(row, at + C13) | read_i64_le(row, at + C14)
    return given | read_i64_le(row, at + C15) == 0

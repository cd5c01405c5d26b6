"""Every bound of the exchange, in one place. All amounts are integers; see docs/terms.md, Numbers.

They are written as literals because those compile to constants, and expressions do not.

Compiled `i64` wraps silently and interpreted `int` grows, so each arithmetic site of `core` stays below
these bounds by a check made before the change; tests/core/test_bounds*.py drive each site to its bound.
"""

from typing import Final

SUM_MAX: Final = 0x3FFFFFFFFFFFFFFF
"""Largest stored sum (balance, reservation, level total, fee pool), sequence number, time and order number."""

PRICE_MAX: Final = 0xFFFFFFFFFF
"""Largest price, in ticks of the instrument; the smallest is 1."""

QUANTITY_MAX: Final = 0xFFFFFFFFFF
"""Largest quantity, in lots of the instrument; the smallest is 1."""

NEVER: Final = 0x7FFFFFFFFFFFFFFF
"""Expiry of a good-till-cancel order: later than any time."""

DAY_BASE: Final = 0x4000000000000000
"""DAY orders carry `DAY_BASE + day count` as their expiry, which lies beyond every time."""

LEVELS_MAX: Final = 65_536
"""Price levels on one side of one book: bounds the worst insertion to half a megabyte moved."""

MATCHES_MAX: Final = 65_536
"""Resting orders that one incoming order may meet; what is left of it then is canceled (MATCH_LIMIT)."""

STEPS_MAX: Final = 1_024
"""K: orders or accounts that timers and mass operations may visit per row; the rest is left as a to-do."""

TODOS_MAX: Final = 1_024
"""Mass operations that may be pending at one time."""

FOLLOWERS_MAX: Final = 1_024
"""Live trailing stops, and live pegged orders, of one instrument: each of them may move at the end of a row."""

REDUCING_MAX: Final = 64
"""Live reduce-only orders of one account in one instrument: each of them may be cut by a match."""

QUOTES_MAX: Final = 64
"""Live quotes of one account in one instrument."""

PARTS_MAX: Final = 64
"""Parts of one command."""

SPENDING_LOTS: Final = 0x100000000000000
"""More lots than an order of type SPEND_AT_MOST can trade: MATCHES_MAX times QUANTITY_MAX, rounded up."""

RATE_MAX: Final = 1_000_000
"""Largest rate in a second, burst, number of open orders and ratio that a limit may have."""

GROUP_MAX: Final = 0xFFFFF
"""Largest self-trade group."""

BASIS_POINTS_MAX: Final = 9_999
"""Largest offset of a trailing stop in basis points."""

SCHEDULE_NUMBER_MAX: Final = 65_535
TIERS_MAX: Final = 15
"""Largest number of a fee schedule, and of a tier of one."""

RATIO_TRADES_MAX: Final = 0xFFFFFFFFFF
"""Trades that a ratio counts in a day, so that its products stay within bounds."""

NANOSECONDS: Final = 1_000_000_000
"""In one second."""

RING_SIZE: Final = 4_096
"""Answered commands that a session remembers; a power of two."""

INSTRUMENT_NUMBER_MAX: Final = 65_535
CURRENCY_NUMBER_MAX: Final = 65_535
FIRM_NUMBER_MAX: Final = 65_535
ACCOUNT_NUMBER_MAX: Final = 0xFFFFF
SESSION_NUMBER_MAX: Final = 0xFFFFF
"""Numbers of instruments, currencies, firms, accounts and sessions run from 1; tables are lists, indexed by number."""

COST_MIN: Final = 10
COST_MAX: Final = 20
"""Binary logarithms of scrypt's N that a credential may have: from a mebibyte to a gibibyte of memory with r = 8."""

SCALE_MAX: Final = 18
"""Largest number of displayed decimals of a price, a quantity or an amount."""

FEE_SCALE: Final = 1_000_000
"""Fee rates are in millionths of the notional (100 = one basis point), from -FEE_SCALE to FEE_SCALE."""

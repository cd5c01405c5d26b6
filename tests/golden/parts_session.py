"""Commands of several parts in the session of a golden journal, by the accounts of rules_session.py."""

from core import messages as m
from core.kinds import POST_ONLY, REPLACE_ALL, Link, Prevention
from core.kinds import OrderType as Type
from core.kinds import TimeInForce as Tif
from tests.golden.rules_session import BUYER, PARTNER, RULED, SELLER, SESSIONS, at, preventing
from tests.poison.samples import BUY, SELL


def command(head, account, *orders, **columns):
    """A head and its parts, each given as an EnterOrder; of MassQuote as a QuoteDetail."""
    session = SESSIONS[account]
    rows = [head(session=session, account=account, parts=len(orders), **columns)]
    for order in orders:
        names = [name for name in order.__struct_fields__ if name not in {"sequence", "time", "session", "account"}]
        of = m.QuoteDetail if isinstance(order, m.QuoteDetail) else m.Detail
        rows.append(of(**{name: getattr(order, name) for name in names} | {"session": session}))
    return rows


def quote(bid, ask, price, quantity, **columns):
    return m.QuoteDetail(
        instrument=RULED, bid_client_order_id=bid, bid_price=price, bid_quantity=quantity, ask_client_order_id=ask,
        ask_price=price + 20, ask_quantity=quantity, **columns,
    )  # fmt: skip


def entered():
    """All kinds of links and batches, those that are refused too, and quotes."""
    stop = at(411, SELL, 0, 5, Type.STOP, account=BUYER, trigger_price=50)
    return [
        m.MassCancel(account=SELLER),
        m.MassCancel(account=PARTNER),
        m.MassCancel(account=BUYER),
        m.AdvanceTime(),
        *command(m.EnterBatch, BUYER, at(400, BUY, 70, 5), at(401, BUY, 71, 5, Type.LIMIT, Tif.IOC), batch_id=1),
        *command(m.EnterBatch, SELLER, at(402, SELL, 95, 5), at(403, BUY, 95, 5, bits=POST_ONLY, account=SELLER)),
        *command(m.EnterBatch, BUYER, at(404, BUY, 70, 5), at(404, BUY, 70, 5), batch_id=2),
        *command(m.EnterBatch, PARTNER, at(404, BUY, 70, 5))[:1],
        *command(m.EnterBatch, BUYER, at(404, BUY, 70, 5))[1:],
        *command(m.LinkOrders, BUYER, at(410, SELL, 97, 5, account=BUYER), stop, flags=Link.ONE_CANCELS_OTHER),
        at(412, BUY, 97, 6, account=PARTNER, bits=preventing(Prevention.ALLOW)),
        *command(
            m.LinkOrders, BUYER, at(413, BUY, 80, 5), at(414, SELL, 121, 5, account=BUYER),
            at(415, SELL, 0, 5, Type.STOP, account=BUYER, trigger_price=50), flags=Link.BRACKET, link_id=7,
        ),
        at(416, SELL, 80, 3, account=PARTNER),
        m.CancelOrder(session=SESSIONS[BUYER], account=BUYER, instrument=RULED, client_order_id=413),
        *command(m.LinkOrders, BUYER, at(417, BUY, 60, 1), at(418, BUY, 60, 1), flags=Link.ONE_CANCELS_OTHER),
        *command(m.MassQuote, SELLER, quote(420, 421, 82, 5), quote(422, 423, 81, 5), quote_id=9),
        *command(m.MassQuote, SELLER, quote(420, 421, 82, 3), quote(424, 425, 83, 5), flags=REPLACE_ALL),
    ]  # fmt: skip


def unfinished():
    """Linked orders of which one is held, and a command whose last part has not come."""
    held = command(
        m.LinkOrders, BUYER, at(430, BUY, 75, 5), at(431, SELL, 110, 5, account=BUYER), flags=Link.ONE_TRIGGERS_OTHER
    )
    return [*held, *command(m.EnterBatch, SELLER, at(432, SELL, 99, 5), at(433, SELL, 99, 5), at(434, SELL, 99, 5))[:3]]

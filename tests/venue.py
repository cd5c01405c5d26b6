"""A venue to be driven to its bounds: commands one after the other, stamped, for the engine with or without the model."""

from core import messages as m
from core.kinds import OrderType as Type
from core.kinds import Rounding
from core.kinds import TimeInForce as Tif
from core.limits import PRICE_MAX, QUANTITY_MAX, SUM_MAX
from core.machine import Machine
from core.reasons import RejectReason
from core.rows import pack_halves, rows, to_row
from tests.pair import Pair
from tests.streams import flags

USD, BTC = 1, 2
BUYER, SELLER = 1, 2
BUY, SELL = 0, 1


class Engine:
    """What a pair does with the engine alone, for sizes that the model is too slow for."""

    def __init__(self):
        self.machine = Machine()

    def apply(self, row):
        return list(rows(self.machine.apply(row, 0, len(row))))


class Venue:
    """Commands one after the other, stamped; by session 0 unless they say otherwise."""

    def __init__(self, to=None):
        self.to, self.sequence, self.time = to or Pair(), 0, 0
        self.ids = 0
        for number, symbol in ((USD, "USD"), (BTC, "BTC")):
            self.send(m.DefineCurrency, currency=number, symbol=symbol)
        for account in (BUYER, SELLER):
            self.send(m.OpenAccount, account=account, firm=account, name="")

    def row(self, of, **columns):
        self.sequence += 1
        self.time += 1
        return to_row(of(**{"sequence": self.sequence, "time": self.time} | columns))

    def send(self, of, **columns):
        return self.to.apply(self.row(of, **columns))

    def instrument(self, multiplier=1, divisor=1, lot_units=1, rounding=Rounding.DOWN, fees=(0, 0), number=1):
        return self.send(
            m.DefineInstrument, flags=rounding << 16, instrument=number, symbol=f"I{number}",
            currencies=pack_halves(BTC, USD), multiplier=multiplier, divisor=divisor, lot_units=lot_units,
            price_max=PRICE_MAX, quantity_max=QUANTITY_MAX, fee_rates=pack_halves(*fees),
        )  # fmt: skip

    def fund(self, dollars=SUM_MAX, bitcoins=SUM_MAX):
        for account, currency, amount in ((BUYER, USD, dollars), (SELLER, BTC, bitcoins)):
            if amount:
                self.send(m.Deposit, account=account, currency=currency, amount=amount)

    def enter(self, side, price, quantity, tif=Tif.GTC, **columns):
        self.ids += 1
        account = BUYER if side == BUY else SELLER
        order_type = Type.LIMIT if price else Type.MARKET
        columns = {"instrument": 1, "account": account, "client_order_id": self.ids} | columns
        return self.send(m.EnterOrder, flags=flags(side, order_type, tif), price=price, quantity=quantity, **columns)


def reason(events):
    """The reason of the only event, which refuses."""
    (event,) = events
    return RejectReason(event.reason)

"""A venue to be driven to its bounds: commands one after the other, stamped, for the engine with or without the model."""

from core import messages as m
from core.kinds import OrderType as Type
from core.kinds import Rounding
from core.kinds import TimeInForce as Tif
from core.limits import LEVELS_MAX, PRICE_MAX, QUANTITY_MAX, SUM_MAX
from core.machine import Machine
from core.reasons import RejectReason
from core.rows import pack_halves, rows, to_row
from core.snapshot import state_digest
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

    def rules(self, bits=0, **columns):
        return self.send(m.SetRules, flags=bits, instrument=1, **columns)

    def enter(self, side, price, quantity, tif=Tif.GTC, of=None, bits=0, **columns):
        """Enter an order of the type `of`, by the buyer or the seller; by its price a limit or a market order."""
        self.ids += 1
        account = BUYER if side == BUY else SELLER
        order_type = of or (Type.LIMIT if price else Type.MARKET)
        columns = {"instrument": 1, "account": account, "client_order_id": self.ids} | columns
        bits |= flags(side, order_type, tif)
        return self.send(m.EnterOrder, flags=bits, price=price, quantity=quantity, **columns)

    def replace(self, side, client, price, quantity, bits=0, **columns):
        """Replace an order of the buyer or the seller, which keeps its client order id."""
        account = BUYER if side == BUY else SELLER
        columns = {"instrument": 1, "account": account, "client_order_id": client, "price": price} | columns
        return self.send(m.ReplaceOrder, flags=bits, quantity=quantity, original_client_order_id=client, **columns)

    def trade(self, price, quantity=1):
        """A match of buyer and seller at this price, in an empty book."""
        self.enter(SELL, price, quantity)
        return self.enter(BUY, price, quantity)

    def restore(self, of, **columns):
        """Go on from the present state with other columns in all rows of one kind (see `changed`)."""
        self.to.machine = Machine.restore(changed(self.to.machine.rows(), of, **columns))


def reason(events):
    """The reason of the only event, which refuses."""
    (event,) = events
    return RejectReason(event.reason)


def changed(state, of, **columns):
    """A snapshot with other columns in all rows of one kind, given or made of the row, and its digest made good."""
    messages = list(rows(state))
    at = next(i for i, row in enumerate(messages) if isinstance(row, m.DigestState))
    new = [type(r)(**columns_of(r) | (made(r, columns) if isinstance(r, of) else {})) for r in messages[:at]]
    return sealed(new, messages[at:])


def made(row, columns):
    return {name: value(row) if callable(value) else value for name, value in columns.items()}


def columns_of(row):
    return {name: getattr(row, name) for name in row.__struct_fields__}


def sealed(state, rest):
    """Rows of state, those of the event digest, and the END row that goes with them."""
    head, tail = (b"".join(to_row(row) for row in part) for part in (state, rest[:-1]))
    hashes = state_digest(head)
    end = {f"hash_{i}": int.from_bytes(hashes[8 * i : 8 * i + 8], "little", signed=True) for i in range(4)}
    count = (len(head) + len(tail)) // 128
    return head + tail + to_row(m.StateEnd(**columns_of(rest[-1]) | end | {"rows": count}))


def full_side():
    """A venue of the engine alone whose book has 65,536 levels of one sell each, and its snapshot."""
    venue = Venue(Engine())
    venue.instrument()
    venue.fund()
    columns = {"flags": flags(SELL), "instrument": 1, "account": SELLER, "quantity": 1}
    batch = b"".join(
        venue.row(m.EnterOrder, client_order_id=price, price=price, **columns) for price in range(LEVELS_MAX, 0, -1)
    )
    venue.ids = LEVELS_MAX
    events = venue.to.machine.apply(batch, 0, len(batch))
    assert len(events) == len(batch), "each was accepted at once"
    return venue, venue.to.machine.rows()


def again(full):
    """A venue that goes on from a snapshot."""
    venue, state = full
    copy = object.__new__(Venue)
    copy.__dict__.update(vars(venue) | {"to": Engine()})
    copy.to.machine = Machine.restore(state)
    return copy

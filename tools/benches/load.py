"""The load of `lockstep bench --nodes`: prebuilt bytes down some sockets, and a count of what comes back.

python -m tools.benches.load HOST:PORT CONNECTIONS COMMANDS WINDOW    one line of JSON on stdout
"""

import json
import selectors
import socket
import sys
import time
from typing import Final

from core.kinds import OrderType, Side, TimeInForce
from core.messages import CancelOrder, EnterOrder
from core.rows import to_row
from core.wire import MESSAGE_PACKET, messages, tally
from replicas import soup

PASSWORD: Final = "bench"  # noqa: S105 - of a venue that lasts a minute
DEPTH: Final = 256
"""Orders of a session that rest before the oldest is canceled for each new one."""
_READ: Final = 2**20


def load(session: int, commands: int) -> bytes:
    """The packets of a session that enters orders which never trade, and cancels them in turn."""
    rows = []
    entered = canceled = 0
    for inbound in range(1, commands + 1):
        if entered - canceled >= DEPTH:
            canceled += 1
            rows.append(
                to_row(
                    CancelOrder(
                        session=session, inbound=inbound, instrument=1, account=session, client_order_id=canceled
                    )
                )
            )
            continue
        entered += 1
        side = Side(entered & 1)
        away = entered * 7 % 100
        rows.append(
            to_row(
                EnterOrder(
                    flags=side | OrderType.LIMIT << 1 | TimeInForce.GTC << 5, session=session, inbound=inbound,
                    instrument=1, account=session, client_order_id=entered, quantity=10,
                    price=10_001 + away if side == Side.SELL else 10_000 - away,
                )
            )
        )  # fmt: skip
    return messages(b"".join(rows))


class Connection:
    """One session: sends as long as fewer than `window` commands have no answer."""

    def __init__(self, address: tuple[str, int], session: int, packets: bytes, commands: int, window: int) -> None:
        """Log in. `packets` are built before, because a session that waits for them would fall silent."""
        self.packets = packets
        self.commands, self.window = commands, window
        self.sent = self.answered = 0
        self.waits: list[int] = []
        self._buffer = b""
        self._at = 0
        self._since = 0
        self.socket = socket.create_connection(address)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket.sendall(soup.login(session, PASSWORD.encode()))
        while soup.NoticeKind.HEAD not in self._notices():
            pass

    def _notices(self) -> list[int]:
        """Kinds of the notices that have come so far; raises on a login that was rejected."""
        self._buffer += self.socket.recv(_READ)
        found = list(soup.Packets(types=soup.FROM_SERVER).feed(self._buffer))
        if not found or found[0][0] == soup.PacketType.REJECTED:
            raise SystemExit("the login was rejected")
        notices = [soup.parse_notice(payload).kind for kind, payload in found if kind == soup.PacketType.UNSEQUENCED]
        if soup.NoticeKind.HEAD in notices:
            self._buffer = b""
        return notices

    def send(self) -> None:
        """Fill the window, once half of it is free."""
        if self.sent - self.answered > self.window // 2 or self.sent == self.commands:
            return
        count = min(self.window - (self.sent - self.answered), self.commands - self.sent)
        self._since = time.perf_counter_ns()
        self.socket.sendall(memoryview(self.packets)[self.sent * MESSAGE_PACKET : (self.sent + count) * MESSAGE_PACKET])
        self.sent += count

    def receive(self) -> bool:
        """Count answers; whether all are there."""
        data = self.socket.recv(_READ)
        if not data:
            raise SystemExit("the node hung up")
        self._buffer = self._buffer[self._at :] + data
        self._at, answers = tally(self._buffer, 0)
        self.answered += answers
        if self.window == 1 and answers:
            self.waits.append(time.perf_counter_ns() - self._since)
        return self.answered >= self.commands


def main() -> None:
    """Load a node, and tell how long it took."""
    host, _, port = sys.argv[1].rpartition(":")
    connections, commands, window = map(int, sys.argv[2:5])
    loads = [load(number, commands) for number in range(1, connections + 1)]
    opened = [Connection((host, int(port)), at + 1, loads[at], commands, window) for at in range(connections)]
    selector = selectors.DefaultSelector()
    started = time.perf_counter()
    for connection in opened:
        selector.register(connection.socket, selectors.EVENT_READ, connection)
        connection.send()
    left = len(opened)
    while left:
        for key, _ in selector.select():
            if key.data.receive():
                selector.unregister(key.fileobj)
                left -= 1
            else:
                key.data.send()
    seconds = time.perf_counter() - started
    waits = sorted(wait for connection in opened for wait in connection.waits)
    told = {f"p{part}": waits[min(len(waits) - 1, len(waits) * part // 100)] / 1_000 for part in (50, 99) if waits}
    print(json.dumps({"commands": connections * commands, "seconds": seconds, "wait_us": told}))


if __name__ == "__main__":
    main()

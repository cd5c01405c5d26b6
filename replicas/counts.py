"""What a node counts, for Prometheus."""

from typing import Final

from prometheus_client import CollectorRegistry, Counter, Histogram

_COMMIT_SECONDS: Final = (0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5)


class Counts:
    """Counters of one node, in a registry of its own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        name = "lockstep"
        self._forms = Counter(
            f"{name}_messages_refused", "Messages that left no row", ["reason"], registry=self.registry
        )
        self._logins = Counter(f"{name}_logins", "Logins by outcome", ["outcome"], registry=self.registry)
        self._ends = Counter(f"{name}_disconnects", "Connections ended, by cause", ["cause"], registry=self.registry)
        self._rows = Counter(f"{name}_rows", "Rows made durable and applied", registry=self.registry)
        self._batches = Histogram(
            f"{name}_batch_seconds",
            "From stamping to answering a batch",
            buckets=_COMMIT_SECONDS,
            registry=self.registry,
        )

    def form(self, reason: str) -> None:
        """A message was refused, or answered without a row."""
        self._forms.labels(reason).inc()

    def login(self, outcome: str) -> None:
        """Somebody tried to log in."""
        self._logins.labels(outcome).inc()

    def disconnect(self, cause: str) -> None:
        """A connection was ended."""
        self._ends.labels(cause).inc()

    def batch(self, rows: int, seconds: float) -> None:
        """A batch was made durable, applied and answered."""
        self._rows.inc(rows)
        self._batches.observe(seconds)

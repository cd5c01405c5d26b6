"""The events of one batch of commands as a domain event of the `eventsourcing` library.

What is stored names no Python module: the topic is a word that is registered for the class.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar, Final

from eventsourcing.domain import DomainEventProtocol
from eventsourcing.persistence import Mapper, StoredEvent
from eventsourcing.utils import register_topic, resolve_topic

from core.messages import Row
from core.rows import rows
from journal.event_store import EVENTS_HEADER_SIZE, events_header

ORIGINATOR: Final = "market"
"""The one originator: a venue. Its versions are sequence numbers of commands."""


@dataclass(frozen=True, slots=True)
class EventBatch:
    """The event rows of the commands from `first` to `last`; `originator_version` is `last`.

    `sealed` is the value of the event store, header and rows, which was checked when it was read; it is the same on every replica.
    """

    TOPIC: ClassVar[str] = "market-events"

    originator_id: str
    originator_version: int
    sealed: bytes

    @classmethod
    def of(cls, stored: StoredEvent) -> "EventBatch":
        """The batch that a notification or stored event holds."""
        return cls(str(stored.originator_id), stored.originator_version, stored.state)

    @property
    def first(self) -> int:
        """Sequence number of the first command; 0 < first <= last."""
        return events_header(self.sealed).first

    @property
    def last(self) -> int:
        """Sequence number of the last command."""
        return self.originator_version

    @property
    def rows(self) -> bytes:
        """The event rows, 128 bytes each, in order; commands that caused none have none."""
        return self.sealed[EVENTS_HEADER_SIZE:]

    def events(self) -> Iterator[Row]:
        """The event rows as Structs, each made when it is asked for; RowError for a kind of another release."""
        return rows(self.sealed, EVENTS_HEADER_SIZE)


register_topic(EventBatch.TOPIC, EventBatch)


class EventBatchMapper(Mapper[str]):
    """Between stored events and the classes that have registered a topic and know how to read their bytes (`of`).

    Bytes pass as they are, so that transcoder, cipher and compressor have no part.
    """

    def to_stored_event(self, domain_event: DomainEventProtocol[str]) -> StoredEvent:
        """The stored form of an EventBatch. TypeError for anything else: only the venue's own engine makes events."""
        if not isinstance(domain_event, EventBatch):
            raise TypeError(f"{type(domain_event).__name__} is no EventBatch")
        identity = (domain_event.originator_id, domain_event.originator_version)
        return StoredEvent(*identity, EventBatch.TOPIC, domain_event.sealed)

    def to_domain_event(self, stored_event: StoredEvent) -> DomainEventProtocol[str]:
        """The domain event. TopicError for a topic that nobody registered."""
        event: DomainEventProtocol[str] = resolve_topic(stored_event.topic).of(stored_event)
        return event

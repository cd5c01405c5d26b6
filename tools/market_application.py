"""The venue as an application of the `eventsourcing` library: its projections subscribe to it, its repository answers moments.

    Market({JOURNAL: "venue"}).recorder      a journal.market_log.MarketLog
    Market({JOURNAL: "venue"}).repository    see tools.market_repository

Nothing is saved through it: whatever changes a venue is a command in its journal.
"""

from pathlib import Path
from typing import Final, cast

from eventsourcing.application import Application, Repository
from eventsourcing.persistence import (
    AggregateRecorder,
    ApplicationRecorder,
    InfrastructureFactory,
    JSONTranscoder,
    Mapper,
    NotSupportedError,
    ProcessRecorder,
    TrackingRecorder,
)
from eventsourcing.utils import Environment

from journal.event_batch import EventBatchMapper
from journal.market_log import MarketLog
from tools.failures import Misuse
from tools.market_repository import StateRecorder, venue_repository

JOURNAL: Final = "MARKET_JOURNAL"
"""Key of the environment that names the data directory."""
EVENTS: Final = "MARKET_EVENTS"
"""Key that names the folder of the event store, where it is not in the data directory."""


class MarketFactory(InfrastructureFactory[TrackingRecorder]):
    """Opens the log when it is asked for the recorder, and closes it."""

    _log: MarketLog | None = None

    def application_recorder(self) -> ApplicationRecorder:
        """The market log. Misuse without a directory in the environment; what MarketLog raises."""
        return self.log()

    def log(self) -> MarketLog:
        """The one log of this factory, opened when it is first asked for."""
        if self._log is None:
            directory, events = self.env.get(JOURNAL), self.env.get(EVENTS)
            if not directory:
                raise Misuse(f"{JOURNAL} names no data directory")
            self._log = MarketLog(Path(directory), events=Path(events) if events else None)
        return self._log

    def aggregate_recorder(self, purpose: str = "events") -> AggregateRecorder:
        """The venue's snapshots, for the purpose "snapshots"; otherwise the log."""
        return StateRecorder(self.log()) if purpose == "snapshots" else self.log()

    def tracking_recorder(self, tracking_recorder_class: type[TrackingRecorder] | None = None) -> TrackingRecorder:
        """NotSupportedError: a projection keeps its position beside its rows, never in a journal."""
        del tracking_recorder_class
        raise NotSupportedError("a journal keeps no positions of projections")

    def process_recorder(self) -> ProcessRecorder:
        """NotSupportedError, as for `tracking_recorder`."""
        raise NotSupportedError("a journal keeps no positions of projections")

    def close(self) -> None:
        """Close the log; harmless when done twice."""
        if self._log is not None:
            self._log.close()


class Market(Application[str]):
    """One venue. `Market({JOURNAL: directory})`; close it, or use it in a `with` statement."""

    name = "market"

    def construct_factory(self, env: Environment) -> InfrastructureFactory:
        """The factory that reads the journal, whatever persistence the environment names for others."""
        return MarketFactory(env)

    def construct_mapper(self) -> Mapper[str]:
        """The mapper of event batches; it transcodes nothing."""
        return EventBatchMapper(JSONTranscoder())

    def construct_repository(self) -> Repository[str]:
        """Books as of any sequence number."""
        return venue_repository(cast("MarketLog", self.recorder))

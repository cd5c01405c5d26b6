"""Imports of the market data, each made once for all tests."""

import json

import pytest
from typer.testing import CliRunner

from tools.main import app

SCENARIOS = ("static", "normal", "swing-25", "swing-40", "flash-crash")


class Imported:
    """A journal made by `lockstep import`, and the summary that it printed."""

    def __init__(self, path, arguments):
        result = CliRunner().invoke(app, ["import", *map(str, arguments), "--journal", str(path), "--json"])
        assert result.exit_code == 0, result.output
        self.path = path
        self.summary = json.loads(result.stdout)

    def ask(self, command, *arguments):
        """What a query prints."""
        result = CliRunner().invoke(app, [command, str(self.path), *map(str, arguments)])
        assert result.exit_code == 0, result.output
        return result.stdout

    def json(self, command, *arguments):
        return json.loads(self.ask(command, *arguments, "--json"))


@pytest.fixture(scope="session")
def orders_hour(market_data, tmp_path_factory):
    """The AAPL hour in the normalised form."""
    folder = market_data / "lobster_aapl_20120621_h1"
    return Imported(tmp_path_factory.mktemp("orders") / "venue", ["orders", folder, "--symbol", "AAPL"])


@pytest.fixture(scope="session")
def messages_50(market_data):
    return next((market_data / "lobster_raw").glob("AAPL_*_message_50.csv.xz"))


@pytest.fixture(scope="session")
def lobster_hour(messages_50, tmp_path_factory):
    """The AAPL hour as it was published."""
    return Imported(tmp_path_factory.mktemp("lobster") / "venue", ["lobster", messages_50])


@pytest.fixture(scope="session")
def shown_hour(messages_50, tmp_path_factory):
    """The same, with old orders entered when they come into the published window."""
    return Imported(tmp_path_factory.mktemp("shown") / "venue", ["lobster", messages_50, "--as-shown"])


@pytest.fixture(scope="session")
def kraken(market_data, tmp_path_factory):
    """Half a minute of ten books, as published."""
    file = market_data / "kraken" / "KRAKEN.ws.50.0.xz"
    return Imported(tmp_path_factory.mktemp("kraken") / "venue", ["kraken", file])


@pytest.fixture(scope="session")
def bitstamp(market_data, tmp_path_factory):
    """Five hours of a feed that is late now and then, with the venue's own books."""
    file = market_data / "bitstamp" / "2015-05-01.log.xz"
    return Imported(tmp_path_factory.mktemp("bitstamp") / "venue", ["bitstamp", file])


@pytest.fixture(scope="session")
def workloads(market_data, tmp_path_factory):
    """Makes the journal and the report lines of a flash1 scenario, once."""
    made = {}

    def make(scenario):
        if scenario not in made:
            folder = tmp_path_factory.mktemp(scenario)
            file = market_data / "flash1" / f"{scenario}_seed7_count20000.bin.xz"
            imported = Imported(folder / "venue", ["flash1", file, "--reports", folder / "reports"])
            made[scenario] = imported, folder / "reports"
        return made[scenario]

    return make

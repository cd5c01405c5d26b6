"""The tests; helpers among them are imported as `from tests.model import ...`."""

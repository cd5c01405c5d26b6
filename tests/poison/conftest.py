"""Nothing here runs on the compiled build: its classes can be neither patched nor traced."""

import pytest

from tools.build import build


def pytest_collection_modifyitems(items):
    if build() == "interpreted":
        return
    reason = "faults are put into the engine by patching and tracing it, which compiled classes do not allow"
    for item in items:
        if "tests/poison/" in item.path.as_posix():
            item.add_marker(pytest.mark.skip(reason=reason))

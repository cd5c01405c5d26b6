"""The constants of the engine are the numbers of the enums, and the file is what its tool writes."""

import pytest

from core import codes
from tests.paths import CHECKOUT
from tools.codes import ENUMS, source


def test_the_file_is_what_the_tool_writes():
    """Whoever changes an enum runs `python -m tools.codes > core/codes.py`."""
    assert (CHECKOUT / "core" / "codes.py").read_text() == source()


@pytest.mark.both
@pytest.mark.parametrize("enum", ENUMS, ids=lambda enum: enum.__name__)
def test_each_constant_is_its_member(enum):
    """Every member of an enum is a constant of the class of the same name, equal in name and number."""
    constants = {name: value for name, value in vars(getattr(codes, enum.__name__)).items() if name.isupper()}
    assert constants == {member.name: member.value for member in enum}


def test_no_constant_is_without_an_enum():
    """Nothing stands in the file that no enum has."""
    classes = {
        name for name, value in vars(codes).items() if isinstance(value, type) and value.__module__ == codes.__name__
    }
    assert classes == {enum.__name__ for enum in ENUMS}

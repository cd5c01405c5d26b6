"""What every declared row has in common. Excluded from compilation, as all Structs are."""

from typing import Annotated, ClassVar

import msgspec
from msgspec import Meta

Text2 = Annotated[str, Meta(max_length=16, extra={"columns": 2})]
Text4 = Annotated[str, Meta(max_length=32, extra={"columns": 4})]


class Row(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What commands, events and state rows have in common."""

    KIND: ClassVar[int]

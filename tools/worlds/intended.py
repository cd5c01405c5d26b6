"""The TOML file of differences that are meant: a release that changes a rule says so, and why, and the rest must be the same."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from core.limits import SUM_MAX
from replicas.limits import BadConfig, read_toml
from tools.failures import Misuse
from tools.worlds.differences import Parting

Number = Annotated[int, Meta(ge=0, le=SUM_MAX)]


class Entry(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename={"first": "from", "last": "to"}):
    """Differences that are meant; what is left out may be anything."""

    reason: Annotated[str, Meta(min_length=1)]
    kind: Literal["execution", "rejection", "priority", "settlement", "balance", "order", "other", ""] = ""
    instrument: str = ""
    account: Number | list[Number] = msgspec.field(default_factory=list)
    first: Number = 0
    last: Number = SUM_MAX

    def covers(self, parting: Parting, sequence: int, symbols: Mapping[int, str]) -> bool:
        """Whether a difference is one of these: every instrument and account that it touches has to be named."""
        if self.kind and self.kind != parting.kind:
            return False
        if not self.first <= sequence <= self.last:
            return False
        if self.instrument and {symbols.get(number, "") for number in parting.instruments} != {self.instrument}:
            return False
        named = [self.account] if isinstance(self.account, int) else self.account
        return not named or (bool(parting.accounts) and set(parting.accounts) <= set(named))


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    intended: list[Entry] = msgspec.field(default_factory=list)


class Intended:
    """Entries, and how many differences each has covered."""

    def __init__(self, entries: list[Entry]) -> None:
        self.entries = entries
        self.used = [0] * len(entries)

    @staticmethod
    def read(path: Path | None) -> "Intended":
        """The entries of a file; none without a file. Misuse if it cannot be read, or does not fit."""
        if path is None:
            return Intended([])
        try:
            return Intended(read_toml(path, _File).intended)
        except (OSError, BadConfig) as error:
            raise Misuse(f"--intended {error}") from None

    def covers(self, parting: Parting, sequence: int, symbols: Mapping[int, str]) -> bool:
        """Whether some entry covers a difference; each that does counts as used."""
        covering = [n for n, entry in enumerate(self.entries) if entry.covers(parting, sequence, symbols)]
        for number in covering:
            self.used[number] += 1
        return bool(covering)

    def unused(self) -> list[str]:
        """The reasons of entries that covered nothing."""
        return [entry.reason for entry, used in zip(self.entries, self.used, strict=True) if not used]

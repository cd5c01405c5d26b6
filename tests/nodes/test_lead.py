"""The lead in memory: lost when a test says so, and never had again."""

import pytest

from journal.errors import JournalError
from journal.journal import Head
from replicas.lead import Deposed, MemoryLead

HEAD = Head(3, 7, bytes(32))


def test_it_is_held_until_it_is_revoked():
    lead = MemoryLead(3)
    lead.check()
    lead.tell(HEAD)
    lead.revoke()
    for ask in (lead.check, lambda: lead.tell(HEAD), lead.check):
        with pytest.raises(Deposed, match="epoch 3: the lead was revoked"):
            ask()
    assert (lead.epoch, lead.told, lead.asked) == (3, [HEAD], 5)
    assert issubclass(Deposed, JournalError)


@pytest.mark.parametrize("at", [1, 2, 5])
def test_it_is_lost_at_the_nth_ask(at):
    lead = MemoryLead(revoke_at=at)
    for n in range(1, at):
        lead.tell(HEAD) if n % 2 else lead.check()
    for _ in range(3):
        with pytest.raises(Deposed):
            lead.tell(HEAD)
    assert len(lead.told) == at // 2


def test_giving_it_back_twice_is_harmless():
    lead = MemoryLead()
    lead.release()
    lead.release()
    with pytest.raises(Deposed, match="released"):
        lead.check()

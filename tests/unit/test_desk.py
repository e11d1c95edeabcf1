"""The desk's fold: which notices take effect, in any order of arrival, and what is copied to the lanes (R4)."""

from typing import Any, cast

import pytest

from lane import desk
from lane.desk import DeskState
from lane.fold import RulesTooOld
from lane.policy import Policy
from lane.state import NEVER, RULES_VERSION, Finding
from schemas.facts import (
    ActDenied,
    BulletinRead,
    BulletinUnread,
    ComponentOverridden,
    DeskFact,
    DoorRefused,
    NoticeHandled,
    OutageDeclared,
    OutageResolved,
    PolicyAdopted,
    PollFailed,
    PollRestored,
    RulesAdopted,
    Scope,
    Source,
)
from tests.unit.lane_story import T0, Story, rules

EDI = Scope(component="edi", direction="inbound", effect="unavailable")


class Desk:
    """Facts appended to a desk."""

    def __init__(self) -> None:
        self.state = DeskState()
        self.position = NEVER
        self.notices = NEVER

    def say(self, fact: DeskFact) -> tuple[Finding, ...]:
        self.position += 1
        return desk.apply(self.state, self.position, fact)

    def source(self) -> Source:
        self.notices += 1
        return Source(stream="bulletins", position=self.notices, previous=self.notices - 1)

    def read(self, state: str, *, number: str = "TCC1", text: str = "", received: int = 0, **more: Any) -> tuple[Finding, ...]:
        scopes = more.pop("scopes", () if state in ("resolved", "info", "unclear") else (EDI,))
        fact = BulletinRead(
            at_ms=T0, source=more.pop("source", None) or self.source(), number=number, state=cast("Any", state), title=state,
            scopes=scopes, findings=more.pop("findings", ()), sha256=text or f"{number} {state} {received}",
            received_ms=T0 + received,
        )  # fmt: skip
        return self.say(fact)

    def override(self, basis: int) -> tuple[Finding, ...]:
        fact = ComponentOverridden(
            at_ms=T0, component="edi", direction="inbound", to="open", person="ann", reason="phone", basis=basis
        )
        return self.say(fact)

    def effects(self) -> list[str]:
        return [type(fact).__name__ for _, fact in self.state.effective]


def test_r4_notices_become_facts_of_the_lanes() -> None:
    """R4: effective ones are copied to every lane, chained."""
    here = Desk()
    here.read("open")
    here.read("info", number="TCC2")
    here.read("resolved", received=1)
    copies = here.state.copies_after(NEVER)
    assert [OutageDeclared, OutageResolved] == [type(fact) for fact in copies]
    assert [(0, -1), (2, 0)] == [(each.source.position, each.source.previous) for each in copies if each.source]
    assert [2] == [each.source.position for each in here.state.copies_after(0) if each.source]


def test_r4_a_lane_takes_the_copies() -> None:
    """R1, R4: what the desk gives out is what a lane's fold accepts."""
    here, story = Desk(), Story()
    here.read("open")
    for fact in here.state.copies_after(NEVER):
        assert () == story.say(fact)
    assert {"TCC1"} == set(story.state.outages)


def test_r1_a_notice_off_its_chain_is_void() -> None:
    """R1: for the desk too."""
    here = Desk()
    assert ["R1"] == rules(here.read("open", source=Source(stream="bulletins", position=4, previous=3)))
    assert [] == here.effects()


@pytest.mark.parametrize("state", ["info", "unclear"])
def test_r30_what_says_nothing_clear_changes_nothing(state: str) -> None:
    """DOMAIN section 5: an unclear window is shown to a person, never guessed."""
    here = Desk()
    assert [True] == [each.void for each in here.read(state, findings=("the end lies before the start",))]
    assert ([], 1) == (here.effects(), len(here.state.tasks))


def test_r30_resolved_of_an_unknown_incident_opens_nothing() -> None:
    """I2f: recorded; the notice that opens it, late, is older by what it is."""
    here = Desk()
    here.read("resolved", received=9)
    here.read("open", received=3)
    assert [] == here.effects()


@pytest.mark.parametrize("state", ["open", "scheduled", "update"])
def test_i2f_a_notice_older_than_the_one_in_force_changes_nothing(state: str) -> None:
    """I2f: order by what notices are and when they were received, not by when they are read."""
    here = Desk()
    here.read("open", received=1)
    here.read("resolved", received=9)
    here.read(state, received=5, text="late")
    assert ["OutageDeclared", "OutageResolved"] == here.effects()


def test_i2f_an_update_before_its_original_stands() -> None:
    """RELIABILITY O2: UPDATE before original."""
    here = Desk()
    here.read("update", received=5)
    here.read("open", received=1)
    assert ["OutageDeclared"] == here.effects()


@pytest.mark.parametrize("state", ["open", "resolved"])
def test_r30_the_same_text_again_changes_nothing(state: str) -> None:
    """RELIABILITY O2: a re-sent old *resolved*."""
    here = Desk()
    here.read("open", text="open")
    here.read("resolved", text="resolved", received=1)
    before = here.effects()
    here.read(state, text=state, received=2)
    assert before == here.effects()


def test_r30_an_update_after_resolved_holds_again_and_asks_for_a_person() -> None:
    """I2f: contradictory content is held, and somebody looks."""
    here = Desk()
    here.read("open")
    here.read("resolved", received=1)
    assert ["R30"] == rules(here.read("update", received=2))
    assert "OutageDeclared" == here.effects()[-1]
    assert 1 == len(here.state.tasks)


def test_r30_an_old_resolved_after_a_reopening_opens_nothing_but_is_shown() -> None:
    """I2f: the same words may be a re-sent notice; a person decides, by an override."""
    here = Desk()
    here.read("open")
    here.read("resolved", received=1, text="resolved")
    here.read("update", received=2)
    here.read("resolved", received=3, text="resolved")
    assert "OutageDeclared" == here.effects()[-1]
    assert 2 == len(here.state.tasks)


def test_r5_an_override_that_did_not_see_the_last_notice_is_void() -> None:
    """R5: names the position of the last act or gate change on its component."""
    here = Desk()
    here.read("open")
    here.read("resolved", received=1)
    here.read("open", number="TCC2")
    assert ["R5"] == rules(here.override(0))
    assert () == here.override(2)
    assert ["R5"] == rules(here.override(2))


def test_r5_an_update_that_leaves_a_component_out_is_a_change_of_it_too() -> None:
    """R5, R30: the lanes keep it on hold, so who looked before has not seen that."""
    here = Desk()
    here.read("open")
    here.read("update", received=1, scopes=(Scope(component="swi", direction="inbound", effect="unavailable"),))
    assert ["R5"] == rules(here.override(0))
    assert () == here.override(1)


def test_r59_the_desk_stops_at_rules_it_does_not_know() -> None:
    """R59."""
    here = Desk()
    with pytest.raises(RulesTooOld):
        here.say(RulesAdopted(at_ms=T0, version=RULES_VERSION + 1, person="ann", reason="new plan"))


def test_r4_a_person_handles_what_asked_for_one() -> None:
    """R4: a notice that can't be read is kept and shown until somebody has dealt with it."""
    here = Desk()
    here.say(BulletinUnread(at_ms=T0, source=here.source(), sha256="x", received_ms=T0, reason="no number"))
    handled = NoticeHandled(at_ms=T0, position=0, person="ann", reason="read it myself")
    assert () == here.say(handled)
    assert {} == here.state.tasks
    assert ["R4"] == rules(here.say(handled))


def test_r3_a_silent_authority_asks_for_a_person_once_and_no_longer_than_it_lasts() -> None:
    """R3: one task for each silence of a gateway, whoever polls; its end clears it, a person's word does not begin it anew."""
    here = Desk()
    silent = PollFailed(at_ms=T0 + 95_000, gateway="cbsa", since_ms=T0, reason="HTTP 500")
    again = PollRestored(at_ms=T0, gateway="cbsa")
    assert [("R3", True)] == [(each.rule, each.void) for each in here.say(again)], "nothing to restore"
    assert ["R3"] == rules(here.say(silent))
    assert ["no answers could be fetched from CBSA over cbsa for 95 s: HTTP 500"] == [
        each.what for each in here.state.tasks.values()
    ]
    assert [True] == [each.void for each in here.say(silent)], "known already"
    assert [False] == [each.void for each in here.say(PollFailed(at_ms=T0, gateway="other", since_ms=T0, reason="HTTP 500"))]
    assert () == here.say(again)
    assert [3] == list(here.state.tasks), "the other gateway's silence lasts"
    assert () == here.say(NoticeHandled(at_ms=T0, position=3, person="ann", reason="rang CBSA"))
    assert [True] == [each.void for each in here.say(PollFailed(at_ms=T0, gateway="other", since_ms=T0, reason="HTTP 500"))]
    assert {} == here.state.tasks
    assert () == here.say(PollRestored(at_ms=T0, gateway="other"))


def test_r2_doors_and_denied_acts_are_counted_on_the_desk() -> None:
    """R2, I8: what a door turned away, and what a person may not do."""
    here = Desk()
    here.say(DoorRefused(at_ms=T0, door="http", tenant="acme", key="k", sha256="x", code="size", reason="too big"))
    here.say(ActDenied(at_ms=T0, person="bob", act="override", object="edi", reason="not an operator"))
    assert (1, 1) == (here.state.refused_at_doors, here.state.denied)


def _policy(basis: int, **changes: Any) -> PolicyAdopted:
    return PolicyAdopted(at_ms=T0, policy=Policy(**changes).as_json(), person="ann", reason="asked", basis=basis)


def test_r5_a_policy_made_from_another_than_the_one_in_force_is_void() -> None:
    """R5, I11: a policy is written whole; two operators at once, or an append that comes late, undo nothing in silence."""
    here = Desk()
    assert () == here.say(_policy(NEVER, rate_max_per_s=20))
    assert ["R5"] == rules(here.say(_policy(NEVER, drain="operator")))
    assert (20, "automatic") == (here.state.policy.rate_max_per_s, here.state.policy.drain)
    assert [0] == [position for position, _ in here.state.effective]
    assert () == here.say(_policy(0, rate_max_per_s=20, drain="operator"))
    assert ("operator", 2) == (here.state.policy.drain, here.state.policy_at)

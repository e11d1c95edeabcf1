"""R10 to R15: who a message is, which document it speaks of, and whose place it takes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lane.identity import parse_wire_key, wire_key
from lane.record import Form, record_of
from lane.state import Document, Message
from tests.unit.lane_story import Story, rules


def test_r10_the_same_message_again_is_a_duplicate() -> None:
    """R10: same key, same bytes, same attributes: one effect."""
    story = Story()
    story.cargo("A1")
    assert ["R10"] == rules(story.cargo("A1"))
    assert 1 == len(story.state.messages)
    assert "duplicate" == story.state.verdicts[1].verdict


@pytest.mark.parametrize("other", [{"sha256": "x"}, {"attributes_sha256": "x"}], ids=["bytes", "attributes"])
def test_r10_the_same_key_with_something_else_is_a_conflict(other: dict[str, str]) -> None:
    """R10: never effective."""
    story = Story()
    story.cargo("A1")
    story.cargo("A1", **other)
    assert "conflict" == story.state.verdicts[1].verdict
    assert 1 == len(story.state.messages)


def test_r10_a_key_is_a_tenants_own() -> None:
    """R10: a message is (lane, tenant, key)."""
    story = Story()
    story.cargo("A1", key="k")
    story.cargo("A2", key="k", tenant="zeta")
    assert [1, 2] == [len(story.state.find("zeta", "k")), len(story.state.find(None, "k"))]


@pytest.mark.parametrize(
    ("tenant", "key", "wire"),
    [
        ("acme", "k1", "highway/acme/k1"),
        ("a/b", "k~2%", "highway/a%2Fb/k%7E2%25"),
        ("é", "k", "highway/%C3%A9/k"),
    ],
)
def test_r11_the_wire_key_escapes_what_it_is_built_with(tenant: str, key: str, wire: str) -> None:
    """R11: `lane/tenant/key` with `/ ~ %` and non-ASCII percent-encoded."""
    story = Story()
    story.cargo("A1", key=key, tenant=tenant)
    assert wire == story.wire_key(key)


def test_r11_later_submissions_are_numbered() -> None:
    """R11: `~2`, `~3` ... for later submissions; attempts of one share the key."""
    story = Story()
    story.cargo("A1")
    story.done("A1").revoke("A1")
    assert "highway/acme/A1~2" == story.wire_key("A1")


RECORD = record_of(inbound=0, received_ms=0, size_bytes=0, digest="", attributes_digest="")


@given(st.text(min_size=1), st.text(min_size=1), st.integers(1, 99))
def test_r11_every_wire_key_reads_back(tenant: str, key: str, submission: int) -> None:
    """R11: the key is one-to-one, whatever a provider calls its messages."""
    form = Form((tenant, "cargo", "original", "edi", False))
    message = Message(position=0, key=key, form=form, doc=Document("shipment", "A1"), record=RECORD)
    message.submission = submission
    text = wire_key("air", message)
    assert text.isascii()
    assert ("air", tenant, key, submission) == parse_wire_key(text)


@pytest.mark.parametrize(
    "text", ["", "highway/acme", "a/b/c/d", "highway/acme/k~x", "highway/acme/k~", "highway/a%G1/k", "highway/a%C3/k", "h/a/k~1"]
)
def test_r11_what_is_no_wire_key_is_not_read_as_one(text: str) -> None:
    """R11, R52: an answer for a key that we never wrote is an unknown key, never an error and never another message's."""
    assert parse_wire_key(text) is None


def test_r12_cargo_and_house_bills_share_own_keys() -> None:
    """R12: CCN and house bill are one namespace of own keys, so the second original is one of the same document."""
    story = Story()
    story.cargo("K")
    assert ["R14"] == rules(story.house_bill("K", primary="P", key="bill"))


def test_r12_a_trip_is_no_shipment_even_with_the_same_key() -> None:
    """R12: other kinds have own keys of their own."""
    story = Story()
    story.cargo("K")
    story.trip("K", key="trip")
    assert ("held", "held") == (story.is_("K"), story.is_("trip"))


def test_r12_the_latest_by_grant_says_whether_a_document_is_on_file() -> None:
    """R12: latest by grant and not by answer: the cancel's answer comes first, the change's after it."""
    story = Story()
    story.cargo("A1")
    story.done("A1")
    story.cargo("A1", key="change", function="change")
    story.cargo("A1", key="cancel", function="cancel")
    story.sent("change")
    story.concluded("change", "transmitted")
    story.status("change", known=True, outcome=None)
    assert "R13" == story.waits("cancel")
    story.captured("change")
    story.done("cancel")
    assert not story["A1"].doc.on_file
    story.captured("change")
    assert not story["A1"].doc.on_file


def test_r12_a_late_capture_does_not_undo_a_later_cancel() -> None:
    """R12: by grant: the original was granted before the cancel, though its answer comes after it."""
    story = Story()
    story.cargo("A1")
    story.intend("A1")
    story.concluded("A1", "not_taken")
    story.withdraw("A1")
    story.cargo("A1", key="cancel", function="cancel")
    story.wait(600).grace_elapsed("cancel")
    story.done("cancel")
    story.captured("A1")
    assert ("captured", False) == (story.is_("A1"), story["A1"].doc.on_file)


def test_r12_whoever_filed_it_the_document_is_on_file() -> None:
    """R12: another tenant's cargo carries this tenant's trip."""
    story = Story()
    story.cargo("A1", tenant="zeta")
    story.done("A1")
    story.trip("T1", "A1")
    assert story.waits("T1") is None


def test_r12_after_a_cancel_a_new_original_may_come() -> None:
    """R12, R14: a cancelled document is not on file."""
    story = Story()
    story.cargo("A1")
    story.cargo("A1", key="cancel", function="cancel")
    assert () == story.cargo("A1", key="again")
    story.done("A1", "cancel", "again")
    assert story["A1"].doc.on_file


def test_r13_one_documents_messages_go_one_after_another() -> None:
    """R13: in lane order, each after the one before is captured."""
    story = Story()
    story.cargo("A1")
    story.cargo("A1", key="c1", function="change")
    story.cargo("A1", key="c2", function="change")
    assert ["R13", "R13"] == rules(story.intend("c2", "c1", "A1"))
    story.transmitted("A1")
    story.captured("A1")
    assert [True, False] == [story["c1"].unblocked, story["c2"].unblocked]
    story.done("c1", "c2")


@pytest.mark.parametrize("leaves", ["parked", "rejected", "withdrawn"])
def test_r13_what_is_parked_rejected_or_withdrawn_has_left_the_queue(leaves: str) -> None:
    """R13: the next one gets its turn, though its document may still be missing (R55)."""
    story = Story()
    story.cargo("A1")
    story.done("A1")
    story.cargo("A1", key="c1", function="change", not_after_ms=story.at_ms)
    story.cargo("A1", key="c2", function="change")
    if leaves == "withdrawn":
        story.withdraw("c1")
    elif leaves == "parked":
        story.wait(1).intend("c1")
    else:
        story.sent("c1").rejected("c1")
    assert leaves == story.is_("c1")
    assert story["c2"].unblocked


def test_r13_an_original_passes_changes_that_wait_for_it() -> None:
    """R13: a change received first waits for its original, which goes first."""
    story = Story()
    story.cargo("A1", key="change", function="change")
    story.cargo("A1")
    assert ["R13"] == rules(story.intend("change"))
    story.done("A1", "change")


def test_r13_an_original_does_not_pass_a_cancel() -> None:
    """R13 speaks of changes: cancel and file anew must not end as file and cancel."""
    story = Story()
    story.cargo("A1", key="cancel", function="cancel")
    story.cargo("A1")
    assert "R13" == story.waits("A1")
    story.wait(600).grace_elapsed("cancel")
    story.done("cancel", "A1")
    assert story["A1"].doc.on_file


def test_r14_an_original_behind_a_change_on_its_way_is_judged_at_its_turn() -> None:
    """R12, R14: once the change is captured, somebody else has filed the document, and the original is a second one."""
    story = Story()
    story.cargo("A1", key="change", function="change")
    story.wait(600).grace_elapsed("change")
    story.intend("change")
    assert [] == rules(story.cargo("A1"))
    story.transmitted("change")
    story.captured("change")
    assert "parked" == story.is_("A1")


def test_r14_an_original_goes_when_the_change_before_it_is_rejected_for_want_of_it() -> None:
    """R14, R55: parked at receipt it would have waited for a person, and the change for ever for it (found by a seed)."""
    story = Story()
    story.cargo("A1", key="change", function="change")
    story.wait(600).grace_elapsed("change")
    story.intend("change")
    story.cargo("A1")
    story.transmitted("change")
    story.rejected("change", code="NOF")
    story.done("A1")
    assert ("captured", None) == (story.is_("A1"), story.waits("change"))


def test_r13_a_change_does_not_pass_a_change() -> None:
    """R13: only an original passes."""
    story = Story()
    story.cargo("A1", key="c1", function="change")
    story.cargo("A1", key="c2", function="change")
    assert ("R22", "R13") == (story.waits("c1"), story.waits("c2"))


def test_r13_a_replacement_takes_the_place_of_what_it_replaces() -> None:
    """R13: `replaces` takes the named message's place, so a later trip about the same shipment still waits for it (E11)."""
    story = Story()
    story.cargo("A1")
    story.done("A1")
    story.trip("T1", "A1")
    story.trip("T2", "A1")
    story.trip("T1", "A1", key="T1b", replaces="T1")
    assert "replaced" == story.is_("T1")
    assert (None, "E11") == (story.waits("T1b"), story.waits("T2"))


def test_r13_a_correction_takes_the_place_of_what_it_corrects() -> None:
    """R13: `corrects` takes the rejected message's place: the change that waited behind it goes after it."""
    story = Story()
    story.cargo("A1")
    story.cargo("A1", key="change", function="change")
    story.sent("A1").rejected("A1")
    assert "R13" == story.waits("change")
    story.cargo("A1", key="A1b", corrects="A1")
    assert story["A1"].place == story["A1b"].place
    assert {} == story.state.troubled
    story.done("A1b", "change")


def test_r13_a_correction_of_another_document_frees_what_waited_for_the_first() -> None:
    """R55: nothing stands for the mistyped document any more, so it is *missing* like any that was never seen."""
    story = Story()
    story.cargo("A1")
    story.trip("T1", "A1")
    story.sent("A1").rejected("A1")
    story.cargo("A9", corrects="A1")
    assert "R22" == story.waits("T1")


def test_r14_a_second_original_is_parked_at_receipt() -> None:
    """R14: if the queue before it, all captured, would leave the document on file."""
    story = Story()
    story.cargo("A1")
    found = story.cargo("A1", key="again")
    assert ["R14"] == rules(found)
    assert "publish a change, or let this one replace" in found[0].sentence
    assert "parked" == story.state.verdicts[1].verdict


def test_r14_an_original_is_judged_again_at_its_turn() -> None:
    """R14: the cancel before it was withdrawn, so it is a second one after all."""
    story = Story()
    story.cargo("A1")
    story.done("A1")
    story.cargo("A1", key="cancel", function="cancel")
    story.cargo("A1", key="again")
    assert "held" == story.is_("again")
    story.withdraw("cancel")
    assert "parked" == story.is_("again")


def test_r14_a_waiting_change_is_no_sign_of_an_original() -> None:
    """R14: the original that a change waits for is the first, not the second."""
    story = Story()
    story.cargo("A1", key="change", function="change")
    assert () == story.cargo("A1")


def test_r15_withdraw_works_until_something_may_be_at_cbsa() -> None:
    """R15: an expired or not taken grant leaves a message ours."""
    story = Story()
    story.cargo("A1")
    story.intend("A1")
    assert ["R41"] == rules(story.withdraw("A1"))
    story.concluded("A1", "expired")
    story.intend("A1")
    story.concluded("A1", "not_taken")
    assert () == story.withdraw("A1")


def test_r15_withdraw_is_void_once_it_may_be_at_cbsa() -> None:
    """R15: unknown, then known not to be there, still counts as sent once."""
    story = Story()
    story.cargo("A1")
    story.intend("A1")
    story.concluded("A1", "unknown")
    assert ["R15"] == rules(story.withdraw("A1"))
    story.status("A1", known=False)
    assert ["R15"] == rules(story.withdraw("A1"))


def test_r15_a_replacement_that_comes_too_late_is_parked() -> None:
    """R15: after that `replaces` is parked."""
    story = Story()
    story.cargo("A1")
    story.sent("A1")
    assert ["R15"] == rules(story.cargo("A1", key="A1b", replaces="A1"))
    assert ("transmitted", "parked") == (story.is_("A1"), story.is_("A1b"))


def test_r15_a_replacement_speaks_of_the_same_document() -> None:
    """R15, R13: there is no place to take in another document's queue."""
    story = Story()
    story.cargo("A1")
    assert ["R15"] == rules(story.cargo("A2", replaces="A1"))
    assert "held" == story.is_("A1")


@pytest.mark.parametrize("field", ["replaces", "corrects"])
def test_r15_what_names_nothing_is_parked(field: str) -> None:
    """R15: a wrong name is a person's mistake, said at once."""
    story = Story()
    assert ["R15"] == rules(story.cargo("A1", **{field: "nothing"}))


def test_r15_another_tenants_message_can_not_be_replaced() -> None:
    """R10, I10: a name is looked for among the publisher's own."""
    story = Story()
    story.cargo("A1", tenant="zeta")
    assert ["R15"] == rules(story.cargo("A1", key="A1b", replaces="A1"))


def test_r15_only_a_rejected_or_parked_message_is_corrected_and_only_once() -> None:
    """R15: `corrects` names a rejected or parked message."""
    story = Story()
    story.cargo("A1")
    assert ["R15"] == rules(story.cargo("A1", key="early", corrects="A1"))
    story.sent("A1").rejected("A1")
    story.cargo("A1", key="A1b", corrects="A1")
    assert ["R15"] == rules(story.cargo("A1", key="A1c", corrects="A1"))


def test_r15_a_withdrawn_correction_leaves_the_corrected_one_to_a_person_again() -> None:
    """R15, R57: otherwise nobody would be asked about the reject any more."""
    story = Story()
    story.cargo("A1")
    story.sent("A1").rejected("A1")
    story.cargo("A1", key="A1b", corrects="A1")
    assert ["R57"] == rules(story.settle("A1", "held"))
    story.withdraw("A1b")
    assert [story["A1"]] == list(story.state.troubled.values())
    assert () == story.settle("A1", "held")


@pytest.mark.parametrize("key", [" ends ", "  ", "a b", "é/~%", "~2"])
def test_r11_a_wire_key_survives_a_header_and_is_read_back(key: str) -> None:
    """R11: no header carries spaces at its ends; what CBSA sends back names the message exactly."""
    story = Story()
    story.cargo("A1", key=key)
    wire = wire_key("highway", story[key])
    assert (wire.strip(), True) == (wire, wire.isascii())
    assert ("highway", "acme", key, 1) == parse_wire_key(wire)


def test_r11_a_submission_of_thousands_of_digits_is_nobodys() -> None:
    """R11, I12: what CBSA's end says is bounded before it is read as a number."""
    assert parse_wire_key("highway/acme/k~" + "9" * 5_000) is None

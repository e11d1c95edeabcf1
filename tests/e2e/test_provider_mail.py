"""Stories of what a provider may see: its own mail from CBSA, whole, and of others only what its own messages name."""

import base64
import json
from typing import Any

from tests.e2e.town import EDI_DOWN, Town, cargo, message, trip


def test_a_provider_gets_its_own_answers_raw_and_matched_and_no_others(border: Town) -> None:
    """I10: the mail of one tenant holds its answers, each as CBSA wrote it, and goes on from where it was left."""
    border.publish(cargo("mail-ours", "CCN-MAIL1", tenant="postel"), cargo("mail-theirs", "CCN-MAIL2", tenant="nosy"))
    border.until_state("mail-ours", "captured")
    border.until_state("mail-theirs", "captured")
    first = border.tidegate("responses", "--tenant", "postel")
    (answer,) = first["responses"]
    assert {"mode": "highway", "key": "mail-ours", "submission": 1} == answer["matched"]
    assert "highway/postel/mail-ours" == answer["raw"]["idempotency_key"]
    assert b"SIM*captured*OK*" in base64.b64decode(answer["raw"]["payload_base64"])
    assert "nosy" not in json.dumps(first)
    assert [] == border.tidegate("responses", "--tenant", "postel", "--after", str(first["next"]))["responses"]

    border.authority.send_answer(idempotency_key=None, receiver="postel", outcome="notice", code="MATCHED", text="a link made")
    border.authority.set_faults({"name": "answer_twice", "next": 1, "match": "mail-more"})
    border.publish(trip("mail-more", "TRIP-MAIL", "CCN-MAIL1", tenant="postel"))
    border.until(lambda: len(later(border, first)) == 3, "the notice and both answers")
    assert [("notice", None), ("captured", "mail-more"), ("captured", "mail-more")] == [
        (each["outcome"], each["matched"] and each["matched"]["key"]) for each in later(border, first)
    ]


def later(border: Town, first: dict[str, Any]) -> list[dict[str, Any]]:
    """The mail after that page."""
    found: list[dict[str, Any]] = border.tidegate("responses", "--tenant", "postel", "--after", str(first["next"]))["responses"]
    return found


def test_an_answer_about_ours_that_is_addressed_to_another_is_nobodys_mail(border: Town) -> None:
    """I10: who is named as receiver and whose message it is must agree; otherwise it stays for a person."""
    border.authority.set_faults({"name": "answer_other_tenant", "next": 1, "match": "strayed"})
    border.publish(cargo("strayed", "CCN-STRAYED", tenant="losing"))
    border.until(lambda: "strayed" in border.captured(), "CBSA to capture it")
    border.publish(cargo("arrived", "CCN-ARRIVED", tenant="losing"))
    border.until_state("arrived", "captured")
    assert [] == border.tidegate("responses", "--tenant", "not-losing")["responses"]
    assert ["arrived"] == [each["matched"]["key"] for each in border.tidegate("responses", "--tenant", "losing")["responses"]]
    border.until_state("strayed", "captured")


def test_one_key_of_two_tenants_names_two_messages_and_neither_is_taken_for_the_other(border: Town) -> None:
    """R10, I10: a publisher's key is its own; who asks without a tenant is told to say whose, and never gets a guess."""
    border.publish(cargo("same-key", "CCN-SAME1", tenant="one"), cargo("same-key", "CCN-SAME2", tenant="other"))
    border.until(lambda: [each.state for each in border.lane("highway").find(None, "same-key")] == ["captured"] * 2, "both")
    asked = border.type("why", "same-key")
    assert (2, {"one", "other"}) == (asked.code, {each["tenant"] for each in asked.value["choices"]})
    assert "CCN-SAME1" == border.tidegate("message", "show", "same-key", "--tenant", "one")["document"]
    assert 2 == border.arrived().count("same-key")


def test_why_names_another_partys_document_only_by_the_key_that_ones_own_message_names(here: Town) -> None:
    """I10: edges cross tenants, so the reason is told, and not who filed what under which key, nor a trip one never named."""
    here.up()
    here.bulletin(EDI_DOWN)
    here.until(lambda: bool(here.lane("highway").outages), "EDI to be down")
    here.publish(
        cargo("ask-cargo", "CCN-THEIRS", tenant="zeta"),
        trip("ask-trip", "TRIP-THEIRS", "CCN-THEIRS", tenant="zeta"),
        trip("our-trip", "TRIP-OURS", "CCN-THEIRS"),
        message("our-close", "close", keys={"previous_ccn": ["CCN-THEIRS"], "house_bill": []}),
    )
    here.until(lambda: here.counts()["held"] == 4, "everything to be held")
    told = {key: json.dumps(here.tidegate("why", key)["reasons"]) for key in ("our-trip", "our-close")}
    assert "CCN-THEIRS" in told["our-trip"]
    for sentences in told.values():
        assert [] == [word for word in ("zeta", "ask-cargo", "ask-trip", "TRIP-THEIRS") if word in sentences]

"""Stories of documents that CBSA has and Tidegate did not send: filed by another party, by hand, or before Tidegate was there."""

from tests.e2e.town import Town, cargo, trip


def test_a_document_that_another_party_has_filed_is_on_file_and_ours_is_parked(border: Town) -> None:
    """R53: `duplicate` to a first attempt: somebody else filed it, content may differ; a trip that names it goes all the same."""
    border.file_at_cbsa("cargo", ccn=["CCN-ELSE1"])
    border.publish(cargo("else-ours", "CCN-ELSE1"), trip("else-trip", "TRIP-ELSE1", "CCN-ELSE1"))
    assert "R53" == border.until_state("else-ours", "parked").code
    border.until_state("else-trip", "captured")
    told = border.tidegate("message", "show", "else-ours")
    assert (True, "parked") == (told["on_file"], told["state"])
    assert "content at CBSA may differ" in told["remark"]
    assert "else-ours" in border.asked_for()
    assert 1 == border.arrived().count("else-ours"), "a duplicate is never sent again"


def test_a_tenants_trip_goes_on_another_tenants_cargo_and_a_second_filing_of_it_is_parked(border: Town) -> None:
    """R12, R14: a document is on file whoever filed it; who files it again hears that it is, before CBSA is bothered."""
    border.publish(trip("both-trip", "TRIP-BOTH", "CCN-BOTH"))
    border.until_state("both-trip", "held")
    border.publish(cargo("both-theirs", "CCN-BOTH", tenant="zeta"))
    border.until_state("both-trip", "captured")
    border.publish(cargo("both-again", "CCN-BOTH"))
    assert "R14" == border.until_state("both-again", "parked").code
    assert ["both-theirs", "both-trip"] == border.arrived()[-2:]


def test_cargo_that_a_clerk_files_in_the_portal_lets_its_trip_go(border: Town) -> None:
    """R34: a portal message is on the clerks' list and is never sent; `message filed` puts its document on file."""
    border.publish(cargo("hand-cargo", "CCN-HAND", channel="emanifest_portal"), trip("hand-trip", "TRIP-HAND", "CCN-HAND"))
    border.until_state("hand-trip", "held")
    assert ["hand-cargo"] == [each["key"] for each in border.tidegate("to-file")]
    assert "E1" == border.tidegate("why", "hand-trip")["reasons"][0]["rule"]
    border.file_at_cbsa("cargo", ccn=["CCN-HAND"])
    told = border.tidegate("message", "filed", "hand-cargo", "--reference", "portal 4711", "--as", "clara")
    assert ("filed", True) == (told["state"], told["on_file"])
    border.until_state("hand-trip", "captured")
    assert [] == border.tidegate("to-file")
    assert "hand-cargo" not in border.arrived()


def test_a_shipment_that_was_filed_before_the_system_existed_is_waited_for_and_then_taken_as_filed(border: Town) -> None:
    """R22: named and never seen: the trip waits the grace, with that reason, then goes with a finding; CBSA has the cargo."""
    border.file_at_cbsa("cargo", ccn=["CCN-BEFORE"])
    border.publish(trip("before-trip", "TRIP-BEFORE", "CCN-BEFORE"))
    border.until_state("before-trip", "held")
    assert ("R22", True) == (border.tidegate("why", "before-trip")["reasons"][0]["rule"], "before-trip" not in border.arrived())
    border.until_state("before-trip", "captured")
    notes = [each["sentence"] for each in border.tidegate("why", "before-trip")["reasons"] if each["rule"] == "note"]
    assert 1 == len(notes)
    assert "never seen here" in notes[0]


def test_a_trip_that_named_a_shipment_nobody_had_filed_goes_again_when_the_shipment_comes(border: Town) -> None:
    """R22, R55: after its grace CBSA rejects it, `shipment not on file`; it waits for the cargo, then goes under the next key."""
    border.publish(trip("hasty-trip", "TRIP-HASTY", "CCN-HASTY"))
    border.until(lambda: "hasty-trip" in border.arrived(), "the trip to be tried")
    border.until(lambda: border.message("hasty-trip").submission == 2, "its reject to be read")
    assert "held" == border.message("hasty-trip").state
    border.publish(cargo("hasty-cargo", "CCN-HASTY"))
    border.until_state("hasty-trip", "captured")
    assert ["hasty-trip", "hasty-cargo", "hasty-trip~2"] == border.arrived()[-3:]

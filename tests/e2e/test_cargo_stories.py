"""Stories of cargo that changes while it is held, and of what goes on by itself once a reject is corrected."""

from schemas.messages import Attributes
from tests.e2e.town import EDI_DOWN, EDI_RESOLVED, Town, cargo, message, trip

Published = tuple[Attributes, bytes]

AMENDED: list[Published] = [
    trip("amended-trip", "TRIP-A", "CCN-A"),
    cargo("amended-change", "CCN-A", function="change"),
    cargo("amended-original", "CCN-A"),
]
"""In the worst order: an original passes the change that waits for it (R13), and the trip waits for the original (E1)."""

REPLACED: list[Published] = [
    cargo("replaced-old", "CCN-B"),
    trip("replaced-trip", "TRIP-B", "CCN-B"),
    cargo("replaced-new", "CCN-B", replaces="replaced-old"),
]

WITHDRAWN: list[Published] = [cargo("withdrawn-old", "CCN-C"), trip("withdrawn-trip", "TRIP-C", "CCN-C")]

BY_HAND: list[Published] = [cargo("hand-cargo", "CCN-E"), trip("hand-trip", "TRIP-E", "CCN-E")]
"""EDI cargo that a clerk files in the portal while EDI is down."""

CANCELLED: list[Published] = [
    cargo("cancelled-original", "CCN-D"),
    trip("cancelled-trip", "TRIP-D", "CCN-D"),
    cargo("cancelled-cancel", "CCN-D", function="cancel"),
    cargo("cancelled-again", "CCN-D"),
]


def test_cargo_amended_replaced_withdrawn_and_cancelled_while_held(anywhere: Town) -> None:
    """R13, R15, R21: what was replaced or withdrawn never goes; the rest goes in the order of its document."""
    anywhere.up()
    anywhere.bulletin(EDI_DOWN)
    anywhere.until(lambda: bool(anywhere.lane("highway").outages), "EDI to be down")
    anywhere.publish(*AMENDED, *REPLACED, *WITHDRAWN, *BY_HAND, *CANCELLED)
    anywhere.until(lambda: anywhere.counts()["held"] == 13 and anywhere.counts()["replaced"] == 1, "everything to be held")
    told = anywhere.tidegate("message", "withdraw", "withdrawn-old", "--reason", "the truck broke down")
    assert "withdrawn" == told["state"]
    anywhere.publish(cargo("withdrawn-new", "CCN-C"))
    anywhere.until_state("withdrawn-new", "held")
    assert 0 == anywhere.posts()
    anywhere.file_at_cbsa("cargo", ccn=["CCN-E"])
    assert "filed" == anywhere.tidegate("message", "filed", "hand-cargo", "--reference", "portal 4711")["state"]

    anywhere.bulletin(EDI_RESOLVED)
    anywhere.until(lambda: anywhere.counts()["captured"] == 12, "everything to be captured")
    first, *went = anywhere.captured()
    assert ("not-by-tidegate-0", 12) == (first, len(went))
    assert [first, *went] == anywhere.arrived(), "nothing was tried in vain"
    assert {"replaced-old", "withdrawn-old", "hand-cargo"}.isdisjoint(went)
    assert "hand-trip" in went
    for one, then in [
        ("amended-original", "amended-change"),
        ("amended-original", "amended-trip"),
        ("replaced-new", "replaced-trip"),
        ("withdrawn-new", "withdrawn-trip"),
        ("cancelled-original", "cancelled-trip"),
        ("cancelled-trip", "cancelled-cancel"),
        ("cancelled-cancel", "cancelled-again"),
    ]:
        assert went.index(one) < went.index(then), f"{one} goes before {then}: {went}"
    assert {"captured": 12, "filed": 1, "replaced": 1, "withdrawn": 1} == anywhere.counts()
    too_late = anywhere.type("message", "withdraw", "amended-original", "--reason", "changed our mind")
    assert (4, "R15") == (too_late.code, too_late.value["rule"])
    anywhere.publish(cargo("replaced-late", "CCN-B", replaces="replaced-new"))
    assert "R15" == anywhere.until_state("replaced-late", "parked").code
    anywhere.assert_sound()


def test_what_depends_on_a_rejected_trip_goes_on_by_itself_once_it_is_corrected(border: Town) -> None:
    """R55: a trip names a shipment that another trip carries (E11); its close waits, with the chain as reason, and then goes."""
    border.publish(cargo("cor-k1", "CCN-COR1"), cargo("cor-k2", "CCN-COR2"), trip("cor-first", "TRIP-COR1", "CCN-COR1"))
    border.until_state("cor-first", "captured")
    bill = message("cor-bill", "house_bill", keys={"house_bill": ["8COR1"], "previous_ccn": ["CCN-COR2"]})
    close = message("cor-close", "close", keys={"previous_ccn": ["CCN-COR2"], "house_bill": ["8COR1"]})
    border.publish(trip("cor-wrong", "TRIP-COR2", "CCN-COR1", "CCN-COR2"), bill, close)
    assert "E11" == border.until_state("cor-wrong", "rejected").code
    border.until_state("cor-bill", "captured")
    border.until_state("cor-close", "held")
    why = border.tidegate("why", "cor-close")
    assert ("held", "E2") == (why["state"], why["reasons"][0]["rule"])
    assert "is rejected" in why["reasons"][0]["sentence"]
    assert "cor-wrong" in border.asked_for()

    border.publish(trip("cor-right", "TRIP-COR2", "CCN-COR2", corrects="cor-wrong"))
    border.until_state("cor-close", "captured")
    assert "cor-right" == border.tidegate("message", "show", "cor-wrong")["corrected_by"]
    assert "rejected" == border.message("cor-wrong").state
    assert "cor-wrong" not in border.asked_for()
    assert ["cor-right", "cor-close"] == border.captured()[-2:]


def test_what_depends_on_cargo_that_cbsa_could_not_read_goes_on_by_itself_once_it_is_corrected(border: Town) -> None:
    """R50, R55: a 400 parks the cargo; a message under a new key takes its place, and the trip that named it needs nobody."""
    border.authority.set_faults({"name": "error_400", "next": 1, "match": "garbled"})
    border.publish(cargo("garbled", "CCN-GARBLED"), trip("garbled-trip", "TRIP-GARBLED", "CCN-GARBLED"))
    assert "R50" == border.until_state("garbled", "parked").code
    border.until_state("garbled-trip", "held")
    assert "E1" == border.tidegate("why", "garbled-trip")["reasons"][0]["rule"]
    border.publish(cargo("ungarbled", "CCN-GARBLED", corrects="garbled"))
    border.until_state("garbled-trip", "captured")
    assert ["ungarbled", "garbled-trip"] == border.arrived()[-2:] == border.captured()[-2:]

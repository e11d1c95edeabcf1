"""The story of CBSA's notice TCC25-0132: two portals are partly down and EDI is not; clerks wait, machines go on."""

import os
from pathlib import Path

import pytest

from tests.e2e.town import NOTICES, Town, cargo, message, notice, trip

SHARED = Path(os.environ.get("TIDEGATE_SHARED", Path(__file__).parents[3] / "shared"))
REAL = SHARED / "bulletins" / "TCC25-0132.txt"
RESTATED = NOTICES / "TCC25-9002.txt"

RECEIVED = {REAL: ("2025-09-28T10:31:00-04:00", "2025-09-28T13:05:00-04:00"),
            RESTATED: ("2025-11-24T10:31:00-05:00", "2025-11-24T15:15:00-05:00")}  # fmt: skip
"""When each came, and when its *resolved* did: a notice from another year than its date is doubted."""


@pytest.fixture(params=["as CBSA sent it", "restated by us"])
def told(request: pytest.FixtureRequest) -> Path:
    """Give the notice's file; the real one is no part of this repository."""
    if request.param == "restated by us":
        return RESTATED
    if not REAL.exists():
        pytest.skip(f"THE REAL NOTICE WAS NOT READ: there is no {REAL}; name its folder's parent in TIDEGATE_SHARED")
    return REAL


def test_two_portals_are_partly_down_and_edi_goes_on(told: Path, here: Town) -> None:
    """R30, I9c: partial holds; what the notice says of CARM in one place only is shown to a person; portals wait, EDI flows."""
    here.up()
    added = here.tidegate("bulletin", "add", str(told), "--received", RECEIVED[told][0])
    number = added["number"]
    here.until(lambda: bool(here.lane("export").outages) and bool(here.lane("highway").outages), "the notice in the lanes")
    states = {(each["name"], each["direction"]): each for each in here.tidegate("status")["channels"]}
    for portal in ("cers", "emanifest_portal"):
        assert ("partial", number) == (states[portal, "inbound"]["state"], states[portal, "inbound"]["incident"])
    assert {"up"} == {states[name, way]["state"] for name in ("edi", "cig", "cad_api", "swi") for way in ("inbound", "outbound")}
    (asked,) = [each for each in here.tidegate("status")["needs_a_person"] if "CARM" in each["reason"]]
    assert ("notice", None) == (asked["state"], asked["key"])

    here.publish(
        cargo("portal-cargo", "CCN-P", channel="emanifest_portal"),
        message("cers-export", "export_declaration", mode="export", channel="cers", keys={"id": ["EXP-1"]}),
        trip("portal-trip", "TRIP-P", "CCN-P"),
        cargo("edi-cargo", "CCN-E"),
        trip("edi-trip", "TRIP-E", "CCN-E"),
    )
    here.until_state("edi-trip", "captured")
    here.until_state("cers-export", "held", mode="export")
    assert [] == here.tidegate("to-file"), "no clerk is sent to a portal that is down"
    assert ["R30"] == [each["rule"] for each in here.tidegate("why", "portal-cargo")["reasons"]]

    resolved = here.words / "resolved.txt"
    resolved.write_text(
        notice(number, "The outage has now been resolved.", state="RESOLVED", subject="CERS and eManifest Portals")
    )
    here.tidegate("bulletin", "add", str(resolved), "--received", RECEIVED[told][1])
    here.until(lambda: here.channel("cers") == here.channel("emanifest_portal") == "up", "the portals to be up")
    assert {"portal-cargo", "cers-export"} == {each["key"] for each in here.tidegate("to-file")}
    assert 1 == here.tidegate("status")["lanes"][0]["to_file"]
    here.file_at_cbsa("cargo", ccn=["CCN-P"])
    for key in ("portal-cargo", "cers-export"):
        assert "filed" == here.tidegate("message", "filed", key, "--reference", "shown by the portal", "--as", "clara")["state"]
    here.until_state("portal-trip", "captured")
    assert ["edi-cargo", "edi-trip", "portal-trip"] == [key for key in here.arrived() if not key.startswith("not-by")]

    here.tidegate("bulletin", "handled", str(asked["position"]), "--reason", "asked TCCU: CARM is not concerned")
    assert [] == [each for each in here.tidegate("status")["needs_a_person"] if "CARM" in each["reason"]]
    here.assert_sound()

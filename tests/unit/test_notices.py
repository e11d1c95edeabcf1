"""What a bulletin says, against the truth of the shared fixtures and against notices that we wrote."""

import json
import os
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from consumers.notice_layout import LINES_COUNT_MAX, NOTICE_CHARS_MAX
from consumers.notices import Notice, NoticeUnreadable, read_notice
from schemas.facts import COMPONENTS, Component, Direction, Effect, Scope

HERE = Path(__file__).resolve().parents[1] / "data" / "notices"
SHARED = Path(os.environ.get("TIDEGATE_SHARED", str(Path(__file__).resolve().parents[3] / "shared"))) / "bulletins"
ET = ZoneInfo("America/Toronto")
REFUSED = {
    *("AMPS-GRACE-2025-10.txt", "CANAAN-2025-09-30.txt", "CBSA-2025-05-03.txt", "CTA-STATEMENT-undated.txt"),
    *("EDI-DIF-undated.txt", "EDI10-40.txt", "TCC17-200.txt", "TCC18-157.txt", "TCC19-012.txt", "TCC19-113.txt"),
    *("TCC19-120.UPDATE.txt", "TCC20-086.txt", "TCC20-134.txt", "TCC24-0060.txt", "TCC24-007.txt", "TCC24-0095.txt"),
    "TCC26-0028.txt",
}
"""Older layouts, relays, no notices, no number, parts missing: to a person. All others are read, and right."""
CHANNELS: dict[str, tuple[Component, Direction]] = {
    "EDI_IN": ("edi", "inbound"),
    "EDI_OUT": ("edi", "outbound"),
    "CIG_OUT": ("cig", "outbound"),
    "EMANIFEST_PORTAL": ("emanifest_portal", "inbound"),
    "CERS": ("cers", "inbound"),
    "CCP": ("ccp", "inbound"),
}
EFFECTS: dict[str, set[Effect]] = {
    "unavailable": {"unavailable"},
    "unavailable for some clients": {"partial"},
    "intermittent": {"partial"},
    "submission errors": {"partial", "unavailable"},
    "may be unavailable": {"partial", "unavailable"},
    "forced re-logon": {"relogon"},
    "data stays in Updating": {"delayed"},
    "delay": {"delayed"},
}
CARM_DISAGREES = (
    "Its clients line also names the CARM Client Portal, which disagrees with its title and description: "
    "left as it is, ask CBSA if in doubt."
)
SCHEDULED = "TCC25-9010 - EDI SCHEDULED Maintenance\nDescription\n"
NIGHT = "November 29, 2025 from 04:30 to 06:00"
PORTALS = {"emanifest_portal", "cers", "ccp"}


def at_ms(printed: str) -> int:
    """Unix milliseconds of an Eastern `2025-09-28T10:20`."""
    return int(datetime.fromisoformat(printed).replace(tzinfo=ET).timestamp() * 1000)


def read(name: str, received: str = "2025-11-24T12:00") -> Notice:
    return read_notice((HERE / name).read_text(encoding="utf-8"), received_ms=at_ms(received))


def notice(title: str, description: str, *, start: str = "2025-11-24 09:40 (ET)", end: str = "", clients: str = "") -> str:
    """A notice in the labelled layout."""
    ends = f"\nEnd Date / Time\n\n{end}\n" if end else ""
    above = f"{title}\n\nStart Date / Time\n\n{start}\n{ends}\nClients Affected\n\n{clients}\n"
    return f"{above}\nDescription\n\n{description}\n\nAction Required\n\nWait.\n"


def read_text(text: str) -> Notice:
    return read_notice(text, received_ms=at_ms("2025-11-24T12:00"))


def closed(scopes: Iterable[Scope]) -> dict[str, Effect]:
    """`edi.inbound` to effect."""
    return {f"{scope.component}.{scope.direction}": scope.effect for scope in scopes}


def shared_cases() -> list[Any]:
    index = SHARED / "index.jsonl"
    if not index.exists():
        reason = (
            f"NO SHARED BULLETINS at {SHARED}: set TIDEGATE_SHARED to read CBSA's own wording; only our own texts are read now"
        )
        return [pytest.param({}, marks=pytest.mark.skip(reason=reason), id="none")]
    return [pytest.param(truth, id=truth["file"]) for truth in map(json.loads, index.read_text(encoding="utf-8").splitlines())]


@pytest.mark.parametrize("truth", shared_cases())
def test_no_shared_bulletin_is_read_wrong(truth: dict[str, Any]) -> None:
    """Number, state, windows and channels are those of index.jsonl, or the notice is refused with a sentence."""
    text = (SHARED / truth["file"]).read_text(encoding="utf-8")
    windows = truth["windows"]
    received_ms = at_ms(windows[0]["start"][:10] + "T12:00" if windows else "2025-09-28T12:00")
    if truth["file"] in REFUSED:
        with pytest.raises(NoticeUnreadable, match=r"\w \w.*\.$"):
            read_notice(text, received_ms=received_ms)
        return
    got = read_notice(text, received_ms=received_ms)
    ends_ms = at_ms(truth["resolved_at"]) if truth["resolved_at"] else None
    expected = {
        (*CHANNELS[w["channel"]], at_ms(w["start"]), at_ms(w["end"]) if w["end"] else None, e)
        for w in windows
        for e in EFFECTS[w["effect"]]
    }
    actual = {(s.component, s.direction, s.starts_ms, s.ends_ms or got.resolved_ms, s.effect) for s in got.scopes}
    beyond = {
        scope for scope in actual - expected if not (scope[0] in PORTALS and scope[1] == "outbound" and scope[4] == "unavailable")
    }
    assert set() == beyond
    assert {scope[:4] for scope in expected} == {scope[:4] for scope in actual & expected}
    assert (truth["number"], truth["state"].lower(), ends_ms) == (got.number, got.state, got.resolved_ms)


@pytest.mark.skipif(not SHARED.exists(), reason=f"NO SHARED BULLETINS at {SHARED}: set TIDEGATE_SHARED")
def test_the_real_notice_closes_cers_and_the_portal_and_tells_of_carm() -> None:
    """Issue: TCC25-0132 works as it stands, leaves EDI up, and says that its clients line disagrees; it does not guess."""
    text = (SHARED / "TCC25-0132.txt").read_text(encoding="utf-8")
    expected = Notice(
        number="TCC25-0132",
        state="open",
        title="TCC25-0132 - CERS and eManifest Portals are Unavailable",
        scopes=(
            Scope(component="emanifest_portal", direction="inbound", effect="partial", starts_ms=1759069200000),
            Scope(component="cers", direction="inbound", effect="partial", starts_ms=1759069200000),
        ),
        starts_ms=1759069200000,
        resolved_ms=None,
        findings=(CARM_DISAGREES,),
    )
    assert expected == read_notice(text, received_ms=1759070000000)


def test_our_notice_like_it_reads_the_same() -> None:
    """The core case does not hang on the shared folder."""
    got = read("TCC25-9002.txt")
    assert {"emanifest_portal.inbound": "partial", "cers.inbound": "partial"} == closed(got.scopes)
    assert ("open", at_ms("2025-11-24T10:20"), None) == (got.state, got.starts_ms, got.resolved_ms)
    assert (CARM_DISAGREES,) == got.findings


@pytest.mark.parametrize(
    ("name", "state", "resolved"),
    [
        ("TCC25-9001.txt", "open", None),
        ("TCC25-9001.UPDATE.txt", "update", None),
        ("TCC25-9001.RESOLVED.txt", "resolved", "2025-11-24T15:10"),
    ],
)
def test_one_number_opens_updates_and_resolves(name: str, state: str, resolved: str | None) -> None:
    """DOMAIN 0.5: number = incident, title word = state; a resolved text left in the present tense is resolved."""
    got = read(name)
    assert ("TCC25-9001", state, ()) == (got.number, got.state, got.findings)
    assert {"edi.inbound": "unavailable"} == closed(got.scopes)
    assert (at_ms("2025-11-24T09:40"), at_ms(resolved) if resolved else None) == (got.starts_ms, got.resolved_ms)


def test_scheduled_prose_gives_each_window() -> None:
    """DOMAIN 2: separate windows per channel; the second one of a sentence takes its date."""
    got = read("TCC25-9003.txt")
    actual = {(s.component, s.direction, s.effect, s.starts_ms, s.ends_ms) for s in got.scopes if s.scheduled}
    expected = {
        ("emanifest_portal", "inbound", "delayed", at_ms("2025-11-29T03:00"), at_ms("2025-11-29T10:00")),
        ("emanifest_portal", "inbound", "relogon", at_ms("2025-11-29T06:00"), at_ms("2025-11-29T07:00")),
        ("cers", "inbound", "relogon", at_ms("2025-11-29T06:00"), at_ms("2025-11-29T07:00")),
        ("cers", "inbound", "relogon", at_ms("2025-11-30T06:00"), at_ms("2025-11-30T07:00")),
        ("edi", "inbound", "unavailable", at_ms("2025-11-30T04:30"), at_ms("2025-11-30T06:00")),
        ("edi", "outbound", "unavailable", at_ms("2025-11-30T04:30"), at_ms("2025-11-30T06:00")),
        ("edi", "inbound", "unavailable", at_ms("2025-11-30T07:00"), at_ms("2025-11-30T08:30")),
        ("edi", "outbound", "unavailable", at_ms("2025-11-30T07:00"), at_ms("2025-11-30T08:30")),
    }
    assert ("scheduled", expected) == (got.state, actual)


def test_a_short_break_closes_its_whole_window() -> None:
    """DOMAIN 2: a break of minutes can lie anywhere in its window."""
    got = read("TCC25-9004.txt")
    assert {(at_ms("2025-11-29T03:00"), at_ms("2025-11-29T06:00"))} == {(s.starts_ms, s.ends_ms) for s in got.scopes}
    assert "The break is said to be about 30 minutes within its window: the whole window is closed." in got.findings


@pytest.mark.parametrize(
    ("title", "description", "expected"),
    [
        ("EDI Unavailable", "EDI is currently unavailable.", {"edi.inbound": "unavailable", "edi.outbound": "unavailable"}),
        ("EDI Outage", "Clients using EDI cannot transmit to the CBSA.", {"edi.inbound": "unavailable"}),
        ("EDI Outage", "The CBSA can't receive EDI.", {"edi.inbound": "unavailable"}),
        ("EDI Outbound Outage", "The CBSA is not able to send acknowledgements and RNS.", {"edi.outbound": "unavailable"}),
        (
            "EDI Issue",
            "The CBSA is not able to process EDI. Messages are received and queued.",
            {"edi.inbound": "not_processing", "edi.outbound": "unavailable"},
        ),
        ("EDI delays", "EDI messages are late.", {"edi.inbound": "delayed", "edi.outbound": "delayed"}),
        ("Delays in EDI", "Outbound EDI is late. Inbound EDI is not affected.", {"edi.outbound": "delayed"}),
        ("EDI issue", "Some clients are unable to send EDI to CBSA.", {"edi.inbound": "partial"}),
        ("CIG outage - outbound only", "The CBSA cannot process outbound data for CIG users.", {"cig.outbound": "unavailable"}),
        ("SWI issue", "IIDs are received but late.", {"swi.inbound": "delayed", "swi.outbound": "delayed"}),
        ("RNS delays", "RNS messages are delayed.", {"rns.outbound": "delayed"}),
        ("CAD via API unavailable", "CAD is unavailable.", {"cad_api.inbound": "unavailable", "cad_api.outbound": "unavailable"}),
        ("CCP down", "The CARM Client Portal is down.", {"ccp.inbound": "unavailable", "ccp.outbound": "unavailable"}),
        (
            "eManifest Portal unavailable",
            "The eManifest Portal is unavailable. Clients may use EDI instead.",
            {"emanifest_portal.inbound": "unavailable", "emanifest_portal.outbound": "unavailable"},
        ),
        ("CERS", "CERS users may see a forced re-logon.", {"cers.inbound": "relogon"}),
        (
            "EDI Inbound Outage",
            "Inbound EDI remains unavailable. EDI outbound has been restored.",
            {"edi.inbound": "unavailable"},
        ),
    ],
)
def test_words_close_what_they_name(title: str, description: str, expected: dict[str, Effect]) -> None:
    """DOMAIN 2: outage type, direction and effect by CBSA's words; what still works stays open."""
    got = read_text(notice(f"TCC25-9010 - {title}", description))
    assert (expected, ()) == (closed(got.scopes), got.findings)


@pytest.mark.parametrize(
    ("title", "description", "expected", "finding"),
    [
        (
            "CERS Unavailable",
            "EDI inbound is unavailable.",
            {"cers.inbound", "cers.outbound", "edi.inbound"},
            "Its title names CERS",
        ),
        ("EDI Inbound Outage", "The CBSA cannot send outbound EDI.", {"edi.inbound", "edi.outbound"}, "same directions"),
        ("EDI Outage", "Clients are not receiving EDI acknowledgements.", {"edi.inbound", "edi.outbound"}, "only outbound"),
        ("EDI Inbound Delays", "Inbound EDI is unavailable.", {"edi.inbound"}, "unavailable was taken"),
        ("EDI Inbound Outage", "Inbound EDI is down. SWI runs.", {"edi.inbound"}, "SWI (IID) without saying that it fails"),
        ("EDI Inbound Outage", "Inbound EDI and DIF are down.", {"edi.inbound"}, "DIF, which is no channel here"),
    ],
)
def test_a_disagreement_closes_both_and_says_so(title: str, description: str, expected: set[str], finding: str) -> None:
    """Fail closed: the union, with a finding."""
    got = read_text(notice(f"TCC25-9010 - {title}", description))
    assert expected == closed(got.scopes).keys()
    assert any(finding in said for said in got.findings), got.findings


def test_a_portal_without_a_name_is_every_portal() -> None:
    """Fail closed, with a finding; after a portal was named, "the portal" is that one."""
    got = read_text(notice("TCC25-9010 - Portal Delays", "The portal is slow."))
    assert closed(got.scopes) == {"emanifest_portal.inbound": "delayed", "cers.inbound": "delayed", "ccp.inbound": "delayed"}
    assert any("without saying which" in said for said in got.findings)
    named = read_text(notice("TCC25-9010 - eManifest Portal Delays", "Trade data in the portal may stay in Updating status."))
    assert (closed(named.scopes), named.findings) == ({"emanifest_portal.inbound": "delayed"}, ())


def test_a_window_in_the_autumn_hour_is_the_longer_one() -> None:
    """I9c: 01:15 to 01:45 on the night that clocks go back closes from the first 01:15 to the second 01:45."""
    text = SCHEDULED + "Sunday, November 2, 2025 from 01:15 to 01:45 (ET): all EDI applications are unavailable."
    got = read_notice(text, received_ms=at_ms("2025-11-01T12:00"))
    assert {(scope.starts_ms, scope.ends_ms) for scope in got.scopes} == {(1762060500000, 1762065900000)}
    assert ["earlier one" in said or "later one" in said for said in got.findings] == [True, True]


def test_all_cbsa_systems_close_as_the_plan_says() -> None:
    """DOMAIN 2, FULL_CBSA: keep sending EDI, queued at CBSA; no responses; unless it says that CBSA can't receive."""
    got = closed(read_text(notice("TCC25-9010 - Full System Outage", "All CBSA systems are unavailable.")).scopes)
    assert {f"{component}.{way}" for component in COMPONENTS for way in ("inbound", "outbound")} == got.keys()
    assert ("not_processing", "unavailable", "unavailable") == (got["edi.inbound"], got["edi.outbound"], got["cers.inbound"])
    stopped = closed(read_text(notice("TCC25-9010 - Outage", "All CBSA systems are down: the CBSA cannot receive data.")).scopes)
    assert "unavailable" == stopped["edi.inbound"]


@pytest.mark.parametrize(
    ("fields", "resolved", "finding"),
    [
        ({"end": "2025-11-24 08:00 (ET)"}, None, "is before its start"),
        ({"end": "soon"}, None, "Its end 'soon' can't be read as a time."),
        ({"end": "Initial investigation underway"}, None, "It says RESOLVED and gives no end"),
        ({"start": "this morning", "end": "2025-11-24 10:00"}, "2025-11-24T10:00", "Its start 'this morning'"),
        ({"start": "2024-11-24 09:40 (ET)", "end": "2025-11-24 10:00"}, "2025-11-24T10:00", "check the year"),
        ({"end": "2025-11-24 10:00 (EDT)"}, "2025-11-24T10:00", "zone that is not in force"),
    ],
)
def test_odd_times_are_told_and_not_guessed(fields: dict[str, str], resolved: str | None, finding: str) -> None:
    """DOMAIN 5: ends before starts, wrong years, words for times."""
    got = read_text(notice("TCC25-9010 RESOLVED - EDI Inbound Outage", "Inbound EDI was down.", **fields))
    assert ("resolved", at_ms(resolved) if resolved else None) == (got.state, got.resolved_ms)
    assert any(finding in said for said in got.findings), got.findings


@pytest.mark.parametrize(
    ("title", "description", "state", "finding"),
    [
        ("TCC25-9010 - EDI Inbound Outage", "Inbound EDI was down. It has now been resolved.", "open", "not taken as resolved"),
        ("TCC25-9010 CORRECTION - EDI Inbound Outage", "Inbound EDI is down.", "update", "CORRECTION"),
        ("TCC25-9010 - EDI Inbound Outage - UPDATE", "Inbound EDI is down.", "update", ""),
        ("RESOLVED: TCC25-9010 EDI Inbound Outage", "Inbound EDI was down.", "resolved", "gives no end"),
        ("TCC25-9010 - EDI Unscheduled Outage", "EDI is down.", "open", ""),
    ],
)
def test_the_title_word_is_the_state(title: str, description: str, state: str, finding: str) -> None:
    """DOMAIN 0.5; only a title's status word resolves anything."""
    got = read_text(notice(title, description))
    assert state == got.state
    assert any(finding in said for said in (*got.findings, ""))


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "empty"),
        ("x" * (1024 * 1024), "more than"),
        ("\n" * (LINES_COUNT_MAX + 1) + "x", "lines"),
        (notice("EDI Inbound Outage", "EDI is down."), "No bulletin number"),
        (notice("TCC25-9010 - Outage", "It is down."), "which of CBSA's systems"),
        (notice("TCC25-9010 - EDI tip", "Where to find the EDI codes."), "says that something fails"),
        (notice("TCC25-9010 PARTIALLY RESOLVED - EDI", "EDI is down."), "plainly"),
        (notice("TCC25-9010 - EDI outage soon resolved we hope", "EDI is down."), "status word"),
        (notice("TCC25-9010 RESOLVED - EDI", "Inbound EDI is back. Outbound EDI is still down."), "does not agree"),
        (notice("TCC25-9010 - see TCC25-9011 - EDI", "EDI is down."), "several bulletins"),
        (notice("TCC25-9010 - EDI\u202e down", "EDI is down."), "hidden character"),
        (notice("TCC25-9010 - EDI\x00 down", "EDI is down."), "hidden character"),
        ("TCC25-9010 - Panne EDI\nDate/heure de début\n2025-11-24 09:40\nClients affectés :\nTous", "French"),
        ("TCC17-9010 - EDI outage\nClients Affected: all\nEDI is down.\nAction Required\nWait", "on lines of their own"),
        ("TCC25-9010 - EDI SCHEDULED Maintenance CANCELLED\nDescription\nNone", "called off"),
        (SCHEDULED + "EDI is unavailable.", "not when"),
        (SCHEDULED + "Sunday, November 29, 2025 from 04:30 to 06:00: EDI is down.", "certainty"),
        (SCHEDULED + "November 29, 2025 from 06:30 to 04:00: EDI is down.", "ends before"),
        (SCHEDULED + NIGHT + " and Sunday, the same hours: EDI is down.", "certainty"),
        (SCHEDULED + NIGHT + ": work goes on.", "what happens"),
        (SCHEDULED.replace("EDI", "EDI and CERS") + NIGHT + ": EDI is down.", "names cers"),
        (SCHEDULED + NIGHT + " and from 04:30 to 06:00" * 500 + ": EDI is down.", "windows"),
    ],
)  # fmt: skip
def test_what_cannot_be_known_is_refused_with_a_sentence(text: str, sentence: str) -> None:
    """Issue: what cannot be read is kept and shown to a person; nothing is guessed."""
    with pytest.raises(NoticeUnreadable) as refused:
        read_text(text)
    assert sentence in str(refused.value)


def test_an_older_layout_is_refused() -> None:
    """Issue: the older layouts come with a later issue."""
    with pytest.raises(NoticeUnreadable, match="stacked columns"):
        read("older-stacked-columns.txt")


def test_zero_width_and_direction_marks_do_not_hide_a_word() -> None:
    """A page's invisible marks are dropped: a program reads what a person sees."""
    got = read_text(notice("TCC25-9010 RESOL\u200bVED - EDI\u200e Inbound\u00a0Outage", "Inbound EDI was down."))
    assert ("resolved", {"edi.inbound": "unavailable"}) == (got.state, closed(got.scopes))


@pytest.mark.timeout(20)
@pytest.mark.parametrize(
    "piece", ["CBSA not ", "EDI cannot ", "some clients ", "from 04:30 to ", "resolved not ", "| ", "CBSA send "]
)
def test_hostile_repetition_costs_little(piece: str) -> None:
    """Bounded: no search of ours grows past the notice's limit (the timeout is the test)."""
    text = notice("TCC25-9010 - EDI Outage", piece * ((NOTICE_CHARS_MAX - 400) // len(piece)) + ". EDI is down.")
    assert ("TCC25-9010", "open") == (read_text(text).number, read_text(text).state)

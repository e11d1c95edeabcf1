"""Stories of channels that are down: not one byte goes to them; and of a link that fails before any notice says so."""

import json
from pathlib import Path
from typing import Any

from tests.e2e.town import EDI_DOWN, EDI_RESOLVED, NOTICES, Town, cargo

ROAD = ("highway", "rail")
TENANTS = ("acme", "zeta", "omega")
PORTALS_DOWN = (NOTICES / "TCC25-9002.txt").read_text()


def shipments(tenant: str, count: int) -> list[dict[str, Any]]:
    """For each of four modes some shipments with their conveyance, the conveyance first, and a filing for the portal."""
    lines: list[dict[str, Any]] = []
    for mode in (*ROAD, "air", "marine"):
        crn, ccns = f"CRN-{tenant}-{mode}", [f"CCN-{tenant}-{mode}-{number}" for number in range(count)]
        lines.append({"key": f"{tenant}-{mode}-trip", "mode": mode, "kind": "conveyance", "keys": {"crn": [crn]}})
        if mode in ROAD:
            lines[-1]["keys"]["ccn"] = ccns
        for number, ccn in enumerate(ccns):
            keys = {"ccn": [ccn]} if mode in ROAD else {"ccn": [ccn], "crn": [crn]}
            lines.append({"key": f"{tenant}-{mode}-{number}", "mode": mode, "kind": "cargo", "keys": keys})
        if mode == "rail":
            continue  # the portal takes no rail
        portal = {"channel": "emanifest_portal", "keys": {"ccn": [f"CCN-{tenant}-{mode}-portal"]}}
        lines.append({"key": f"{tenant}-{mode}-portal", "mode": mode, "kind": "cargo", **portal})
    return [{"tenant": tenant, "payload": f"ISA*00*{line['key']}~", **line} for line in lines]


def publish_at_once(town: Town, folder: Path) -> int:
    """Each tenant publishes by a process of its own, all at the same time; returns how many messages."""
    running = []
    for tenant in TENANTS:
        file = folder / f"{tenant}.jsonl"
        file.write_text("".join(json.dumps(line) + "\n" for line in shipments(tenant, 5)))
        running.append(town.process("publish", "--batch", str(file)))
    receipts = 0
    for process in running:
        out, err = process.communicate(timeout=60)
        assert 0 == process.returncode, err
        receipts += len(json.loads(out))
    return receipts


def test_while_everything_is_down_not_one_byte_goes_out_however_many_publish(anywhere: Town, tmp_path: Path) -> None:
    """R30, R34: by the authority's own count; after *resolved* EDI drains in each mode's order, the portal's go to the clerks."""
    anywhere.up()
    anywhere.bulletin(EDI_DOWN)
    anywhere.bulletin(PORTALS_DOWN)
    modes = (*ROAD, "air", "marine")
    anywhere.until(lambda: all(len(anywhere.lane(mode).outages) == 2 for mode in modes), "both notices in every lane")
    count = publish_at_once(anywhere, tmp_path)
    assert 3 * (4 * 6 + 3) == count
    anywhere.until(lambda: anywhere.counts()["held"] == count, "everything to be held")
    anywhere.stays(lambda: anywhere.posts() == 0, "not one post")
    assert {} == anywhere.authority.stats()["channels"], "no channel was ever spoken to"
    assert [] == anywhere.tidegate("to-file"), "and no clerk is sent to a portal that is down"

    anywhere.bulletin(EDI_RESOLVED)
    anywhere.until(lambda: anywhere.counts()["captured"] == 3 * 4 * 6, "all EDI to be captured")
    assert {"edi"} == set(anywhere.authority.stats()["channels"])
    assert {"captured": 72, "held": 9} == anywhere.counts()
    went = anywhere.captured()
    for tenant in TENANTS:
        for mode in ROAD:
            assert max(went.index(f"{tenant}-{mode}-{number}") for number in range(5)) < went.index(f"{tenant}-{mode}-trip")
    assert [] == anywhere.tidegate("to-file")
    anywhere.assert_sound()


def test_refusals_before_any_notice_let_one_probe_at_a_time_go_and_park_nothing(here: Town) -> None:
    """R33: the link is suspect, as `status` says; the notice makes it down and ends the probes; *resolved* opens it."""
    here.policy(probe_ms=200, probe_max_ms=400)
    here.up()
    here.authority.set_channel("edi", inbound="down")
    here.publish(cargo("scout", "CCN-SCOUT"))
    here.until(lambda: here.channel("edi") == "suspect", "the link to be suspect")
    here.publish(*(cargo(f"k-{number}", f"CCN-{number}", tenant=TENANTS[number % 3]) for number in range(30)))
    here.until(lambda: here.posts() >= 6, "some probes")
    assert 1 == here.authority.stats()["posts_at_once_max"], "one probe at a time"
    assert 0 == here.counts()["parked"]
    assert here.posts() < 40, "probes are paced, not hammered"
    assert ("suspect", []) == (here.channel("edi"), here.asked_for())

    here.bulletin(EDI_DOWN)
    here.until(lambda: here.channel("edi") == "down", "the notice to close EDI")
    here.until(lambda: here.counts() == {"held": 31}, "the last probe to come back")
    before = here.authority.stats()["channels"]["edi"]["bytes"]
    here.stays(lambda: here.authority.stats()["channels"]["edi"]["bytes"] == before, "not one byte while down")

    here.authority.set_channel("edi", inbound="up")
    here.bulletin(EDI_RESOLVED)
    here.until(lambda: here.counts() == {"captured": 31}, "everything to be captured")
    here.until(lambda: here.channel("edi") == "up", "the channel to be up")
    here.assert_sound()


def test_refused_connections_that_heal_by_themselves_cost_nothing(border: Town) -> None:
    """R33: nobody listens for a while and no notice says so: suspect, held, then everything goes, each message once."""
    border.authority.close_listener(3)
    border.publish(cargo("heal-scout", "CCN-HEAL"))
    border.until(lambda: border.channel("edi") == "suspect", "the link to be suspect")
    keys = [f"heal-{number}" for number in range(20)]
    border.publish(*(cargo(key, f"CCN-{key}") for key in keys))
    border.until_state(keys[-1], "held")
    assert not set(keys) & set(border.asked_for())
    border.until(border.authority.is_reachable, "the listener to be back")
    for key in keys:
        border.until_state(key, "captured")
    assert 21 == sum(key.startswith("heal-") for key in border.arrived())
    assert 20 == sum(border.message(key).attempts for key in keys), "the scout was the probe, nothing else was tried"
    assert "up" == border.channel("edi")

"""The story of an operator who lets a backlog go by hand: nothing of it moves unasked, and every act is a fact."""

from tests.e2e.town import EDI_DOWN, EDI_RESOLVED, Town, cargo, trip

HELD = 12
REASON = ("--reason", "step by step", "--as", "olga")


def test_an_operators_drain_is_planned_started_slowed_paused_resumed_and_aborted(here: Town) -> None:
    """R61: the held set waits for a person, new messages flow, an abort leaves the rest held until it is started again."""
    here.up("--drain", "operator")
    here.bulletin(EDI_DOWN)
    here.until(lambda: bool(here.lane("highway").outages), "EDI to be down")
    here.publish(trip("trip", "TRIP-1", "CCN-0", "CCN-1"), *(cargo(f"k-{number}", f"CCN-{number}") for number in range(HELD)))
    here.until(lambda: here.counts()["held"] == HELD + 1, "everything to be held")
    here.bulletin(EDI_RESOLVED)
    here.until(lambda: here.channel("edi") == "backlog", "EDI to be open, with a backlog")

    here.publish(cargo("new", "CCN-NEW"), trip("bound", "TRIP-2", "CCN-11"))
    here.until_state("new", "captured")
    here.until_state("bound", "held")
    (plan,) = here.tidegate("replay", "plan")
    assert ("waiting", HELD + 1) == (plan["status"], plan["count"])
    assert [(1, {"cargo": HELD}), (2, {"conveyance": 1})] == [(wave["wave"], wave["kinds"]) for wave in plan["waves"]]
    here.stays(lambda: here.arrived() == ["new"], "only what is new goes")

    started = here.tidegate("replay", "start", "--rate", "1", *REASON)
    assert [(True, 1)] == [(each["effective"], each["channels"][0]["rate_per_s"]) for each in started]
    here.until(lambda: here.counts()["captured"] >= 2, "the first of the drain")
    here.tidegate("replay", "rate", "3", *REASON)
    here.until(lambda: here.counts()["captured"] >= 4, "some more")
    here.tidegate("replay", "pause", *REASON)
    went = settled(here)
    assert 4 <= went < HELD
    here.stays(lambda: here.counts()["captured"] == went, "paused means paused")

    here.tidegate("replay", "resume", *REASON)
    here.until(lambda: here.counts()["captured"] > went, "the drain to go on")
    here.tidegate("replay", "abort", *REASON)
    went = settled(here)
    assert went < HELD + 2
    here.stays(lambda: here.counts()["captured"] == went, "aborted means aborted")
    assert HELD + 3 - went == here.counts()["held"]
    assert 6 == here.type("replay", "watch", "--timeout", "0").code
    assert 4 == here.type("replay", "pause", *REASON).code

    here.tidegate("replay", "start", "--rate", "1000", *REASON)
    here.until(lambda: here.counts() == {"captured": HELD + 3}, "everything to be captured")
    order = here.captured()
    assert max(order.index("k-0"), order.index("k-1")) < order.index("trip")
    assert order.index("k-11") < order.index("bound")
    here.assert_sound()


def settled(here: Town) -> int:
    """Wait until nothing is in flight; how many are captured."""
    here.until(lambda: here.counts()["granted"] + here.counts()["transmitted"] == 0, "nothing to be in flight")
    return here.counts()["captured"]

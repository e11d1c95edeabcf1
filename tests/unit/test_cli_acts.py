"""What a person does about messages, replays, components and policies, and what the command line says of it."""

import re
from pathlib import Path

import pytest

from console.output import Stop
from console.up import policy_changes
from lane.policy import Policy
from schemas.facts import ComponentOverridden, MessageWithdrawn, PolicyAdopted, ReplayChanged
from schemas.streams import DESK, lane
from tests.cli_rig import EDI_DOWN, EDI_RESOLVED, RECEIVED_LATER, Rig, cargo, trip


@pytest.fixture
def rig(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Rig:
    return Rig(tmp_path, capsys).with_a_log()


def test_a_withdrawn_message_names_the_person_and_the_place_in_the_log(rig: Rig) -> None:
    """R5, R15, I8: the act is a fact of the lane with person and reason, and the command prints where it stands."""
    rig.publish(cargo("k1", "ABCD111"))
    said = rig.type("message", "withdraw", "k1", "--as", "olga", "--reason", "sent by another way")
    assert (0, "withdrawn", {"stream": "lane.highway", "position": 1}) == (said.code, said.value["state"], said.value["event"])
    (_, fact) = rig.facts(lane("highway"))
    assert isinstance(fact, MessageWithdrawn)
    assert ("olga", "sent by another way") == (fact.person, fact.reason)


def test_what_is_withdrawn_already_is_not_said_to_be_at_cbsa(rig: Rig) -> None:
    """R15: the second withdrawal has no effect, and the sentence doesn't send anybody after a message that never left."""
    rig.publish(cargo("k1", "ABCD111"))
    assert 0 == rig.type("message", "withdraw", "k1", "--reason", "once").code
    said = rig.type("message", "withdraw", "k1", "--reason", "twice")
    assert 4 == said.code
    assert "it is withdrawn already" in said.err
    assert "cancel" not in said.err


def test_an_act_that_the_fold_voids_is_refused_with_its_rule(rig: Rig) -> None:
    """R15, R5: exit 4 with rule and sentence; the message stays as it was, the void fact is the record."""
    rig.publish(cargo("k1", "ABCD111"))
    rig.transmit("highway", "k1")
    said = rig.type("message", "withdraw", "k1", "--reason", "too late")
    assert (4, "R15") == (said.code, said.value["rule"])
    assert "publish a cancel instead" in said.err
    assert "transmitted" == rig.type("message", "show", "k1").value["state"]


def test_a_key_in_two_lanes_asks_which(rig: Rig) -> None:
    """INTERFACES 1: exit 2 naming the choices; with --mode and --tenant one is meant."""
    rig.publish(cargo("k1", "ABCD111"), cargo("k1", "ABCD111", mode="rail"), cargo("k1", "ABCD112", tenant="zeta"))
    said = rig.type("message", "show", "k1")
    assert 2 == said.code
    choices = {(each["mode"], each["tenant"]) for each in said.value["choices"]}
    assert {("highway", "acme"), ("highway", "zeta"), ("rail", "acme")} == choices
    assert "rail" == rig.type("message", "show", "k1", "--mode", "rail").value["lane"]
    assert "zeta" == rig.type("why", "k1", "--tenant", "zeta").value["tenant"]


def test_an_unknown_key_matches_nothing(rig: Rig) -> None:
    """INTERFACES 1: exit 3."""
    assert 3 == rig.type("message", "show", "nix").code
    assert 3 == rig.type("why", "nix", "--mode", "rail").code
    assert 3 == rig.type("audit", "story", "nix").code


def test_why_tells_the_chain_and_names_the_rules(rig: Rig) -> None:
    """I7: the reasons, nearest first: the notice that holds the channel, then the cargo that goes before the trip."""
    rig.notice(EDI_DOWN)
    rig.publish(trip("t1", "CRN1", "ABCD111"), cargo("k1", "ABCD111"))
    said = rig.type("why", "t1")
    assert ["R30", "E1"] == [reason["rule"] for reason in said.value["reasons"]]
    told = rig.type("why", "t1", as_json=False)
    assert "TCC25-9901 [R30]" in told.out


def test_a_clerk_sees_what_may_be_filed_now_and_files_it(rig: Rig) -> None:
    """R34: in order, only what the fold would grant; `filed` puts the document on file and frees what waits for it."""
    rig.publish(
        trip("t1", "CRN1", "ABCD111", channel="emanifest_portal"),
        cargo("k1", "ABCD111", channel="emanifest_portal"),
        cargo("k2", "ABCD112"),
    )
    assert ["k1"] == [item["key"] for item in rig.type("to-file").value]
    said = rig.type("message", "filed", "k1", "--reference", "EM-77", "--as", "carl")
    assert (0, "filed", True) == (said.code, said.value["state"], said.value["on_file"])
    assert ["t1"] == [item["key"] for item in rig.type("to-file").value]
    assert [] == rig.type("to-file", "--tenant", "zeta").value


def test_settle_and_revoke_say_what_became_of_a_message(rig: Rig) -> None:
    """R56, R57: a parked one is settled with evidence, a captured one is lost and held again; each refuses the other's state."""
    rig.publish(cargo("k1", "ABCD111", corrects="nothing"))
    proof = ["--evidence", "a call", "--reason", "asked CBSA"]
    assert (4, "R56") == _rule(rig, "message", "revoke", "k1", "--notice", "TCC25-1", "--reason", "lost")
    assert "captured" == rig.type("message", "settle", "k1", "--to", "captured", *proof).value["state"]
    assert (4, "R57") == _rule(rig, "message", "settle", "k1", "--to", "held", *proof)
    assert "held" == rig.type("message", "revoke", "k1", "--notice", "TCC25-1", "--reason", "lost").value["state"]


def _rule(rig: Rig, *words: str) -> tuple[int, str]:
    said = rig.type(*words)
    return said.code, said.value["rule"]


@pytest.mark.parametrize(
    "words",
    [
        ["message", "withdraw", "k1"],
        ["message", "withdraw", "k1", "--reason", "  "],
        ["message", "settle", "k1", "--to", "lost", "--evidence", "x", "--reason", "x"],
        ["message", "settle", "k1", "--to", "held", "--reason", "x"],
        ["message", "show", "k1", "--mode", "road"],
        ["channel", "hold", "fax", "--reason", "x"],
        ["channel", "open", "edi", "--direction", "up", "--reason", "x"],
        ["channel", "open", "edi"],
        ["policy", "set", "speed=1", "--reason", "x"],
        ["policy", "set", "drain=maybe", "--reason", "x"],
        ["policy", "set", "drain", "--reason", "x"],
        ["replay", "rate", "fast", "--reason", "x"],
        ["replay", "start"],
        ["audit", "as-of", "noon"],
    ],
)
def test_what_is_typed_wrong_is_usage_and_writes_nothing(rig: Rig, words: list[str]) -> None:
    """INTERFACES 1: exit 2, one JSON value, one sentence; neither lane nor desk has a fact more."""
    rig.publish(cargo("k1", "ABCD111"))
    said = rig.type(*words)
    assert (2, 2) == (said.code, said.value["exit"])
    assert 1 == len(said.err.splitlines())
    assert (1, 0) == (len(rig.facts(lane("highway"))), len(rig.facts(DESK)))


def test_a_component_is_held_and_opened_by_hand(rig: Rig) -> None:
    """R30, R5: each act is a fact of the desk that names what the person had seen; status shows it once the lanes have it."""
    rig.publish(cargo("k1", "ABCD111"))
    assert 0 == rig.type("channel", "hold", "edi", "--reason", "a broken line", "--as", "olga").code
    rig.work()
    assert ("down", "override-edi-inbound") == _edi(rig)
    assert 0 == rig.type("channel", "open", "edi", "--reason", "mended").code
    rig.work()
    assert "down" != _edi(rig)[0]
    acts = [fact for fact in rig.facts(DESK) if isinstance(fact, ComponentOverridden)]
    assert [("hold", -1), ("open", 0)] == [(fact.to, fact.basis) for fact in acts]


def _edi(rig: Rig) -> tuple[str, str | None]:
    (line,) = [each for each in rig.type("status").value["channels"] if (each["name"], each["direction"]) == ("edi", "inbound")]
    return line["state"], line["incident"]


def test_a_policy_is_adopted_whole_and_shown(rig: Rig) -> None:
    """I11: the fact holds the whole policy; what is not named stays; the same again writes nothing."""
    said = rig.type("policy", "set", "drain=operator", "rate_max_per_s=none", "--reason", "a trial", "--as", "olga")
    assert (0, "operator", None) == (said.code, said.value["policy"]["drain"], said.value["policy"]["rate_max_per_s"])
    shown = rig.type("policy", "show").value
    assert said.value["policy"] == shown
    assert 500 == shown["batch_max"]
    assert 3 == rig.type("policy", "set", "drain=operator", "--reason", "again").code
    assert [PolicyAdopted] == [type(fact) for fact in rig.facts(DESK)]
    again = rig.type("policy", "set", "rate_max_per_s=20", "--reason", "slower").value["policy"]
    assert ("operator", 20) == (again["drain"], again["rate_max_per_s"])


def test_a_channels_own_rate_is_given_and_taken_back(rig: Rig) -> None:
    """R42, I11: one fact each; the others' rates stay; no such channel, or a clerk's, is denied and written down."""
    assert 0 == rig.type("channel", "rate", "cad_api", "5", "--reason", "asked by CBSA").code
    assert 0 == rig.type("channel", "rate", "cig", "none", "--reason", "asked by CBSA").code
    assert {"cad_api": 5, "cig": None} == rig.type("policy", "show").value["channel_rate_max_per_s"]
    assert "5 (its own)" in rig.type("policy", "show", as_json=False).out
    assert 0 == rig.type("channel", "rate", "cad_api", "default", "--reason", "no longer").code
    assert {"cig": None} == rig.type("policy", "show").value["channel_rate_max_per_s"]
    assert [3, 4, 4] == [
        rig.type("channel", "rate", *words, "--reason", "again").code for words in (("cig", "none"), ("fax", "5"), ("cers", "5"))
    ]
    assert 2 == rig.type("channel", "rate", "edi", "0", "--reason", "stop").code


def test_the_flags_of_up_change_the_rates_that_they_name() -> None:
    """R42: `--rate-max` for all and for single channels; what is not named stays as the log has it."""
    in_force = Policy(channel_rate_max_per_s={"edi": 9, "cig": 2})
    change = policy_changes(drain=None, rate_max=("20", "cad_api=5", "edi=default"), in_flight_max=None)
    assert Policy(rate_max_per_s=20, channel_rate_max_per_s={"cig": 2, "cad_api": 5}) == change(in_force)
    for wrong in (("5", "6"), ("edi=1", "edi=2"), ("edi=0",), ("many",)):
        with pytest.raises(Stop):
            policy_changes(drain=None, rate_max=wrong, in_flight_max=None)


@pytest.mark.parametrize("setting", ["batch_max=501", "in_flight_max=0", "settling_ms=-1", "channels={}"])
def test_a_policy_that_would_break_a_promise_is_denied_and_written_down(rig: Rig, setting: str) -> None:
    """I8: exit 4; who tried what and why is a fact of the desk, and the policy stays."""
    before = rig.type("policy", "show").value
    said = rig.type("policy", "set", setting, "--reason", "faster", "--as", "eve")
    assert 4 == said.code
    assert [("eve", "policy set", setting)] == [(fact.person, fact.act, fact.object) for fact in rig.denied()]
    assert before == rig.type("policy", "show").value


def _outage_with_backlog(rig: Rig) -> None:
    rig.operator_drains()
    rig.notice(EDI_DOWN)
    rig.publish(
        trip("t1", "CRN1", "ABCD111"), cargo("k1", "ABCD111"), cargo("k2", "ABCD112"),
        trip("t2", "CRN2", "ABCD113"), cargo("k3", "ABCD113", channel="emanifest_portal"),
    )  # fmt: skip


def test_a_plan_shows_waves_and_what_stays_behind(rig: Rig) -> None:
    """R61, UX 3: cargo before its trip; a trip whose cargo waits for a clerk stays behind, with the edge as reason."""
    _outage_with_backlog(rig)
    rig.notice(EDI_RESOLVED, RECEIVED_LATER)
    (plan,) = rig.type("replay", "plan").value
    assert ("waiting", 3, 1) == (plan["status"], plan["count"], plan["excluded_count"])
    assert [{"wave": 1, "count": 2, "kinds": {"cargo": 2}}, {"wave": 2, "count": 1, "kinds": {"conveyance": 1}}] == plan["waves"]
    assert ["k1", "k2", "t1"] == [each["key"] for each in plan["first"]]
    assert [("t2", "E1")] == [(each["key"], each["rule"]) for each in plan["excluded"]]


def test_a_plan_before_the_opening_shows_what_would_go(rig: Rig) -> None:
    """UX 3: one looks before it opens; nothing is held is exit 3."""
    assert 3 == rig.type("replay", "plan").code
    _outage_with_backlog(rig)
    (plan,) = rig.type("replay", "plan").value
    assert (None, "held", 3) == (plan["replay"], plan["status"], plan["count"])


def test_a_plan_names_a_reason_once_and_the_rate_that_a_drain_was_given(rig: Rig) -> None:
    """UX 3: thirty trips that wait for the same unseen cargo are one line; a paused drain goes on at its own rate."""
    rig.operator_drains()
    rig.notice(EDI_DOWN)
    rig.publish(cargo("k1", "ABCD111"), *(trip(f"t{n}", f"CRN{n}", "UNSEEN1") for n in range(30)))
    rig.notice(EDI_RESOLVED, RECEIVED_LATER)
    assert 0 == rig.type("replay", "start", "--rate", "7", "--reason", "slowly").code
    assert 0 == rig.type("replay", "pause", "--reason", "a look").code
    told = rig.type("replay", "plan", as_json=False).out
    assert "7 a second" in told
    assert 1 == told.count("UNSEEN1")
    assert re.search(r"^30 ", told, re.MULTILINE)


def test_a_replay_is_started_slowed_paused_and_aborted_by_a_person(rig: Rig) -> None:
    """R61, R5: each act is a fact that names what the person saw, and is told as effective only when the fold says so."""
    _outage_with_backlog(rig)
    assert 3 == rig.type("replay", "start", "--reason", "too early").code
    rig.notice(EDI_RESOLVED, RECEIVED_LATER)
    steps = [("rate", "5"), ("start",), ("pause",), ("resume",), ("abort",)]
    for step in steps:
        said = rig.type("replay", *step, "--reason", "step by step", "--as", "olga")
        assert (0, True) == (said.code, said.value[0]["effective"])
    assert "aborted" == said.value[0]["channels"][0]["status"]
    acts = [fact for fact in rig.facts(lane("highway")) if isinstance(fact, ReplayChanged)]
    assert [step[0] for step in steps] == [fact.act for fact in acts]
    assert 5 == acts[0].rate_per_s
    assert 1 == len({fact.replay for fact in acts})


def test_an_act_that_does_not_fit_a_replay_is_refused(rig: Rig) -> None:
    """R61, I8: with the lane named the fold voids it; with none named nothing fits, and the attempt is a fact of the desk."""
    _outage_with_backlog(rig)
    rig.notice(EDI_RESOLVED, RECEIVED_LATER)
    said = rig.type("replay", "pause", "--mode", "highway", "--reason", "x")
    assert (4, [False], ["R61"]) == (said.code, [each["effective"] for each in said.value], [each["rule"] for each in said.value])
    assert (4, "R61") == _rule(rig, "replay", "resume", "--reason", "x", "--as", "eve")
    assert [("eve", "replay resume")] == [(fact.person, fact.act) for fact in rig.denied()]


def test_starting_a_replay_whose_channel_is_shut_again_is_told_as_held(rig: Rig) -> None:
    """INTERFACES 1, R30: the act counts, exit 5 says that nothing goes until the notice is over."""
    _outage_with_backlog(rig)
    rig.notice(EDI_RESOLVED, RECEIVED_LATER)
    assert 0 == rig.type("channel", "hold", "edi", "--reason", "again").code
    rig.work()
    said = rig.type("replay", "start", "--reason", "go")
    assert (5, True) == (said.code, said.value[0]["effective"])
    watched = rig.type("replay", "watch", "--timeout", "0")
    assert (5, 4) == (watched.code, watched.value[0]["left"])


def test_status_and_watch_tell_how_a_drain_goes(rig: Rig) -> None:
    """UX 3: what waits, why, how long it would take at the rate in force, and what waits for something else."""
    _outage_with_backlog(rig)
    assert [] == rig.type("status").value["drains"]
    rig.notice(EDI_RESOLVED, RECEIVED_LATER)
    assert 0 == rig.type("replay", "rate", "1", "--reason", "slowly").code
    (told,) = rig.type("status").value["drains"]
    assert ("highway", "edi", "waiting", 4, 4) == tuple(told[name] for name in ("lane", "channel", "status", "total", "left"))
    assert ("it waits for tidegate replay start", None, None) == (told["why"], told["eta_at"], told["rate_per_s"])
    assert "it waits for tidegate replay start" in rig.type("status", as_json=False).out
    (watched,) = rig.type("replay", "watch", "--timeout", "0").value
    assert (told["why"], told["eta_s"], told["waits"]) == (watched["why"], watched["eta_s"], watched["waits"])


def test_a_watch_that_ends_early_is_partly_done(rig: Rig) -> None:
    """INTERFACES 1: exit 6 while something is left, exit 3 when there is no replay."""
    assert 3 == rig.type("replay", "watch", "--timeout", "0").code
    _outage_with_backlog(rig)
    rig.notice(EDI_RESOLVED, RECEIVED_LATER)
    assert 6 == rig.type("replay", "watch", "--timeout", "0").code


def test_a_plan_leaves_behind_what_waits_for_the_unseen_and_for_the_parked(rig: Rig) -> None:
    """R22, R55, UX 3: each with its own reason; nothing that waits is counted as going."""
    rig.notice(EDI_DOWN)
    rig.publish(trip("t1", "CRN1", "NEVER1"), cargo("k1", "ABCD111", corrects="nothing"), trip("t2", "CRN2", "ABCD111"))
    (plan,) = rig.type("replay", "plan").value
    assert (0, [], 2) == (plan["count"], plan["waves"], plan["excluded_count"])
    reasons = {each["key"]: each["reason"] for each in plan["excluded"]}
    assert "was never seen here" in reasons["t1"]
    assert "is parked" in reasons["t2"]

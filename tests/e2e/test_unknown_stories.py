"""Stories of time-outs: what is not known is asked for, never sent again blindly, and is captured once by CBSA's own history."""

from collections import Counter

from tests.e2e.town import Town, cargo, trip


def test_what_timed_out_is_asked_for_and_captured_once(anywhere: Town) -> None:
    """R51, I4: CBSA had taken one and not the other; the status query tells them apart, and only what it never had goes again."""
    anywhere.policy(tau_ms=1_000)
    anywhere.up()
    anywhere.authority.set_faults(
        {"name": "accept_then_time_out", "next": 1, "match": "taken"},
        {"name": "answer_lost", "next": 1, "match": "taken"},
        {"name": "time_out", "next": 1, "match": "lost"},
    )
    anywhere.publish(cargo("taken", "CCN-1"), cargo("lost", "CCN-2"), trip("trip", "TRIP-1", "CCN-1", "CCN-2"))
    anywhere.until_state("trip", "captured")
    assert {"taken": 1, "lost": 1, "trip": 1} == Counter(anywhere.captured()) == Counter(anywhere.arrived())
    assert 4 == anywhere.posts(), "one for what CBSA had, two for what it had not, one for the trip"
    assert 1 == anywhere.authority.stats()["posts_of_one_key_at_once_max"]
    for key in ("taken", "lost"):
        shown = anywhere.tidegate("message", "show", key)
        assert ("captured", 1) == (shown["state"], shown["submission"])
        steps = anywhere.tidegate("audit", "story", key)["steps"]
        assert {"unknown", "captured"} <= {step["state"] for step in steps}
        assert "StatusAnswered" in [step["fact"] for step in steps]
    anywhere.assert_sound()


def test_an_answer_that_never_comes_is_asked_for_and_nothing_is_sent_again(border: Town) -> None:
    """R54: transmitted and unanswered past its time: status query, never a resend."""
    border.authority.set_faults({"name": "answer_lost", "next": 1, "match": "unanswered"})
    border.publish(cargo("unanswered", "CCN-UNANSWERED"), trip("after-unanswered", "TRIP-UNANSWERED", "CCN-UNANSWERED"))
    border.until_state("unanswered", "transmitted")
    assert "held" == border.message("after-unanswered").state
    border.until_state("after-unanswered", "captured")
    assert 1 == border.arrived().count("unanswered")


def test_a_connection_that_breaks_after_cbsa_took_the_message_makes_no_second_filing(border: Town) -> None:
    """I4: cut connections, broken replies and 500s after taking: one capture each, and no two posts of one key at a time."""
    faults = ["drop_taken", "error_500_taken", "garbage", "drop", "error_500"]
    border.authority.set_faults(*({"name": name, "next": 1, "match": f"broken-{name}"} for name in faults))
    border.publish(*(cargo(f"broken-{name}", f"CCN-{name}") for name in faults))
    for name in faults:
        border.until_state(f"broken-{name}", "captured")
    assert dict.fromkeys((f"broken-{name}" for name in faults), 1) == Counter(
        key for key in border.captured() if key.startswith("broken-")
    )
    assert 1 == border.authority.stats()["posts_of_one_key_at_once_max"]


def test_an_answer_that_nobody_can_read_keeps_no_other_back(border: Town) -> None:
    """R3, R54: it lies among others on one page; those count at once, and of the unread one the status query tells."""
    border.authority.set_channel("edi", outbound="down")
    border.authority.set_faults({"name": "answer_unreadable", "next": 1, "match": "page-odd"})
    keys = ["page-odd", *(f"page-{number}" for number in range(5))]
    border.publish(*(cargo(key, f"CCN-{key}", tenant="paging") for key in keys))
    border.until(lambda: set(keys) <= set(border.arrived()), "CBSA to have all of them")
    border.authority.set_channel("edi", outbound="up")
    for key in keys:
        border.until_state(key, "captured")
    border.until(lambda: len(border.tidegate("responses", "--tenant", "paging")["responses"]) == 5, "the mail")
    mail = border.tidegate("responses", "--tenant", "paging")["responses"]
    assert set(keys) - {"page-odd"} == {each["matched"]["key"] for each in mail}
    facts = [step["fact"] for step in border.tidegate("audit", "story", "page-odd")["steps"]]
    assert "StatusAnswered" in facts
    assert 6 == sum(key.startswith("page-") for key in border.arrived())

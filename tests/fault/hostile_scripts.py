"""The scripts of a hostile authority, one for each message key, and where its message must stand at last; must not know the wire.

A message's key begins with its script's name. The first `times` attempts befalls `post`, later ones are answered as a good server
does; the first `asks` questions about it befalls `ask`, later ones are answered truly. `told` is what is said of it among the
answers, and `truth` what the authority's own list says: whatever is told, that is what a true status answer tells.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, Literal, TypeAlias

Told: TypeAlias = Literal[
    "at_once", "before_the_reply", "twice", "late", "in_reverse", "never", "also_of_an_unknown_key", "to_another_tenant",
    "in_another_lane", "of_a_submission_never_sent", "then_the_contrary", "duplicate", "duplicate_first", "unreadably",
    "without_a_time", "at_great_length", "with_a_notice",
]  # fmt: skip
"""How a message's verdict is told; `to_another_tenant` and `in_another_lane` tell it wrongly, and the contrary of it."""

Outcome: TypeAlias = Literal["captured", "rejected", "duplicate"]

FOR_EVER: Final = 10**9
"""So many attempts or questions that a run sees no other."""

LONG_TEXT: Final = "x" * 8_500_000
"""The text of an answer that fits into no record of the log."""

PLAIN: Final = frozenset({"idempotency_key", "receiver", "outcome"})
"""What an answer says that can be read."""

CALM_TOO: Final = frozenset({"never_gets_through"})
"""Scripts that go on when everything else has become calm: what ends them is Tidegate's own limit."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Script:
    """One script. `taken`: whether the attempts that `post` befalls are taken; the others always are.

    `ends`: the states in one of which the message must stand at rest; `person`: whether a person is asked, None: either.
    """

    name: str
    post: str = "says_202"
    taken: bool = True
    times: int = 0
    told: Told = "at_once"
    truth: Outcome = "captured"
    ask: str = "is_garbage"
    asks: int = 0
    ends: tuple[str, ...] = ("captured",)
    person: bool | None = False
    slow: bool = False
    """Whether it takes minutes of Tidegate's own waits."""


def _of_post(post: str, *, taken: bool, name: str | None = None, **more: object) -> Script:
    """A script whose first attempt befalls this."""
    said = "taken" if taken else "not_taken"
    made = Script(name=name or f"{post}_{said}", post=post, taken=taken, times=1)
    return replace(made, **more)  # type: ignore[arg-type]


_UNSURE: Final = (
    "gives_nothing", "closes_at_once", "resets", "says_500", "says_502_page", "moves_307", "moves_301", "moves_302",
    "is_no_http", "is_http_0_9", "is_http_2", "changes_protocol", "ends_in_the_head", "drips",
)  # fmt: skip
"""What leaves it open whether the message was taken: each comes with it taken, and with it not taken."""

_REFUSING: Final = frozenset({"says_400", "says_409", "says_413"})
"""What parks a message, unless an answer says that it was taken."""

_POSTS: Final = (
    *(_of_post(post, taken=taken) for post in _UNSURE for taken in (True, False)),
    _of_post("never_ends_its_head", taken=True),
    _of_post("drips_its_body", taken=True),
    _of_post("never_ends", taken=True),
    _of_post("is_a_gibibyte", taken=True),
    _of_post("is_cut_short", taken=True),
    _of_post("says_200", taken=True),
    _of_post("says_202_and_resets", taken=True),
    _of_post("says_202_twice", taken=True),
    _of_post("says_202_in_an_odd_charset", taken=True),
    _of_post("says_503", taken=False),
    _of_post("says_503", taken=True),
    _of_post("says_403", taken=False),
    _of_post("says_404", taken=False),
    _of_post("asks_to_wait", taken=False),
    _of_post("asks_to_wait", taken=True),
    _of_post("says_400", taken=False, ends=("parked",), person=None, times=FOR_EVER),
    _of_post("says_409", taken=False, ends=("parked",), person=None, times=FOR_EVER),
    _of_post("says_413", taken=False, ends=("parked",), person=None, times=FOR_EVER),
    # It was taken all the same, and says so among the answers: an answer is more than a refusal by the transport.
    _of_post("says_409", taken=True, ends=("captured",)),
    # Taken, it says, and it never was: nothing more can be learnt of it by program.
    _of_post("says_202", taken=False, name="lies_of_taking", ends=("transmitted",), person=True, times=FOR_EVER),
)

_ANSWERS: Final = (
    Script(name="good"),
    Script(name="rejects", truth="rejected", ends=("rejected",)),
    Script(name="answers_before_the_reply", told="before_the_reply"),
    Script(name="answers_while_it_says_nothing", told="before_the_reply", post="gives_nothing", times=1),
    Script(name="answers_twice", told="twice"),
    Script(name="answers_late", told="late"),
    Script(name="answers_in_reverse", told="in_reverse"),
    Script(name="never_answers", told="never"),
    Script(name="also_answers_an_unknown_key", told="also_of_an_unknown_key"),
    Script(name="answers_another_tenant", told="to_another_tenant", truth="rejected", ends=("rejected",)),
    Script(name="answers_in_another_lane", told="in_another_lane", truth="rejected", ends=("rejected",)),
    Script(name="answers_a_submission_never_sent", told="of_a_submission_never_sent"),
    Script(name="rejects_then_accepts", told="then_the_contrary", truth="rejected", ends=("rejected",), person=True),
    Script(name="accepts_then_rejects", told="then_the_contrary", person=True),
    Script(name="calls_the_first_a_duplicate", told="duplicate", truth="duplicate", ends=("parked",), person=None),
    Script(name="calls_it_a_duplicate_first", told="duplicate_first", ends=("captured",)),
    Script(name="answers_unreadably", told="unreadably"),
    Script(name="answers_without_a_time", told="without_a_time"),
    Script(name="answers_at_great_length", told="at_great_length"),
    Script(name="answers_with_a_notice", told="with_a_notice"),
)

_QUESTIONS: Final = tuple(
    Script(name=f"asked_{ask}", post="resets", times=1, told="never", ask=ask, asks=1)
    for ask in (
        "is_garbage", "says_500", "says_404", "says_403", "moves_302", "closes_at_once", "is_no_http", "is_http_0_9",
        "contradicts_itself", "says_perhaps", "asks_to_wait", "is_a_gibibyte", "keeps_waiting",
    )
)  # fmt: skip

_LONG: Final = (
    # The same submission goes again: it is taken once, and what the second attempt is called is a question (R53).
    Script(name="denies_what_it_took", post="resets", times=1, told="late", ask="knows_nothing", asks=1),
    # It never gets through and nobody knows of it: what ends this is a limit of ours, not the authority.
    Script(name="never_gets_through", post="resets", taken=False, times=FOR_EVER, ends=("unknown",), person=True, slow=True),
    # So long a question takes; as many as there are slots for, or more, must not keep the polls waiting.
    Script(name="asked_gives_nothing", post="resets", times=1, told="late", ask="gives_nothing", asks=1, slow=True),
    Script(name="is_turned_away_for_long", post="says_403", taken=False, times=FOR_EVER),
    Script(name="is_put_off_for_long", post="says_503", taken=False, times=FOR_EVER),
)

SCRIPTS: Final[dict[str, Script]] = {script.name: script for script in (*_POSTS, *_ANSWERS, *_QUESTIONS, *_LONG)}
"""Every hostile script by its name, and a good one."""

POLL_SCRIPTS: Final = (
    "is_garbage", "is_in_utf_16", "is_cut_short", "never_ends", "is_a_gibibyte", "has_a_million_answers", "is_all_brackets",
    "is_nested_deeply", "goes_back", "goes_astray", "has_no_cursor", "closes_at_once", "resets", "says_500", "moves_302",
    "is_no_http", "is_http_0_9", "never_ends_its_head", "drips_and_ends", "keeps_waiting",
)  # fmt: skip
"""What befalls polls, one after the other, with good ones between."""

TRIP: Final = "good_trip"
"""The script of a trip behind a hostile shipment: it goes when that is captured."""

MIXED: Final = "mixed"
"""The name of scripts that a seed makes."""


def mixed(draw: random.Random, number: int) -> Script:
    """A script that nobody wrote: some of each part. What it must end in follows from the parts."""
    base = draw.choice([each for each in _POSTS if each.ends == ("captured",) and each.post not in _REFUSING])
    truth: Outcome = draw.choice(("captured", "captured", "captured", "rejected"))
    told: Told = draw.choice(
        ("at_once", "before_the_reply", "twice", "late", "in_reverse", "never", "also_of_an_unknown_key", "unreadably",
         "of_a_submission_never_sent", "with_a_notice", "to_another_tenant")
    )  # fmt: skip
    ask = draw.choice(("is_garbage", "says_500", "moves_302", "closes_at_once", "is_no_http", "contradicts_itself"))
    return replace(
        base, name=f"{MIXED}_{number}", times=draw.randint(1, 3), told=told, truth=truth, ask=ask, asks=draw.randint(0, 2),
        ends=(truth,), person=None,
    )  # fmt: skip


def plain(key: str | None, receiver: str, outcome: str) -> dict[str, Any]:
    """An answer, as far as a script makes it."""
    return {"idempotency_key": key, "receiver": receiver, "outcome": outcome}


def told_of(script: Script, key: str, tenant: str) -> list[dict[str, Any]]:
    """What the authority says of a message that it took under this wire key, answer by answer."""
    truth = plain(key, tenant, script.truth)
    contrary = truth | {"outcome": "rejected" if script.truth == "captured" else "captured"}
    lane, _, rest = key.partition("/")
    return {
        "twice": [truth, truth],
        "never": [],
        "also_of_an_unknown_key": [contrary | {"idempotency_key": f"{key}-nobody-sent-this"}, truth],
        "to_another_tenant": [contrary | {"receiver": f"not-{tenant}"}],
        "in_another_lane": [contrary | {"idempotency_key": f"{'rail' if lane == 'air' else 'air'}/{rest}"}],
        "of_a_submission_never_sent": [contrary | {"idempotency_key": f"{key}~7"}, truth],
        "then_the_contrary": [truth, contrary],
        "duplicate_first": [plain(key, tenant, "duplicate"), truth],
        "unreadably": [plain(key, tenant, "perhaps")],
        "without_a_time": [truth | {"at": None}],
        "at_great_length": [truth | {"text": LONG_TEXT}],
        "with_a_notice": [plain(None, tenant, "notice"), truth],
    }.get(script.told, [truth])


def script_of(key: str, more: dict[str, Script]) -> Script:
    """The script of a publisher's key: what stands before the last dash; `more` are those that a seed made."""
    name = key.rpartition("-")[0]
    return Script(name=TRIP) if name == TRIP else more.get(name) or SCRIPTS[name]


def chosen(names: Sequence[str]) -> tuple[Script, ...]:
    """These scripts, or all of them for none."""
    return tuple(SCRIPTS[name] for name in names) if names else tuple(SCRIPTS.values())

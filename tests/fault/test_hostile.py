"""A hostile CBSA: a sample of `hostile_run`, and bugs planted into Tidegate that its judge must see (RELIABILITY G1 to G3)."""

from dataclasses import replace

import pytest

from tests.fault.hostile_acts import POLLS, POSTS, QUESTIONS
from tests.fault.hostile_run import Plan, run
from tests.fault.hostile_scripts import POLL_SCRIPTS, SCRIPTS, chosen

TIME_OUT_IS_CAPTURED = """
from lane import outcomes
real = outcomes.move
def move(state, message, to, **more):
    real(state, message, "captured" if (to, more.get("code")) == ("unknown", "R51") else to, **more)
outcomes.move = move
"""

REDIRECTS_ARE_FOLLOWED = """
from gateway.https import HttpsGateway
real = HttpsGateway._send_in_slot
async def follow(self, transmission, request):
    reply = await real(self, transmission, request)
    if reply.status in (301, 302, 307):
        return await real(self, transmission, request.replace(b"POST /", b"POST /elsewhere/", 1))
    return reply
HttpsGateway._send_in_slot = follow
"""

ANY_TENANT_IS_BELIEVED = """
from dataclasses import replace
from consumers import responses
from lane.identity import parse_wire_key
real = responses.parse_page
def believing(raw):
    return [replace(each, receiver=(parse_wire_key(each.wire_key) or (0, each.receiver))[1]) for each in real(raw)]
responses.parse_page = believing
"""


@pytest.mark.slow
def test_whatever_cbsa_does_nothing_is_lost_doubled_or_made_up() -> None:
    """I1, I4, I7, I12: each script once, and some that a seed makes, among good messages that nothing of it delays."""
    figures, broken = run(Plan.of("sample", seed=1))
    assert [] == broken
    assert figures["befell_messages"] > 60
    assert figures["befell_questions"] > 10
    assert 4 == figures["befell_polls"]


@pytest.mark.parametrize(
    ("planted", "script", "sentence"),
    [
        (TIME_OUT_IS_CAPTURED, "gives_nothing_not_taken", "is said to be captured, and what CBSA said of it to acme is nothing"),
        (REDIRECTS_ARE_FOLLOWED, "moves_307_not_taken", "1 redirects were followed, the first to /elsewhere/v1/messages"),
        (ANY_TENANT_IS_BELIEVED, "answers_another_tenant", "is said to be captured, and what CBSA said of it to acme is nothing"),
    ],
    ids=["a time-out taken as captured", "a redirect followed", "an answer for another tenant believed"],
)
def test_a_bug_planted_into_tidegate_is_seen(planted: str, script: str, sentence: str) -> None:
    """A judge who can't find against anybody finds for nobody. On the plain sources: bugs can't be planted in compiled code."""
    plan = replace(Plan.of("sample", seed=3), scripts=chosen([script]), mixed_count=0, polls=(), patience_s=2.0)
    _, broken = run(plan, prelude=planted)
    assert any(sentence in each for each in broken), broken


def test_each_act_has_a_script() -> None:
    """What the authority can do badly is done badly to something; a script names no act that there is not."""
    posts = {script.post for script in SCRIPTS.values() if script.times}
    asks = {script.ask for script in SCRIPTS.values() if script.asks}
    assert set() == posts - POSTS.keys() | asks - QUESTIONS.keys() | set(POLL_SCRIPTS) - POLLS.keys()
    assert {"drips_and_ends", "keeps_waiting"} == POSTS.keys() - posts

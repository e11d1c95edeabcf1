"""What status, audit and errors look like to a program, and that nothing a user can cause is a traceback."""

import io
import json
import os
import shlex
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest
from rich.console import Console

from console.cli import run
from console.clock import wall_ms
from console.settings import Settings
from console.verbs_status import shown
from console.wiring import opened
from schemas.streams import lane
from tests.cli_rig import EDI_DOWN, Rig, cargo, trip

ROOT = Path(__file__).parents[2]


@pytest.fixture
def rig(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Rig:
    return Rig(tmp_path, capsys).with_a_log()


def test_status_says_exactly_what_others_lean_on(rig: Rig) -> None:
    """INTERFACES 1: channels, lanes and needs_a_person with these fields; what came later stands behind them."""
    rig.notice(EDI_DOWN)
    rig.publish(cargo("k1", "ABCD111"), cargo("k2", "ABCD111"), cargo("p1", "P1", channel="cers", mode="export"))
    value = rig.type("status").value
    assert ["channels", "lanes", "needs_a_person", "drains"] == list(value)
    assert {"name", "direction", "state", "since", "incident", "reason"} == value["channels"][0].keys()
    lanes = {each["lane"]: each for each in value["lanes"]}
    names = "lane received held in_flight captured rejected unknown parked to_file oldest_held_at"
    assert set(names.split()) == lanes["highway"].keys()
    assert (2, 1, 1) == (lanes["highway"]["received"], lanes["highway"]["held"], lanes["highway"]["parked"])
    assert 1 == lanes["export"]["to_file"]
    assert "k2" in [each["key"] for each in value["needs_a_person"]]
    (edi,) = [each for each in value["channels"] if (each["name"], each["direction"]) == ("edi", "inbound")]
    assert ("down", "TCC25-9901") == (edi["state"], edi["incident"])


def test_status_says_when_nobody_works(rig: Rig) -> None:
    """UX 1: a message that no worker has taken in yet is told, not passed over."""
    rig.type("publish", rig.file("m", "x"), "--mode", "rail", "--kind", "other", "--tenant", "acme", "--key", "k1")
    assert "not taken into the lanes yet: 1 message; does tidegate up run?" in rig.type("status").err


def test_status_for_people_leads_with_what_is_not_up(rig: Rig) -> None:
    """UX 3: the banner first, with the notice that says so, in Eastern time and UTC, within 100 columns."""
    rig.notice(EDI_DOWN)
    rig.publish(cargo("k1", "ABCD111"), cargo("k2", "ABCD111"))
    said = rig.type("status", as_json=False)
    assert "TCC25-9901" in said.out.splitlines()[2]
    assert "09:50:00 EST" in said.out
    assert 100 >= max(map(len, said.out.splitlines()))


def test_status_splits_no_word_on_a_terminal_of_80_columns(rig: Rig) -> None:
    """UX 2: the commonest terminal; a header in two pieces can't be read, and an age of a year is as wide as they come."""
    rig.notice(EDI_DOWN)
    rig.type("channel", "hold", "emanifest_portal", "--reason", "no answer")
    rig.publish(cargo("k1", "ABCD111"))
    value, paper = rig.type("status").value, io.StringIO()
    console = Console(file=paper, width=80, markup=False)
    for part in shown(value, now_ms=wall_ms() + 363 * 86_400_000):
        console.print(part)
    words = set(paper.getvalue().split())
    headers = "channel direction state since notice reason lane received held in flight captured rejected unknown parked oldest"
    assert set() == {*headers.split(), "emanifest_portal", "inbound", "accounting"} - words


def test_status_sends_a_clerk_to_the_work_list(rig: Rig) -> None:
    """R34: no replay sends what a person files, so none is offered for it."""
    rig.publish(cargo("p1", "P1", channel="cers", mode="export"))
    assert ["next: tidegate to-file"] == [line for line in rig.type("status", as_json=False).out.splitlines() if "next" in line]
    rig.notice(EDI_DOWN)
    rig.publish(cargo("k1", "ABCD111"))
    assert "next: tidegate replay plan\nnext: tidegate to-file\n" in rig.type("status", as_json=False).out


def test_a_next_command_names_one_message_and_is_quoted(rig: Rig) -> None:
    """UX 2: the next command works as it is printed, also where two tenants use a key and a key holds a space."""
    rig.notice(EDI_DOWN)
    rig.publish(cargo("key two", "ABCD111"), cargo("key two", "ABCD222", tenant="zeta ltd"))
    said = rig.type("why", "key two", "--tenant", "zeta ltd", as_json=False)
    assert "next: tidegate audit story 'key two' --mode highway --tenant 'zeta ltd'" == said.out.splitlines()[-1]
    assert 0 == rig.type(*shlex.split(said.out.splitlines()[-1])[2:]).code


def test_the_past_is_shown_as_it_was_known(rig: Rig) -> None:
    """I5b: before the notice was taken in nothing was known of it."""
    rig.notice(EDI_DOWN)
    now = rig.type("audit", "as-of", "2199-01-01T00:00:00Z").value
    then = rig.type("audit", "as-of", "2025-11-24T09:00:00-05:00").value
    assert ("down", "up") == (now["channels"][0]["state"], then["channels"][0]["state"])
    assert (1, 0) == (now["positions"]["desk"], then["positions"]["desk"])


def test_the_past_before_the_log_and_the_time_to_come_are_told_as_such(rig: Rig) -> None:
    """I5b: that nothing was known is not that every channel was up."""
    assert "the log holds nothing yet" in rig.type("audit", "as-of", "2001-07-01T00:00:00Z", as_json=False).out
    rig.notice(EDI_DOWN)
    before = rig.type("audit", "as-of", "2001-07-01T00:00:00Z", as_json=False)
    assert before.out.startswith("At 2001-06-30 20:00:00 EDT (2001-07-01 00:00:00 UTC) nothing was known: the log begins at 20")
    assert "up" not in before.out
    assert "that is still to come; the log's last record is of 20" in rig.type("audit", "as-of", "2199-01-01T00:00:00Z").err


def test_what_is_no_export_is_a_slip_of_the_hand(rig: Rig) -> None:
    """INTERFACES 1: exit 2 for another file, exit 7 for an export that was altered, be it in its first line."""
    rig.publish(cargo("k1", "ABCD111"))
    said = rig.type("audit", "verify", "--file", str(ROOT / "README.md"))
    assert 2 == said.code
    assert "is no export" in said.err
    target = rig.data / "log.jsonl"
    rig.type("audit", "export", str(target))
    target.write_text("x" + target.read_text())
    assert 7 == rig.type("audit", "verify", "--file", str(target)).code


def test_a_whole_log_is_not_poured_on_a_terminal(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """UX 2: a person is told to name a file."""
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    said = rig.type("audit", "export", as_json=False)
    assert (2, "") == (said.code, said.out)
    assert "tidegate audit export FILE" in said.err


def test_a_story_is_told_and_a_log_verifies_and_travels(rig: Rig) -> None:
    """I6, INTERFACES 1: story, verify and export; an export that somebody altered is exit 7."""
    rig.publish(cargo("k1", "ABCD111"), trip("t1", "CRN1", "ABCD111"))
    assert "held" == rig.type("audit", "story", "t1").value["state"]
    assert (0, "ok") == _verify(rig)
    target = rig.data / "log.jsonl"
    assert rig.type("audit", "export", str(target)).value["records"]
    assert 2 == rig.type("audit", "export", str(target)).code
    assert (0, "ok") == _verify(rig, "--file", str(target))
    target.write_text(target.read_text().replace("ABCD111", "ABCD112", 1))
    assert (7, "failed") == _verify(rig, "--file", str(target))


def _verify(rig: Rig, *more: str) -> tuple[int, str]:
    said = rig.type("audit", "verify", *more)
    return said.code, said.value["verify"]


def test_a_log_that_holds_no_fact_where_one_should_be_is_exit_7(rig: Rig) -> None:
    """I6, I13: verify locates it, and a verb that would have to fold over it stops instead of guessing."""
    rig.publish(cargo("k1", "ABCD111"))
    rig.damage(lane("highway"))
    assert (7, "failed") == _verify(rig)
    assert 7 == rig.type("status").code


def test_mail_of_nobody_is_an_empty_list(rig: Rig) -> None:
    """I10: a tenant without mail gets none, and a place to ask on from."""
    assert {"tenant": "zeta", "next": -1, "responses": []} == rig.type("responses", "--tenant", "zeta").value


@pytest.mark.parametrize(
    ("words", "code", "hint"),
    [
        (["status", "--kafka", "127.0.0.1:1"], 1, "check the address"),
        (["status", "--kafka", "nonsense"], 1, "HOST:PORT"),
        (["status", "--data", __file__], 1, "name a folder"),
        (["status", "--data", "a", "--kafka", "b"], 2, "not both"),
        (["status", "--watch"], 2, "give one of them"),
        (["frobnicate"], 2, "--help"),
        (["status", "--colour"], 2, "--help"),
        (["responses"], 2, "--tenant"),
        (["authority", "--port", "70000"], 2, "--port"),
    ],
)
def test_what_a_user_can_cause_is_one_sentence(
    words: list[str], code: int, hint: str, capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """INTERFACES 1: the exit code, one sentence on standard error that says what to do, one JSON value; never a traceback."""
    monkeypatch.chdir(tmp_path)
    assert code == run([*words, "--json"])
    out, err = capsys.readouterr()
    assert code == json.loads(out)["exit"]
    assert hint in err
    assert 1 == len(err.splitlines())


def test_the_environment_names_the_log_and_a_flag_is_stronger(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """UX 2: flag over environment, also when the environment names the other engine."""
    for name in ("env", "flag"):
        with opened(Settings(data=tmp_path / name)):
            pass
    monkeypatch.setenv("TIDEGATE_DATA", str(tmp_path / "env"))
    assert 0 == run(["policy", "show", "--json"])
    monkeypatch.delenv("TIDEGATE_DATA")
    monkeypatch.setenv("TIDEGATE_KAFKA", "127.0.0.1:1")
    assert 0 == run(["policy", "show", "--json", "--data", str(tmp_path / "flag")])
    capsys.readouterr()


@pytest.mark.parametrize("more", ["", "--json"])
def test_an_output_that_takes_no_more_is_one_sentence(rig: Rig, more: str) -> None:
    """INTERFACES 1: exit 1 and what to do; a full disk is no traceback."""
    script = (
        f"{sys.executable} -c 'from console.cli import main; main()' policy show {more} --data {rig.data / 'log'} > /dev/full"
    )
    done = subprocess.run(["/bin/sh", "-c", script], cwd=ROOT, capture_output=True, text=True, check=False, env={**os.environ})
    assert (1, 1) == (done.returncode, len(done.stderr.splitlines())), done.stderr
    assert "make room" in done.stderr


def test_the_version_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    """UX 2: what one says when one asks for help."""
    assert 0 == run(["--version"])
    assert f"tidegate {version('tidegate')}\n" == capsys.readouterr().out


def test_a_reader_that_goes_away_is_no_error(rig: Rig) -> None:
    """UX 2: `tidegate ... | head` ends quietly."""
    script = f"{sys.executable} -c 'from console.cli import main; main()' policy show --data {rig.data / 'log'} | head -0"
    done = subprocess.run(["/bin/sh", "-c", script], cwd=ROOT, capture_output=True, text=True, check=True, env={**os.environ})
    assert "" == done.stderr
